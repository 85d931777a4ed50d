package engine

import (
	"context"
	"database/sql"
	"slices"
	"strconv"
	"strings"
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
