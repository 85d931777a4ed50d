// Package guest makes a handler of the engine out of a module of the WebAssembly host. It is where the two meet: the
// engine knows nothing of guests, and the host knows nothing of queues.
//
//	engine: message, Tx ──► wasmhost: Msg, Effects ──► guest
//	engine: nil, RetryAfter, Rejected, error ◄── wasmhost: Outcome
//
// The module's effects go into the engine's transaction as they are made; the engine drops them with the transaction
// unless the handler returns nil. The time of a call is limited by the module's own limits, not by Handler.Timeout.
package guest

import (
	"context"
	"errors"
	"fmt"

	"github.com/getevo/rmds/engine"
	"github.com/getevo/rmds/wasmhost"
)

// Module is what handles messages: a *wasmhost.Module, or a *wasmhost.Slot, whose module may be replaced.
type Module interface {
	Call(context.Context, *wasmhost.Msg, wasmhost.Effects) wasmhost.Outcome
	Reset()
}

// Handler returns a handler that calls the module for every message. Its Sends and MaxAttempts are the caller's to set;
// name is the name of its store. The module must stay open for as long as the handler is in use.
func Handler(name string, m Module) *engine.Handler {
	return &engine.Handler{
		Name:      name,
		Discarded: m.Reset,
		Func: func(ctx context.Context, tx *engine.Tx, msg *engine.Message) error {
			return verdict(m.Call(ctx, convert(ctx, msg), effects{tx}))
		},
	}
}

// convert makes the host's message of the engine's.
func convert(ctx context.Context, m *engine.Message) *wasmhost.Msg {
	deadline, _ := ctx.Deadline()
	return &wasmhost.Msg{
		Content: m.Data, ID: m.ID.String(), Channel: m.Channel, Sender: m.Sender, InReplyTo: m.InReplyTo,
		CreatedAt: m.CreatedAt, Attempt: m.Attempt, Deadline: deadline, Headers: m.Headers,
	}
}

// verdict makes of an outcome what the engine wants a handler to return.
func verdict(o wasmhost.Outcome) error {
	switch o.Kind {
	case wasmhost.Ack:
		return nil
	case wasmhost.Retry:
		return engine.RetryAfter(o.RetryAfter, o.Reason)
	case wasmhost.Reject:
		return engine.Rejected(o.Reason)
	}
	if o.Err == nil {
		return fmt.Errorf("module failed: %s", o.Reason)
	}
	if o.Reason != "" && o.Reason != o.Err.Error() {
		return fmt.Errorf("module failed: %s: %w", o.Reason, o.Err)
	}
	return fmt.Errorf("module failed: %w", o.Err)
}

// effects lets a guest work on the engine's transaction.
type effects struct{ tx *engine.Tx }

var _ wasmhost.Effects = effects{}

func (e effects) Get(key string) ([]byte, bool, error) { return e.tx.Get(key) }

func (e effects) Set(key string, value []byte) error { return translate(e.tx.Set(key, value)) }

func (e effects) Delete(key string) error { return translate(e.tx.Delete(key)) }

func (e effects) Next(key string) (string, bool, error) { return e.tx.Next(key) }

func (e effects) Reply(content []byte, headers []wasmhost.Header) error {
	return translate(e.tx.Reply(content, convertHeaders(headers)...))
}

func (e effects) Send(channel string, content []byte, headers []wasmhost.Header) error {
	return translate(e.tx.Send(channel, content, convertHeaders(headers)...))
}

func convertHeaders(headers []wasmhost.Header) []engine.Header {
	out := make([]engine.Header, len(headers))
	for i, h := range headers {
		out[i] = engine.Header(h)
	}
	return out
}

// translate marks the errors of the engine that are the guest's own doing, so that the guest hears of them. What is left
// is trouble of this node: it fails the call and is none of the guest's business.
func translate(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, engine.ErrNotPermitted), errors.Is(err, engine.ErrNotWriter):
		return fmt.Errorf("%w: %w", wasmhost.ErrNotPermitted, err)
	case errors.Is(err, engine.ErrMessageTooLarge):
		return fmt.Errorf("%w: %w", wasmhost.ErrOverLimit, err)
	case errors.Is(err, engine.ErrBadName):
		return fmt.Errorf("%w: %w", wasmhost.ErrBadArgument, err)
	}
	return err
}
