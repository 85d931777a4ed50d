package bus

import (
	"container/heap"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Mem is a client of a Network and a Bus. One goroutine calls its handlers and hears its events, in turn.
type Mem struct {
	network *Network
	name    string
	wake    chan struct{} // holds a token when there may be something to do
	ended   chan struct{} // closed when run has returned

	// The rest is guarded by network.mu.
	up            bool
	closed        bool
	listener      func(Event)
	events        []Event // not yet told
	subscriptions []*memSubscription
	queue         deliveryQueue
}

var _ Bus = (*Mem)(nil)

// memSubscription is one Subscribe call. Its fields are guarded by the network's mu.
type memSubscription struct {
	pattern string
	handler Handler
	ended   bool
	last    map[*Mem]time.Time // when the last message kept in order arrives, by sender
}

// Publish implements Bus.
func (m *Mem) Publish(subject string, data []byte) error {
	if err := checkSubject(subject, false); err != nil {
		return err
	}
	if len(data) > defaultMaxPayload {
		return fmt.Errorf("%w: %d bytes to %s, limit %d", ErrTooLarge, len(data), subject, defaultMaxPayload)
	}
	n := m.network
	n.mu.Lock()
	defer n.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	if !m.up {
		return ErrDisconnected
	}
	n.publish(m, subject, data)
	return nil
}

// Subscribe implements Bus.
func (m *Mem) Subscribe(subject string, handler Handler) (unsubscribe func(), err error) {
	if err := checkSubject(subject, true); err != nil {
		return nil, err
	}
	n := m.network
	n.mu.Lock()
	defer n.mu.Unlock()
	if m.closed {
		return nil, ErrClosed
	}
	s := &memSubscription{pattern: subject, handler: handler, last: make(map[*Mem]time.Time)}
	m.subscriptions = append(m.subscriptions, s)
	return sync.OnceFunc(func() { m.unsubscribe(s) }), nil
}

func (m *Mem) unsubscribe(s *memSubscription) {
	m.network.mu.Lock()
	defer m.network.mu.Unlock()
	s.ended = true
	m.subscriptions = slices.DeleteFunc(m.subscriptions, func(other *memSubscription) bool { return other == s })
}

// MaxPayload implements Bus. It is NATS's default, 1 MiB.
func (m *Mem) MaxPayload() int { return defaultMaxPayload }

// Connected implements Bus.
func (m *Mem) Connected() bool {
	m.network.mu.Lock()
	defer m.network.mu.Unlock()
	return m.up && !m.closed
}

// OnEvent implements Bus.
func (m *Mem) OnEvent(f func(Event)) {
	m.network.mu.Lock()
	defer m.network.mu.Unlock()
	m.listener = f
	if m.up {
		m.tell(Connected)
	}
}

// Down takes the client off the line: it hears Disconnected, and what was on its way to it is lost.
func (m *Mem) Down() { m.setUp(false) }

// Up ends Down: the client hears Connected.
func (m *Mem) Up() { m.setUp(true) }

func (m *Mem) setUp(up bool) {
	m.network.mu.Lock()
	defer m.network.mu.Unlock()
	if m.closed || m.up == up {
		return
	}
	m.up = up
	if up {
		m.tell(Connected)
		return
	}
	m.queue = nil
	m.tell(Disconnected)
}

// tell queues an event for the listener, if there is one. The caller holds network.mu.
func (m *Mem) tell(kind EventKind) {
	if m.listener != nil {
		m.events = append(m.events, Event{Kind: kind, Text: "in-memory network"})
		m.poke()
	}
}

// Close implements Bus. What the client published before still arrives.
func (m *Mem) Close() {
	m.network.mu.Lock()
	if !m.closed {
		m.closed = true
		m.network.remove(m)
		m.poke()
	}
	m.network.mu.Unlock()
	<-m.ended
}

// poke makes run look again.
func (m *Mem) poke() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// run tells events and delivers messages when they are due, until the client is closed.
func (m *Mem) run() {
	defer close(m.ended)
	for {
		call, wait, closed := m.next()
		switch {
		case closed:
			return
		case call != nil:
			call()
		case wait > 0:
			timer := time.NewTimer(wait)
			select {
			case <-m.wake:
			case <-timer.C:
			}
			timer.Stop()
		default:
			<-m.wake
		}
	}
}

// next returns the call that is due, or how long to wait for one; all zero means that nothing is on its way.
func (m *Mem) next() (call func(), wait time.Duration, closed bool) {
	m.network.mu.Lock()
	defer m.network.mu.Unlock()
	if m.closed {
		return nil, 0, true
	}
	if len(m.events) > 0 {
		e, f := m.events[0], m.listener
		m.events = m.events[1:]
		return func() { f(e) }, 0, false
	}
	for len(m.queue) > 0 {
		if wait := time.Until(m.queue[0].due); wait > 0 {
			return nil, wait, false
		}
		d := heap.Pop(&m.queue).(delivery)
		if !d.to.ended {
			return func() { d.to.handler(d.subject, d.data) }, 0, false
		}
	}
	return nil, 0, false
}
