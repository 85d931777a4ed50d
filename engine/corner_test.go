package engine

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/getevo/rmds/engine/internal/bus"
	"github.com/getevo/rmds/engine/internal/store"
	"github.com/getevo/rmds/engine/internal/wire"
)

// TestP8LateWriter: a writer that joins a channel while it has a link to a reader of it, for another channel, delivers.
func TestP8LateWriter(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, a, b := pair(t, writeX, func(c *Connection) {
			check(t, c.Join("x", ReadOnly).Handle(tally("work")))
			check(t, c.Join("y", ReadOnly).Handle(tally("work")))
		})
		sendRange(t, a.conn, 1, 1)
		eventually(t, 10*time.Second, "the first is handled", handled(t, b.conn, 1))
		time.Sleep(10 * time.Second)
		check(t, a.conn.Join("y", WriteOnly).SendMessage("2"))
		eventually(t, 30*time.Second, "the second is handled", handled(t, b.conn, 2))
	})
}

// TestP30EarlierExpiresLater: messages that expire before those that were set aside already, in front of them, are dead
// letters once, and the queue goes on.
func TestP30EarlierExpiresLater(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := bus.NewNetwork(1)
		net.Set(bus.Faults{Delay: time.Millisecond})
		a := newSimNode(t, net, "a", writeX)
		var free atomic.Bool
		b := newSimNode(t, net, "b", func(c *Connection) {
			check(t, c.Join("x", ReadOnly).OnMessage(func(m *Message) {
				if !free.Load() {
					check(t, m.Nak(time.Hour))
					return
				}
				check(t, m.Ack())
			}))
		})
		a.start()
		b.start()
		defer func() { a.stop(); b.stop() }()
		time.Sleep(3 * time.Second)
		x := a.conn.channel("x")
		b.mem.Down() // framed, but it will have to be framed again
		time.Sleep(20 * time.Second)
		for n, ttl := range []time.Duration{0, time.Minute, time.Minute, time.Second, time.Second, 0} {
			check(t, x.SendMessage(strconv.Itoa(n+1), Timeout(ttl)))
		}
		time.Sleep(5 * time.Second)
		b.mem.Up()
		time.Sleep(5 * time.Second) // 4 and 5 are set aside; 1 to 3 wait behind the handler
		if dead := setAside(t, a.conn); len(dead) != 2 {
			t.Fatalf("%d dead letters, want 2", len(dead))
		}
		b.mem.Down()
		time.Sleep(2 * time.Minute)
		free.Store(true)
		b.stop()
		b.start()
		for range 20 {
			time.Sleep(time.Second)
			if dead := setAside(t, a.conn); len(dead) > 4 {
				t.Fatalf("%d dead letters, want 4", len(dead))
			}
		}
		eventually(t, time.Minute, "the queue is empty", func() bool { return a.conn.Status().Queued == 0 })
		if dead := setAside(t, a.conn); len(dead) != 4 {
			t.Errorf("%d dead letters, want 4", len(dead))
		}
	})
}

// TestUnreadableLog: while the log cannot be read, nothing is skipped; it is read as soon as that works again.
func TestUnreadableLog(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := bus.NewNetwork(1)
		net.Set(bus.Faults{Delay: time.Millisecond})
		disk := newFaultyDisk(1)
		disk.set(false)
		disk.chance["ReadLog"] = 1
		a := newSimNode(t, net, "a", writeX)
		a.cfg = func(c *Config) { c.Fault = disk.hook }
		b := newSimNode(t, net, "b", readX(t))
		a.start()
		b.start()
		defer func() { a.stop(); b.stop() }()
		time.Sleep(3 * time.Second)
		b.stop()
		sendRange(t, a.conn, 1, 3)
		check(t, a.conn.channel("x").SendMessage("4", Timeout(time.Second)))
		time.Sleep(10 * time.Second)
		b.join = func(c *Connection) {
			check(t, c.Join("x", ReadOnly).OnMessage(func(m *Message) {
				check(t, m.Nak(time.Hour))
			}))
		}
		b.start()
		time.Sleep(5 * time.Second) // 4 is set aside, 1 to 3 wait behind the handler
		if dead := setAside(t, a.conn); len(dead) != 1 {
			t.Fatalf("%d dead letters, want 1", len(dead))
		}
		b.stop()
		a.stop()
		disk.set(true)
		a.start()
		b.join = readX(t)
		b.start()
		time.Sleep(10 * time.Second)
		disk.set(false)
		eventually(t, 10*time.Second, "all are handled", handled(t, b.conn, 3))
	})
}

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

// TestP13LandedReply: a commit that failed and has landed all the same delivers what it holds, also if no other follows.
func TestP13LandedReply(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := bus.NewNetwork(1)
		net.Set(bus.Faults{Delay: time.Millisecond})
		disk := newFaultyDisk(1)
		disk.set(false)
		disk.chance["Commit.landed"] = 1
		a := newSimNode(t, net, "a", func(c *Connection) { check(t, c.Join("x", WriteOnly).HandleReplies(tally("replies"))) })
		b := newSimNode(t, net, "b", readX(t))
		b.cfg = func(c *Config) { c.Fault = disk.hook }
		a.start()
		b.start()
		defer func() { a.stop(); b.stop() }()
		time.Sleep(10 * time.Second)
		disk.set(true)
		sendRange(t, a.conn, 1, 1)
		time.Sleep(100 * time.Millisecond)
		disk.set(false)
		eventually(t, time.Minute, "the answer is there", func() bool { return kvNumber(t, a.conn, "replies", "count/b") == 1 })
	})
}

// TestP18DiscardedRun: a run that is discarded because storage failed meanwhile takes nothing from the runs after it that
// share its store.
func TestP18DiscardedRun(t *testing.T) {
	a := newSimNode(t, bus.NewNetwork(1), "a", nil)
	a.start()
	defer a.stop()
	c := a.conn.commit
	k := a.conn.kvStore("s")
	write := func(epoch uint64, value string) *unit {
		return &unit{handled: &advance{epoch: epoch}, kv: []kvWrites{{k, []store.KVWrite{{Store: "s", Key: "k", Value: []byte(value)}}}}, done: func(error) {}}
	}
	old, _ := c.state()
	c.throwAway()
	epoch, _ := c.state()
	hold := make(chan struct{})
	blocking := &unit{done: func(error) { <-hold }} // the committer is busy
	check(t, c.add(blocking))
	check(t, c.add(write(epoch, "1")))
	if err := c.add(write(old, "wrong")); err != errDiscarded {
		t.Errorf("a unit of an epoch that is over: %v", err)
	}
	v, _, err := k.get("k")
	close(hold)
	if err != nil || string(v) != "1" {
		t.Errorf("the next run reads %q, %v, want 1", v, err)
	}
}

// TestP13Offender: an outcome that the database refuses, the disk being fine, is a failed attempt of that message alone; after
// the last one it is a dead letter and the queue goes on.
func TestP13Offender(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := bus.NewNetwork(1)
		net.Set(bus.Faults{Delay: time.Millisecond})
		a, b := newSimNode(t, net, "a", writeX), newSimNode(t, net, "b", readX(t))
		b.cfg = func(c *Config) { c.MaxRetryAttempts = 3 }
		a.start()
		b.start()
		b.stop()
		db, err := sql.Open("sqlite", b.path)
		check(t, err)
		_, err = db.Exec(`CREATE TRIGGER bad BEFORE INSERT ON kv WHEN NEW.key = CAST('seen/a/3' AS BLOB) BEGIN SELECT RAISE(ABORT, 'bad key'); END`)
		check(t, err)
		check(t, db.Close())
		b.start()
		defer func() { a.stop(); b.stop() }()
		sendRange(t, a.conn, 1, 6)
		time.Sleep(time.Minute)
		if got, want := seen(t, b.conn, 6), []int{1, 1, 0, 1, 1, 1}; !slices.Equal(got, want) {
			t.Errorf("handled %v, want %v", got, want)
		}
		dead, err := b.conn.DeadLetters(0, 10)
		check(t, err)
		if len(dead) != 1 || dead[0].Reason != "attempts" || dead[0].Attempts != 3 || !strings.Contains(dead[0].Detail, "bad key") {
			t.Errorf("dead letters are %+v", dead)
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

// TestP28AdmittedWhileCleaning: what a reader is owed that comes between the janitor's survey and its deletion is not
// deleted behind its back.
func TestP28AdmittedWhileCleaning(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := bus.NewNetwork(1)
		net.Set(bus.Faults{Delay: time.Millisecond})
		a := newSimNode(t, net, "a", writeX)
		b := newSimNode(t, net, "b", func(c *Connection) { check(t, c.Join("x", ReadOnly, WithStart(StartAll)).Handle(tally("work"))) })
		a.start()
		defer func() { a.stop(); b.stop() }()
		sendRange(t, a.conn, 1, 5)
		n, _ := a.conn.clean.survey()
		b.start()
		time.Sleep(500 * time.Millisecond)
		n.through = 5
		if deleted, err := a.conn.clean.delete(5, n, nil); err != nil || deleted != 0 {
			t.Errorf("deleted %d, %v: a reader has come since the survey", deleted, err)
		}
		eventually(t, 10*time.Second, "5 are handled", handled(t, b.conn, 5))
	})
}

// TestP9SlowChannel: a handler that takes its time on a channel ordered by itself holds up no other channel, also when
// the links start again.
func TestP9SlowChannel(t *testing.T) {
	bubble(t, func(t *testing.T) {
		begun := make(chan struct{}, 1)
		_, a, b := pair(t, func(c *Connection) { c.Join("x", WriteOnly); c.Join("slow", WriteOnly) }, func(c *Connection) {
			check(t, c.Join("x", ReadOnly).Handle(tally("work")))
			check(t, c.Join("slow", ReadOnly, WithOrdering(OrderChannel)).Handle(&Handler{Name: "slow", Func: func(context.Context, *Tx, *Message) error {
				begun <- struct{}{}
				time.Sleep(10 * time.Minute)
				return nil
			}}))
		})
		check(t, a.conn.channel("slow").SendMessage("1"))
		<-begun
		b.conn.Join("other", ReadOnly) // starts all links again
		time.Sleep(time.Second)
		sendRange(t, a.conn, 1, 3)
		eventually(t, time.Minute, "3 are handled", handled(t, b.conn, 3))
	})
}

// TestTTLReceiverClock: a jump of the receiver's clock ages no message.
func TestTTLReceiverClock(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := bus.NewNetwork(1)
		net.Set(bus.Faults{Delay: time.Millisecond})
		var jump atomic.Int64
		a, b := newSimNode(t, net, "a", writeX), newSimNode(t, net, "b", readX(t))
		b.cfg = func(c *Config) { c.Wall = func() time.Time { return time.Now().Add(time.Duration(jump.Load())) } }
		a.start()
		b.start()
		defer func() { a.stop(); b.stop() }()
		sendRange(t, a.conn, 1, 1)
		eventually(t, 10*time.Second, "the first is handled", handled(t, b.conn, 1))
		jump.Store(int64(56 * 365 * 24 * time.Hour)) // it has heard of NTP
		sendRange(t, a.conn, 2, 3)
		eventually(t, 10*time.Second, "all are handled", handled(t, b.conn, 3))
	})
}

// TestP17RepliesToReplies: two OnMessage functions that answer each other end as a dead letter.
func TestP17RepliesToReplies(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var n atomic.Int64
		echo := func(c *Connection) {
			check(t, c.Join("x", RW).OnMessage(func(m *Message) {
				n.Add(1)
				check(t, m.Reply("again"))
				check(t, m.Ack())
			}))
		}
		_, a, b := pair(t, echo, echo)
		sendRange(t, a.conn, 1, 1)
		time.Sleep(time.Minute)
		if got := n.Load(); got > maxHops+2 {
			t.Errorf("%d messages were handled", got)
		}
		if dead := append(setAside(t, a.conn), setAside(t, b.conn)...); len(dead) != 1 || dead[0].Reason != "hop_limit" {
			t.Errorf("dead letters are %+v", dead)
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

// TestP26FormerReader: what was handled by a reader that has left since is no dead letter; what never expires and was
// never read is kept.
func TestP26FormerReader(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := bus.NewNetwork(1)
		net.Set(bus.Faults{Delay: time.Millisecond})
		a := newSimNode(t, net, "a", func(c *Connection) { c.Join("x", WriteOnly); c.Join("y", WriteOnly, WithExpiry(0)) })
		a.cfg = func(c *Config) {
			slowly(c)
			c.MessageExpiry, c.DeliveredMessageRetention = 48*time.Hour, time.Hour
		}
		b := newSimNode(t, net, "b", readX(t))
		b.cfg = slowly
		a.start()
		b.start()
		defer func() { a.stop(); b.stop() }()
		sendRange(t, a.conn, 1, 3)
		eventually(t, time.Minute, "3 are handled", func() bool { return handled(t, b.conn, 3)() && a.conn.Status().Queued == 0 })
		check(t, b.conn.channel("x").Unsubscribe())
		time.Sleep(5 * time.Hour)
		check(t, a.conn.channel("y").SendMessage("kept"))
		time.Sleep(10 * 24 * time.Hour)
		if dead := setAside(t, a.conn); len(dead) != 0 {
			t.Errorf("dead letters are %+v", dead)
		}
		if _, deleted := streamOfX(t, a.conn); deleted != 3 {
			t.Errorf("%d of 3 messages were deleted", deleted)
		}
		log, err := a.conn.st.ReadLog(0, 1<<20)
		check(t, err)
		if len(log) != 1 {
			t.Errorf("%d blocks are kept, want that of y", len(log))
		}
	})
}

// TestManyDomains: a peer that makes up ordering domains does not fill the node with goroutines.
func TestManyDomains(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := newSimNode(t, bus.NewNetwork(1), "a", nil)
		a.start()
		defer a.stop()
		a.conn.loop.call(func() {
			p := a.conn.loop.peer("hostile")
			for n := range uint64(3 * maxDomains) {
				p.onOpen(&wire.Open{ID: wire.LinkID{Run: 1, Number: n + 1}, Domain: domainChannel + strconv.Itoa(int(n)), Lineage: []wire.RunStart{{Run: 1, First: 1}}}, time.Now())
			}
			if len(p.domains) > maxDomains {
				t.Errorf("%d domains", len(p.domains))
			}
		})
	})
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
