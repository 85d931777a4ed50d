package bus

import (
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
)

// natsSubscription is one Subscribe call. It outlives connections.
type natsSubscription struct {
	subject string
	handler Handler
	ended   atomic.Bool
	remote  *nats.Subscription // what the present connection knows it as; nil: not yet. Guarded by natsBus.mu
}

// Subscribe implements Bus.
func (b *natsBus) Subscribe(subject string, handler Handler) (unsubscribe func(), err error) {
	if err := checkSubject(subject, true); err != nil {
		return nil, err
	}
	if b.closing.Load() {
		return nil, ErrClosed
	}
	s := &natsSubscription{subject: subject, handler: handler}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.subscriptions[s] = struct{}{}
	if nc := b.live.Load(); nc != nil {
		b.attachOne(nc, s)
	}
	return sync.OnceFunc(func() { b.unsubscribe(s) }), nil
}

func (b *natsBus) unsubscribe(s *natsSubscription) {
	s.ended.Store(true)
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.subscriptions, s)
	if s.remote == nil {
		return
	}
	if b.live.Load() == nil {
		// nats.go may hold its lock for as long as it dials.
		b.dropped = append(b.dropped, s.remote)
		return
	}
	detach(s.remote)
}

// attach brings what nc knows of the subscriptions up to date.
func (b *natsBus) attach(nc *nats.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, remote := range b.dropped {
		detach(remote)
	}
	b.dropped = nil
	for s := range b.subscriptions {
		if s.remote == nil {
			b.attachOne(nc, s)
		}
	}
}

// attachOne makes s known to nc. The only error left, with a valid subject, is that nc was closed; then the next
// connection takes s up. The caller holds mu.
func (b *natsBus) attachOne(nc *nats.Conn, s *natsSubscription) {
	remote, err := nc.Subscribe(s.subject, func(m *nats.Msg) { b.deliver(s, m) })
	if err != nil {
		return
	}
	s.remote = remote
	_ = remote.SetPendingLimits(pendingMessages, pendingBytes) // fails only if nc was closed meanwhile
}

// detach ends a subscription on its connection.
func detach(remote *nats.Subscription) {
	_ = remote.Unsubscribe() // fails only if the connection was closed, which ends its subscriptions as well
}

// deliver calls the handler of s, unless s or the bus has ended.
func (b *natsBus) deliver(s *natsSubscription, m *nats.Msg) {
	b.calls.RLock()
	defer b.calls.RUnlock()
	if !s.ended.Load() && !b.over {
		s.handler(m.Subject, m.Data)
	}
}
