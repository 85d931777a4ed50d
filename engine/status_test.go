package engine

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestStatusFigures holds that the status tells what a handler has done, how old what waits is, from memory and from
// disk, and which links there are.
func TestStatusFigures(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := &Handler{Name: "picky", MaxAttempts: 2, Func: func(_ context.Context, tx *Tx, m *Message) error {
			time.Sleep(20 * time.Millisecond)
			switch string(m.Data) {
			case "bad":
				return errors.New("cannot")
			case "refused":
				return Rejected("not wanted")
			case "later":
				if m.Attempt == 1 {
					return RetryAfter(time.Second, "busy")
				}
			}
			return tx.Reply([]byte("ok"))
		}}
		net, a, b := pair(t, writeX, func(c *Connection) { check(t, c.Join("x", ReadOnly).Handle(h)) })
		x := a.conn.channel("x")
		check(t, x.OnReply(func(m *Message) { check(t, m.Ack()) }))
		for _, s := range []string{"good", "bad", "refused", "later"} {
			check(t, x.SendMessage(s, WithHeader("k", "v")))
		}
		eventually(t, time.Minute, "the queues are empty", func() bool {
			s := b.conn.Status()
			return a.conn.Status().Queued == 0 && s.Handled == 4 && s.Queued == 0 && s.Accepted == 2
		})

		s := b.conn.Status()
		if len(s.Handlers) != 1 {
			t.Fatalf("handlers are %+v", s.Handlers)
		}
		f := s.Handlers[0]
		if f.Name != "picky" || f.Runs != 6 || f.Failed != 2 || f.Rejected != 1 || f.Retried != 1 || f.Error != "rejected: not wanted" || f.ErrorAt.IsZero() {
			t.Errorf("the handler's figures are %+v", f)
		}
		if f.Busy != 120*time.Millisecond || f.Buckets[5] != 0 || f.Buckets[6] != 6 {
			t.Errorf("busy %v, buckets %v", f.Busy, f.Buckets)
		}
		if s.Dead != 2 || s.DeadBy["attempts"] != 1 || s.DeadBy["rejected"] != 1 || s.DeadKept != 2 || s.DiskBytes == 0 {
			t.Errorf("dead %d %v, kept %d; %d bytes on disk", s.Dead, s.DeadBy, s.DeadKept, s.DiskBytes)
		}
		in := s.Peers[0].Links[len(s.Peers[0].Links)-1]
		if s.Peers[0].Handled != 4 || in.Out || !in.Open || in.Domain != domainStrict || len(in.Channels) != 1 || in.Channels[0] != "x" {
			t.Errorf("b's peer is %+v", s.Peers[0])
		}
		if out := a.conn.Status().Peers[0].Links[0]; !out.Out || !out.Open || out.Channels[0] != "x" || out.RTT == 0 {
			t.Errorf("a's link is %+v", out)
		}

		net.Partition("b")
		for range 3 {
			check(t, x.SendMessage("good"))
			time.Sleep(10 * time.Second)
		}
		if age := oldest(t, a.conn, "x"); age != 30*time.Second {
			t.Errorf("the oldest waits for %v by the memory, want 30s", age)
		}
		a.conn.tail.mu.Lock()
		a.conn.tail.blocks = nil // as after a restart
		a.conn.tail.mu.Unlock()
		if age := oldest(t, a.conn, "x"); age != 30*time.Second {
			t.Errorf("the oldest waits for %v by the disk, want 30s", age)
		}
	})
}

// oldest is how long the oldest message of the only reader of a channel has waited.
func oldest(t *testing.T, c *Connection, channel string) time.Duration {
	t.Helper()
	for _, r := range c.Status().Peers[0].Readers {
		if r.Channel == channel {
			return time.Since(r.Oldest)
		}
	}
	t.Fatalf("nobody reads %s", channel)
	return 0
}

func TestDeadLettersAreRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := &Handler{Name: "no", Func: func(context.Context, *Tx, *Message) error { return Rejected("never") }}
		_, a, b := pair(t, writeX, func(c *Connection) { check(t, c.Join("x", ReadOnly).Handle(h)) })
		for _, s := range []string{"1", "2", "3"} {
			check(t, a.conn.channel("x").SendMessage(s, WithHeader("n", s)))
		}
		eventually(t, time.Minute, "all are set aside", func() bool { return b.conn.Status().DeadKept == 3 })

		all, err := b.conn.DeadLetters(0, 2)
		check(t, err)
		if len(all) != 2 || all[0].ID <= all[1].ID || all[0].Content != nil {
			t.Fatalf("the newest two are %+v", all)
		}
		rest, err := b.conn.DeadLetters(all[1].ID, 10)
		check(t, err)
		if len(rest) != 1 {
			t.Fatalf("before them: %+v", rest)
		}
		d, err := b.conn.DeadLetter(rest[0].ID)
		check(t, err)
		if string(d.Content) != "1" || len(d.Headers) != 1 || d.Headers[0] != (Header{"n", "1"}) || d.Sender || d.From != "a" || d.Reader != "b" ||
			d.Channel != "x" || d.Reason != "rejected" || d.Detail != "never" || d.Handler != "no" || d.Attempts != 1 || d.Message.Seq != 1 ||
			d.At.Before(d.CreatedAt) {
			t.Errorf("the first is %+v", d)
		}
		if _, err := b.conn.DeadLetter(99); !errors.Is(err, ErrNotFound) {
			t.Errorf("one that is not there: %v", err)
		}
	})
}
