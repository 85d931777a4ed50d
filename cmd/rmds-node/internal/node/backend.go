package node

import (
	"context"
	"errors"
	"strings"

	"github.com/getevo/rmds/cmd/rmds-node/internal/admin"
	"github.com/getevo/rmds/engine"
)

// backend is the node as the admin socket sees it.
type backend Node

var _ admin.Node = (*backend)(nil)

// Status returns the engine's state and what this program adds to it.
func (b *backend) Status() admin.Status {
	s := b.conn.Status()
	out := admin.Status{
		Node: s.Node, Version: b.version, StoreID: s.StoreID, Run: s.Run, Started: b.started, Database: b.config.Database(),
		Connected: s.Connected, Health: s.Health, Troubles: append([]string{}, s.Troubles...),
		Queued: s.Queued, Accepted: s.Accepted, Refused: s.Refused, Delivered: s.Delivered, Handled: s.Handled, Retries: s.Retries,
		NotHandled: s.NotDone, Dead: s.Dead, DeadBy: s.DeadBy, DeadKept: s.DeadKept, DiskBytes: s.DiskBytes, Gaps: s.Gaps, Resets: s.Resets, Corrupt: s.Corrupt,
		Channels: []admin.ChannelStatus{}, Handlers: []admin.HandlerStatus{}, Peers: []admin.PeerStatus{},
	}
	for _, c := range s.Channels {
		out.Channels = append(out.Channels, admin.ChannelStatus{Name: c.Name, Role: c.Role, Awake: c.Awake})
	}
	for i, h := range b.config.Handlers {
		info := b.modules.loaded[i].Info()
		status := admin.HandlerStatus{Name: h.Name, Module: h.Module, SHA256: info.SHA256, Kind: string(info.Kind), Channels: h.Channels,
			Since: info.Since, Reloads: info.Reloads}
		if r := info.Refused; r != nil {
			status.Refused = &admin.Refusal{At: r.At, SHA256: r.SHA256, Reason: r.Reason}
		}
		out.Handlers = append(out.Handlers, handlerStatus(&s, status))
	}
	for i := range s.Peers {
		out.Peers = append(out.Peers, peerStatus(&s.Peers[i]))
	}
	return out
}

// handlerStatus adds what the engine has counted.
func handlerStatus(s *engine.Status, out admin.HandlerStatus) admin.HandlerStatus {
	out.Latency = []admin.Bucket{}
	for i := range s.Handlers {
		h := &s.Handlers[i]
		if h.Name != out.Name {
			continue
		}
		out.Runs, out.Retried, out.Rejected, out.Failed, out.Busy = h.Runs, h.Retried, h.Rejected, h.Failed, h.Busy.Seconds()
		out.Error, out.ErrorAt = h.Error, h.ErrorAt
		for j, n := range h.Buckets {
			out.Latency = append(out.Latency, admin.Bucket{Seconds: engine.HandlerBuckets[j].Seconds(), Runs: n})
		}
	}
	return out
}

func peerStatus(p *engine.PeerStatus) admin.PeerStatus {
	out := admin.PeerStatus{Node: p.Node, Online: p.Online, LastHeard: p.LastHeard, State: p.State, Queued: p.Queued, Handled: p.Handled,
		Readers: []admin.ReaderStatus{}, Links: []admin.LinkStatus{}}
	for _, r := range p.Readers {
		out.Readers = append(out.Readers, admin.ReaderStatus(r))
	}
	for _, l := range p.Links {
		out.Links = append(out.Links, admin.LinkStatus{Out: l.Out, Domain: l.Domain, Open: l.Open, Channels: append([]string{}, l.Channels...),
			Frames: l.Frames, Waiting: l.Waiting, RTT: l.RTT.Seconds()})
	}
	return out
}

// DeadLetters returns up to n dead letters with ids below before, newest first, without their contents.
func (b *backend) DeadLetters(before int64, n int) ([]admin.DeadLetter, error) {
	list, err := b.conn.DeadLetters(before, n)
	if err != nil {
		return nil, err
	}
	out := make([]admin.DeadLetter, len(list))
	for i := range list {
		out[i] = deadLetter(&list[i])
	}
	return out, nil
}

// DeadLetter returns a dead letter with its content.
func (b *backend) DeadLetter(id int64) (admin.DeadLetter, error) {
	d, err := b.conn.DeadLetter(id)
	if err != nil {
		return admin.DeadLetter{}, apiError(err)
	}
	return deadLetter(&d), nil
}

func deadLetter(d *engine.DeadLetter) admin.DeadLetter {
	out := admin.DeadLetter{ID: d.ID, At: d.At, Side: "receiver", Message: d.Message.String(), From: d.From, Channel: d.Channel, To: d.To,
		Reader: d.Reader, Reason: d.Reason, Detail: d.Detail, Handler: d.Handler, Attempts: d.Attempts, CreatedAt: d.CreatedAt, Content: d.Content}
	if d.Sender {
		out.Side = "sender"
	}
	for _, h := range d.Headers {
		if out.Headers == nil {
			out.Headers = map[string]string{}
		}
		out.Headers[h.Key] = h.Value
	}
	return out
}

// Reload is Node.Reload.
func (b *backend) Reload(ctx context.Context, names ...string) ([]admin.Reloaded, error) {
	return (*Node)(b).Reload(ctx, names...)
}

// Send sends a message and waits for this node's disk.
func (b *backend) Send(ctx context.Context, m admin.Outgoing) (string, error) {
	ch, opts, err := b.outgoing(m)
	if err != nil {
		return "", err
	}
	if m.To != "" {
		opts = append(opts, engine.To(m.To))
	}
	id, err := ch.Send(ctx, m.Content, opts...)
	if err != nil {
		return "", apiError(err)
	}
	return id.String(), nil
}

// Request sends a message and waits for the first reply.
func (b *backend) Request(ctx context.Context, m admin.Outgoing) (*admin.Message, error) {
	ch, opts, err := b.outgoing(m)
	if err != nil {
		return nil, err
	}
	r, err := ch.Request(ctx, m.To, m.Content, opts...)
	if err != nil {
		return nil, apiError(err)
	}
	return &admin.Message{ID: r.ID.String(), Channel: r.Channel, Sender: r.Sender, CreatedAt: r.CreatedAt,
		InReplyTo: r.InReplyTo, Headers: r.Headers, Content: r.Data}, nil
}

func (b *backend) outgoing(m admin.Outgoing) (*engine.Channel, []engine.SendOption, error) {
	ch := b.channels[m.Channel]
	if ch == nil {
		return nil, nil, admin.Errorf(admin.CodeNotFound, "node %s does not join channel %q: add a [[channel]] to its configuration", b.config.Node.ID, m.Channel)
	}
	var opts []engine.SendOption
	if m.TTL > 0 {
		opts = append(opts, engine.Timeout(m.TTL))
	}
	for key, value := range m.Headers {
		opts = append(opts, engine.WithHeader(key, value))
	}
	return ch, opts, nil
}

// Get reads a handler's store.
func (b *backend) Get(store, key string) ([]byte, bool, error) {
	if err := b.checkStore(store); err != nil {
		return nil, false, err
	}
	return b.conn.KV(store).Get(key)
}

// List reads a part of a handler's store. It is no snapshot: the handler may write meanwhile.
func (b *backend) List(store, prefix, after string, n int) ([]admin.Entry, error) {
	if err := b.checkStore(store); err != nil {
		return nil, err
	}
	kv := b.conn.KV(store)
	var out []admin.Entry
	if after < prefix {
		if v, ok, err := kv.Get(prefix); prefix != "" && err == nil && ok { // Next would step over it
			out = append(out, admin.Entry{Key: prefix, Value: v})
		} else if prefix != "" && err != nil {
			return nil, err
		}
		after = prefix
	}
	for len(out) < n {
		key, ok, err := kv.Next(after)
		if err != nil {
			return nil, err
		}
		if !ok || !strings.HasPrefix(key, prefix) {
			break
		}
		after = key
		v, ok, err := kv.Get(key)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, admin.Entry{Key: key, Value: v})
		}
	}
	return out, nil
}

func (b *backend) checkStore(store string) error {
	for i := range b.config.Handlers {
		if b.config.Handlers[i].Name == store {
			return nil
		}
	}
	return admin.Errorf(admin.CodeNotFound, "node %s has no handler %q", b.config.Node.ID, store)
}

// apiError classes an error of the engine.
func apiError(err error) error {
	for _, class := range []struct {
		of   error
		code admin.Code
	}{
		{engine.ErrQueueFull, admin.CodeQueueFull}, {engine.ErrMessageTooLarge, admin.CodeTooLarge},
		{engine.ErrNotWriter, admin.CodeNotAllowed}, {engine.ErrBadName, admin.CodeBadRequest}, {engine.ErrConfig, admin.CodeBadRequest},
		{engine.ErrNotFound, admin.CodeNotFound}, {engine.ErrStorage, admin.CodeStorage}, {engine.ErrClosed, admin.CodeClosed},
		{context.DeadlineExceeded, admin.CodeTimeout},
	} {
		if errors.Is(err, class.of) {
			return admin.Errorf(class.code, "%v", err)
		}
	}
	return err
}
