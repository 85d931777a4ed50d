package engine

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/getevo/rmds/engine/internal/wire"
)

// HeadTick is the header that a tick has and no other message needs: the time that it stands for, in Unix nanoseconds.
const HeadTick = "tick"

// Every has a handler called by time, until Close. It gets a message of this node to itself without content, channel or
// place in the log, with the header HeadTick; what it does takes effect as for any message, except that nobody is there
// to reply to. The same handler, or one with a store of the same name, may handle channels: runs never overlap.
//
// The first tick comes one interval from now. Ticks that come while one runs, or while storage fails, are one tick
// afterwards. A run that fails, or asks for it, is repeated after a pause until the next tick takes its place; when it
// rejects the tick, it is not. Nothing is set aside as a dead letter: the next tick comes anyway.
func (c *Connection) Every(interval time.Duration, h *Handler) error {
	if interval <= 0 {
		return fmt.Errorf("%w: interval of %v between ticks: it must be positive", ErrConfig, interval)
	}
	if h == nil || h.Func == nil {
		return fmt.Errorf("%w: a handler needs a Func", ErrConfig)
	}
	if err := CheckNodeID(h.Name); err != nil {
		return fmt.Errorf("handler name: %w", err)
	}
	select {
	case <-c.stopping:
		return ErrClosed
	default:
	}
	epoch, _ := c.commit.state()
	b := &boundHandler{h: h, kv: c.kvStore(h.Name), figures: c.figures(h.Name), seen: epoch}
	c.domains.Go(func() { c.tick(interval, b) })
	return nil
}

// tick is the goroutine of one Every.
func (c *Connection) tick(interval time.Duration, b *boundHandler) {
	ticks := time.NewTicker(interval) // it keeps one tick for a reader that is late, and no more
	defer ticks.Stop()
	again := time.NewTimer(time.Hour)
	again.Stop()
	attempt := 0
	for {
		select {
		case <-ticks.C:
			attempt = 1
		case <-again.C:
			select {
			case <-ticks.C: // takes its place
				attempt = 1
			default:
				attempt++
			}
		case <-c.stopping:
			return
		}
		again.Stop()
		err := c.tickOnce(b, attempt)
		v := verdict{err}
		_, rejected := v.rejected()
		switch {
		case err == nil || c.ctx.Err() != nil:
		case errors.Is(err, errDiscarded):
			again.Reset(0)
		default:
			c.log.Warn("tick", "handler", b.h.Name, "attempt", attempt, "err", err)
			if !rejected {
				again.Reset(v.pause(attempt, c.cfg.DeliveryRetryInterval))
			}
		}
	}
}

// tickOnce runs the handler once, when storage works, and returns when what it did is on disk.
func (c *Connection) tickOnce(b *boundHandler, attempt int) error {
	epoch, healthy := c.commit.state()
	select {
	case <-healthy:
	case <-c.stopping:
		return context.Canceled
	}
	now := c.wall().UnixNano()
	rec := &wire.Record{Created: now, Headers: []wire.Header{{Key: HeadTick, Value: strconv.FormatInt(now, 10)}}}
	t := &taker{handlers: []*boundHandler{b}}
	u, v, unlock := t.run(c, newMessage(c.run, c.cfg.NodeID, rec, attempt), rec, epoch)
	if v.err != nil {
		unlock()
		return v.err
	}
	u.handled = &advance{epoch: epoch} // no position to move, but void with those that ran before it
	committed := make(chan error, 1)
	u.done = func(err error) {
		if err == nil {
			u.committed()
			c.count.accepted.Add(int64(len(u.records)))
		}
		committed <- err
	}
	err := c.commit.add(u)
	unlock()
	if err != nil {
		return err
	}
	return <-committed
}
