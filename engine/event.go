package engine

import (
	"sync"
	"time"
)

// Event is something that an operator should hear of: Config.OnEvent gets them all, and each is logged. The kinds:
//
//	connected, disconnected         this node and NATS
//	auth_denied, bus_error          NATS refuses something; the text says what
//	member_joined, member_left      a node has begun, or ended, to read a channel that this one writes
//	reader_gone                     a reader was given up after Config.ReaderExpiry
//	dead_letter, withdrawn          messages were set aside; such a message turned out to have been handled
//	not_handled                     a reader has set aside a message of this node
//	gap                             messages that another node has sent will never come; the text says which and why
//	identity_conflict               two running nodes have one name
//	rollback_detected               a sender's database was put back to an older state
//	sender_replaced                 a sender has a new database
//	storage_failed, storage_ok      the disk fails; it works again
//	command, command_refused        a management command was obeyed, or refused
//	kicked, unkicked                a node was kicked out, or may come back
type Event struct {
	At                  time.Time
	Kind, Node, Channel string // Node and Channel may be empty
	Text                string
}

// emit logs an event and hands it to Config.OnEvent.
func (c *Connection) emit(e Event) {
	e.At = c.wall()
	c.log.Info(e.Kind, "peer", e.Node, "channel", e.Channel, "text", e.Text)
	c.events.add(e)
}

// maxQueuedEvents bounds what waits for a slow OnEvent; the oldest goes first.
const maxQueuedEvents = 4096

// eventQueue calls OnEvent from one goroutine, so that no caller of emit ever waits for it.
type eventQueue struct {
	fn       func(Event)
	mu       sync.Mutex
	queue    []Event
	closed   bool
	wake     chan struct{}
	finished chan struct{}
}

func newEventQueue(fn func(Event)) *eventQueue {
	q := &eventQueue{fn: fn, wake: make(chan struct{}, 1), finished: make(chan struct{})}
	if fn == nil {
		close(q.finished)
	} else {
		go q.run()
	}
	return q
}

func (q *eventQueue) add(e Event) {
	if q.fn == nil {
		return
	}
	q.mu.Lock()
	if len(q.queue) == maxQueuedEvents {
		q.queue = q.queue[1:]
	}
	q.queue = append(q.queue, e)
	q.mu.Unlock()
	q.signal()
}

func (q *eventQueue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *eventQueue) run() {
	defer close(q.finished)
	for {
		q.mu.Lock()
		events, closed := q.queue, q.closed
		q.queue = nil
		q.mu.Unlock()
		for _, e := range events {
			q.fn(e)
		}
		if len(events) > 0 {
			continue
		}
		if closed {
			return
		}
		<-q.wake
	}
}

// close delivers what waits and ends the goroutine.
func (q *eventQueue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.signal()
	<-q.finished
}
