package engine

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"time"

	"github.com/getevo/rmds/engine/internal/wire"
)

// lockStores takes the stores of all handlers, in name order so that two takers never wait for each other.
func lockStores(handlers []*boundHandler) []*kvStore {
	stores := make([]*kvStore, len(handlers))
	for i, b := range handlers {
		stores[i] = b.kv
	}
	sort.Slice(stores, func(i, j int) bool { return stores[i].name < stores[j].name })
	for _, k := range stores {
		k.run.Lock()
	}
	return stores
}

// taker is who handles a record: a waiting Request, a function with Ack, or transactional handlers in order.
type taker struct {
	wait     chan<- *Message
	fn       func(*Message)
	handlers []*boundHandler
	ch       *Channel
}

func (t *taker) permits(sender string) bool { return t.ch == nil || t.ch.permitsWriter(sender) }

func (t *taker) maxAttempts(def int) int {
	for _, b := range t.handlers {
		if b.h.MaxAttempts > 0 {
			return b.h.MaxAttempts
		}
	}
	return def
}

// run makes one attempt. unlock must be called after the unit was handed to the committer: the stores of the handlers
// stay locked until then, so that commits keep the order of runs.
func (t *taker) run(c *Connection, m *Message, rec *wire.Record, epoch uint64) (u *unit, v verdict, unlock func()) {
	switch {
	case t.wait != nil:
		t.wait <- m // capacity 1, and taken out of the table: never blocks
		return &unit{}, verdict{}, func() {}
	case t.fn != nil:
		return &unit{}, t.call(c, m), func() {}
	}
	u = &unit{}
	locked := lockStores(t.handlers)
	unlock = func() {
		for _, k := range locked {
			k.run.Unlock()
		}
	}
	for _, b := range t.handlers {
		b.forget(epoch)
		tx := &Tx{conn: c, kv: b.kv, sends: b.h.Sends, msg: rec, run: m.ID.Run, from: m.Sender, hops: derived(rec.Hops), now: c.wall().UnixNano()}
		began := time.Now()
		err := runHandler(c.ctx, b.h, tx, m)
		b.figures.ran(time.Since(began), verdict{err}, c.wall())
		if err != nil {
			return u, verdict{err: err}, unlock
		}
		u.merge(c, tx, m)
	}
	return u, verdict{}, unlock
}

var errAckTimeout = errors.New("no Ack within ACKTimeout")

// call runs an OnMessage function and waits for its answer, and for its return.
func (t *taker) call(c *Connection, m *Message) (v verdict) {
	m.token = newAttemptToken()
	m.reply = func(content []byte) error { return c.reply(m, content) }
	timer := time.AfterFunc(c.cfg.ACKTimeout, func() {
		if m.token.answer(verdict{err: errAckTimeout}) == nil {
			c.log.Warn("handler gave no Ack in time", "channel", m.Channel, "message", m.ID.String(), "timeout", c.cfg.ACKTimeout)
		}
	})
	defer timer.Stop()
	func() {
		defer func() {
			if p := recover(); p != nil {
				_ = m.token.answer(verdict{err: fmt.Errorf("handler panicked: %v", p)}) // an earlier Ack stands
			}
		}()
		t.fn(m)
	}()
	select {
	case v = <-m.token.ch:
		return v
	case <-c.ctx.Done():
		m.token.expire()
		select {
		case v = <-m.token.ch: // answered before: that counts
			return v
		default:
			return verdict{err: context.Canceled}
		}
	}
}
