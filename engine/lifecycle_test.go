package engine

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/getevo/rmds/engine/internal/bus"
	"github.com/getevo/rmds/engine/internal/store"
)

// TestCloseAcknowledges: what was handled when a node is closed is acknowledged before it goes.
func TestCloseAcknowledges(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := bus.NewNetwork(1)
		a, b := newSimNode(t, net, "a", writeX), newSimNode(t, net, "b", readX(t))
		a.start()
		b.start()
		defer a.stop()
		time.Sleep(3 * time.Second)
		begun := make(chan struct{})
		check(t, b.conn.Join("y", ReadOnly).OnMessage(func(m *Message) {
			close(begun)
			time.Sleep(time.Second)
			check(t, m.Ack())
		}))
		time.Sleep(3 * time.Second)
		check(t, a.conn.Join("y", WriteOnly).SendMessage("1"))
		<-begun
		b.stop()
		time.Sleep(time.Second)
		if q := a.conn.Status().Queued; q != 0 {
			t.Errorf("%d messages wait, want 0", q)
		}
	})
}

// TestCloseStartsNothing: a peer that opens a link while a node waits for its handlers to end gets nothing handled, and
// leaves no goroutine behind.
func TestCloseStartsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := bus.NewNetwork(1)
		net.Set(bus.Faults{Delay: time.Millisecond})
		var late atomic.Int64
		var closing atomic.Bool
		begun := make(chan struct{}, 1)
		b := newSimNode(t, net, "b", func(c *Connection) {
			check(t, c.Join("x", ReadOnly).Handle(&Handler{Name: "slow", Func: func(context.Context, *Tx, *Message) error {
				if closing.Load() {
					late.Add(1)
				}
				begun <- struct{}{}
				time.Sleep(10 * time.Second)
				return nil
			}}))
		})
		a, d := newSimNode(t, net, "a", writeX), newSimNode(t, net, "d", writeX)
		a.start()
		b.start()
		time.Sleep(3 * time.Second)
		sendRange(t, a.conn, 1, 1)
		<-begun
		ended := make(chan struct{})
		closing.Store(true)
		go func() { b.stop(); close(ended) }()
		time.Sleep(time.Second)
		d.start()
		sendRange(t, d.conn, 1, 1)
		<-ended
		time.Sleep(time.Minute)
		if n := late.Load(); n != 0 {
			t.Errorf("%d messages were handled after Close was called", n)
		}
		a.stop()
		d.stop()
	})
}

// TestCloseDoesNotSpin: a handler that gives up because the node closes is not called again and again.
func TestCloseDoesNotSpin(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := bus.NewNetwork(1)
		net.Set(bus.Faults{Delay: time.Millisecond})
		var runs atomic.Int64
		begun := make(chan struct{})
		b := newSimNode(t, net, "b", func(c *Connection) {
			check(t, c.Join("x", ReadOnly).Handle(&Handler{Name: "h", Func: func(ctx context.Context, _ *Tx, _ *Message) error {
				if runs.Add(1) == 1 {
					close(begun)
				}
				<-ctx.Done()
				return ctx.Err()
			}}))
		})
		a := newSimNode(t, net, "a", writeX)
		a.start()
		b.start()
		sendRange(t, a.conn, 1, 1)
		<-begun
		b.conn.loop.post(func() { time.Sleep(time.Millisecond) }) // Close has to wait for the loop
		b.stop()
		if runs := runs.Load(); runs != 1 {
			t.Errorf("the handler ran %d times", runs)
		}
		a.stop()
	})
}

// TestAttemptsSurviveRestart: attempts count through a clean restart too, and their row goes with the message.
func TestAttemptsSurviveRestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var last atomic.Int64
		var well atomic.Bool
		net := bus.NewNetwork(1)
		net.Set(bus.Faults{Delay: time.Millisecond})
		a := newSimNode(t, net, "a", writeX)
		b := newSimNode(t, net, "b", func(c *Connection) {
			check(t, c.Join("x", ReadOnly).Handle(&Handler{Name: "h", Func: func(_ context.Context, _ *Tx, m *Message) error {
				last.Store(int64(m.Attempt))
				if !well.Load() {
					return RetryAfter(time.Second, "no")
				}
				return nil
			}}))
		})
		a.start()
		b.start()
		defer func() { a.stop(); b.stop() }()
		sendRange(t, a.conn, 1, 1)
		for last.Load() < 3 {
			time.Sleep(100 * time.Millisecond)
		}
		b.stop()
		well.Store(true)
		b.start()
		time.Sleep(20 * time.Second)
		if last.Load() != 4 {
			t.Errorf("attempt %d after the restart, want 4", last.Load())
		}
		pos, err := b.conn.st.Positions("a")
		check(t, err)
		n, err := b.conn.st.AttemptCount(store.AttemptKey{Sender: "a", Run: a.conn.run, Seq: 1, Membership: pos[0].Membership})
		check(t, err)
		if n != 0 {
			t.Errorf("%d attempts are still stored", n)
		}
	})
}

// TestHandlersWaitForDisk: a handler whose output outruns the disk waits, and does not fill the memory.
func TestHandlersWaitForDisk(t *testing.T) {
	net := bus.NewNetwork(1)
	hold := make(chan struct{})
	var stuck atomic.Bool
	a := newSimNode(t, net, "a", writeX)
	b := newSimNode(t, net, "b", func(c *Connection) {
		check(t, c.Join("x", ReadOnly).Handle(&Handler{Name: "h", Func: func(_ context.Context, tx *Tx, _ *Message) error {
			stuck.Store(true)
			return tx.Set("k", make([]byte, 1<<20))
		}}))
	})
	b.cfg = func(c *Config) {
		c.Fault = func(op string) error {
			if op == "Commit" && stuck.Load() {
				<-hold
			}
			return nil
		}
	}
	a.start()
	b.start()
	time.Sleep(200 * time.Millisecond)
	for n := range 200 {
		a.conn.channel("x").SendAsync(strconv.Itoa(n))
	}
	time.Sleep(time.Second)
	c := b.conn.commit
	c.mu.Lock()
	waiting := c.bytes
	c.mu.Unlock()
	close(hold)
	if waiting > maxWaitingBytes+2<<20 {
		t.Errorf("%d bytes wait for their commit", waiting)
	}
	a.stop()
	b.stop()
}

// TestShutdown: a handler that runs may finish, until the context ends; its effects count. No other is started.
func TestShutdown(t *testing.T) {
	for _, tc := range []struct {
		patience time.Duration
		handled  int
	}{{time.Minute, 1}, {time.Second, 0}} {
		bubble(t, func(t *testing.T) {
			net := bus.NewNetwork(1)
			work := tally("work")
			slow := &Handler{Name: "work", Func: func(ctx context.Context, tx *Tx, m *Message) error {
				select {
				case <-time.After(10 * time.Second):
				case <-ctx.Done():
					return ctx.Err()
				}
				return work.Func(ctx, tx, m)
			}}
			a := newSimNode(t, net, "a", writeX)
			b := newSimNode(t, net, "b", func(c *Connection) { check(t, c.Join("x", ReadOnly).Handle(slow)) })
			a.start()
			b.start()
			sendRange(t, a.conn, 1, 2)
			time.Sleep(3 * time.Second)
			ctx, cancel := context.WithTimeout(t.Context(), tc.patience)
			defer cancel()
			check(t, b.conn.Shutdown(ctx))
			b.join = nil
			b.start()
			if n := kvNumber(t, b.conn, "work", "count/a"); n != tc.handled {
				t.Errorf("with %v of patience %d were handled, want %d", tc.patience, n, tc.handled)
			}
			a.stop()
			b.stop()
		})
	}
}

// TestRequestSurvivesRestarts: the reader is off when the request is sent, then the sender is restarted while the answer
// is on its way. The answer names the request, and goes to the handler of replies, once.
func TestRequestSurvivesRestarts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := bus.NewNetwork(1)
		var answered []string
		var mu sync.Mutex
		a := newSimNode(t, net, "a", func(c *Connection) {
			check(t, c.Join("x", WriteOnly).HandleReplies(&Handler{Name: "answers", Func: func(_ context.Context, tx *Tx, m *Message) error {
				mu.Lock()
				defer mu.Unlock()
				answered = append(answered, m.InReplyTo+" "+string(m.Data))
				return increment(tx, "count")
			}}))
		})
		b := newSimNode(t, net, "b", readX(t))
		a.start()
		b.start()
		sendRange(t, a.conn, 1, 1)
		eventually(t, time.Minute, "they have met", handled(t, b.conn, 1))
		b.stop()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := a.conn.channel("x").Request(ctx, "", "2"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("a request that nobody can answer: %v", err)
		}
		id := MessageID{a.conn.run, a.conn.tail.lastSeq()}.String()
		a.stop()
		b.start()
		a.start()
		eventually(t, time.Minute, "both are answered", func() bool { return kvNumber(t, a.conn, "answers", "count") == 2 })
		time.Sleep(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if len(answered) != 2 || answered[1] != id+" 2" {
			t.Errorf("answers were %q, want the second for %s", answered, id)
		}
		a.stop()
		b.stop()
	})
}
