// Package guest shows how a Go program runs WebAssembly handlers itself: what joins the engine and the WebAssembly host
// is this one file. What a guest does through its transaction takes effect together with the acknowledgement, or not at all.
package guest

import (
	"context"

	"github.com/getevo/rmds/engine"
	"github.com/getevo/rmds/wasmhost"
)

// effects lets a guest work on the engine's transaction; Get, Set, Delete and Next are the transaction's own.
type effects struct{ *engine.Tx }

func (e effects) Reply(content []byte, h []wasmhost.Header) error {
	return e.Tx.Reply(content, headers(h)...)
}

func (e effects) Send(channel string, content []byte, h []wasmhost.Header) error {
	return e.Tx.Send(channel, content, headers(h)...)
}

func headers(in []wasmhost.Header) (out []engine.Header) {
	for _, h := range in {
		out = append(out, engine.Header(h))
	}
	return out
}

// Handler runs the module for each message. name is the name of its key-value store.
func Handler(name string, m *wasmhost.Module) *engine.Handler {
	call := func(ctx context.Context, tx *engine.Tx, msg *engine.Message) error {
		out := m.Call(ctx, &wasmhost.Msg{Content: msg.Data, ID: msg.ID.String(), Channel: msg.Channel, Sender: msg.Sender,
			InReplyTo: msg.InReplyTo, CreatedAt: msg.CreatedAt, Attempt: msg.Attempt, Headers: msg.Headers}, effects{tx})
		switch out.Kind {
		case wasmhost.Ack:
			return nil
		case wasmhost.Retry:
			return engine.RetryAfter(out.RetryAfter, out.Reason)
		case wasmhost.Reject:
			return engine.Rejected(out.Reason)
		}
		return out.Err
	}
	return &engine.Handler{Name: name, Func: call, Discarded: m.Reset}
}
