package engine

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/getevo/rmds/engine/internal/bus"
	"github.com/getevo/rmds/engine/internal/wire"
)

// What the seed's own code was measured to break, by the names of docs/seed.md; rows that other tests show are listed there.

// inbox handles a channel with OnMessage and keeps what came, in order.
type inbox struct {
	mu   sync.Mutex
	list []string
}

func (r *inbox) on(m *Message) {
	r.mu.Lock()
	r.list = append(r.list, string(m.Data))
	r.mu.Unlock()
	_ = m.Ack() // ErrStale shows in the order
}

func (r *inbox) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.list)
}

// check fails the test unless the messages 1 to n came, each once and in order.
func (r *inbox) check(t *testing.T, n int) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.list) != n {
		t.Errorf("%d messages came, want %d", len(r.list), n)
	}
	for i, text := range r.list {
		if text != strconv.Itoa(i+1) {
			t.Fatalf("message %d is %q", i+1, text)
		}
	}
}

func (r *inbox) joinX(t *testing.T) func(*Connection) {
	return func(c *Connection) { check(t, c.Join("x", ReadOnly).OnMessage(r.on)) }
}

// TestSeedC3: NATS is away for 20 s in a stream of 20 messages a second. All arrive once and in order, the first within a
// second of the return, and all are acknowledged.
func TestSeedC3(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var got inbox
		_, a, b := pair(t, writeX, got.joinX(t))
		for n := 1; n <= 800; n++ {
			switch n {
			case 200:
				a.mem.Down()
				b.mem.Down()
			case 600:
				a.mem.Up()
				b.mem.Up()
			case 620:
				if got.count() < 600 {
					t.Errorf("a second after the return %d messages have come", got.count())
				}
			}
			sendRange(t, a.conn, n, n)
			time.Sleep(50 * time.Millisecond)
		}
		eventually(t, time.Minute, "all are acknowledged", func() bool { return a.conn.Status().Delivered == 800 })
		got.check(t, 800)
	})
}

// TestSeedK: a burst, an outage, another burst, all of it faster than a disk: order holds.
func TestSeedK(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var got inbox
		_, a, b := pair(t, writeX, got.joinX(t))
		x := a.conn.channel("x")
		burst := func(from, to int) {
			var last *Pending
			for n := from; n <= to; n++ {
				last = x.SendAsync(strconv.Itoa(n))
			}
			_, err := last.Wait(context.Background())
			check(t, err)
		}
		burst(1, 2000)
		a.mem.Down()
		b.mem.Down()
		time.Sleep(4 * time.Second)
		b.mem.Up()
		a.mem.Up()
		burst(2001, 4000)
		eventually(t, time.Minute, "all are acknowledged", func() bool { return a.conn.Status().Delivered == 4000 })
		got.check(t, 4000)
	})
}

// TestSeedD1: a handler that never answers is called again after ACKTimeout, MaxRetryAttempts times, also across a restart
// of the sender; then the message is a dead letter with its payload, and both sides count it.
func TestSeedD1(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var calls []string
		_, a, b := pair(t, writeX, nil)
		b.stop()
		b.cfg = func(c *Config) { c.ACKTimeout, c.MaxRetryAttempts = time.Second, 3 }
		b.join = func(c *Connection) {
			check(t, c.Join("x", ReadOnly).OnMessage(func(m *Message) { calls = append(calls, fmt.Sprintf("%s/%d", m.Data, m.Attempt)) }))
		}
		b.start()
		sendRange(t, a.conn, 1, 2)
		time.Sleep(1500 * time.Millisecond)
		a.stop()
		a.start()
		eventually(t, time.Minute, "the queue is empty", func() bool { return b.conn.Status().Dead == 2 && a.conn.Status().Queued == 0 })
		if got, want := fmt.Sprint(calls), "[1/1 1/2 1/3 2/1 2/2 2/3]"; got != want {
			t.Errorf("calls were %s, want %s", got, want)
		}
		if n := a.conn.Status().NotDone; n != 2 {
			t.Errorf("the sender heard of %d messages that were not handled, want 2", n)
		}
		list, err := b.conn.st.DeadList(0, 10)
		check(t, err)
		if len(list) != 2 {
			t.Fatalf("dead letters are %+v", list)
		}
		dead, err := b.conn.st.DeadGet(list[0].ID)
		check(t, err)
		if string(dead.Content) != "1" || dead.Attempts != 3 || dead.Detail != errAckTimeout.Error() {
			t.Errorf("the first dead letter is %+v", dead)
		}
	})
}

// TestSeedD5: another process holds the lock of the sender's database. While it does, no send returns nil; what returned
// nil arrives.
func TestSeedD5(t *testing.T) {
	t.Parallel()
	nats := runNATS(t, -1)
	defer nats.Shutdown()
	got := collect(t, realNode(t, "reader", nats.ClientURL()).Join("x", ReadOnly))
	dir := t.TempDir()
	sender := realNode(t, "sender", nats.ClientURL(), func(c *Config) { c.StoragePath = filepath.Join(dir, "sender.db") })
	x := sender.Join("x", WriteOnly)
	check(t, x.SendMessage("before"))
	expect(t, got, "before", 10*time.Second)

	db, err := sql.Open("sqlite", filepath.Join(dir, "sender.db"))
	check(t, err)
	defer db.Close()
	conn, err := db.Conn(t.Context())
	check(t, err)
	_, err = conn.ExecContext(t.Context(), "PRAGMA busy_timeout=10000; BEGIN IMMEDIATE")
	check(t, err)
	p := x.SendAsync("locked")
	err = nil
	select {
	case <-p.Done():
		_, err = p.Wait(t.Context())
		if !errors.Is(err, ErrStorage) {
			t.Errorf("a send while the database is locked: %v", err)
		}
	case <-time.After(2 * time.Second): // it may also wait
	}
	_, unlockErr := conn.ExecContext(t.Context(), "ROLLBACK")
	check(t, unlockErr)
	if err == nil {
		_, err = p.Wait(t.Context())
		check(t, err)
		expect(t, got, "locked", 10*time.Second)
	}
	eventually(t, time.Minute, "storage works again", func() bool { return x.SendMessage("after") == nil })
	expect(t, got, "after", 10*time.Second)
}

// TestSeedD6: a message larger than NATS takes at once, and small ones behind it, over a real server.
func TestSeedD6(t *testing.T) {
	t.Parallel()
	nats := runNATS(t, -1)
	defer nats.Shutdown()
	got := collect(t, realNode(t, "reader", nats.ClientURL()).Join("x", ReadOnly))
	x := realNode(t, "sender", nats.ClientURL()).Join("x", WriteOnly)
	big := make([]byte, 2<<20)
	_, _ = rand.NewChaCha8([32]byte{6}).Read(big) // never fails; random, so that compression does not help
	check(t, x.SendMessage(big))
	for n := range 5 {
		check(t, x.SendMessage(strconv.Itoa(n)))
	}
	select {
	case m := <-got:
		if !bytes.Equal(m.Data, big) {
			t.Errorf("the large message came with %d bytes, and not the same", len(m.Data))
		}
	case <-time.After(time.Minute):
		t.Fatal("the large message did not come")
	}
	for n := range 5 {
		expect(t, got, strconv.Itoa(n), 10*time.Second)
	}
}

// TestSeedD7: a handler that takes longer than ACKTimeout on the first attempt of each message. The message comes again,
// never beside its own earlier attempt, and everything is acknowledged in the end.
func TestSeedD7(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var got inbox
		var running, most atomic.Int32
		_, a, b := pair(t, writeX, nil)
		b.stop()
		b.cfg = func(c *Config) { c.ACKTimeout = time.Second }
		b.join = func(c *Connection) {
			check(t, c.Join("x", ReadOnly).OnMessage(func(m *Message) {
				most.Store(max(most.Load(), running.Add(1)))
				defer running.Add(-1)
				if m.Attempt == 1 {
					time.Sleep(1500 * time.Millisecond)
					if err := m.Ack(); !errors.Is(err, ErrStale) {
						t.Errorf("an Ack after ACKTimeout: %v", err)
					}
					return
				}
				got.on(m)
			}))
		}
		b.start()
		sendRange(t, a.conn, 1, 40)
		eventually(t, 5*time.Minute, "all are acknowledged", func() bool { return a.conn.Status().Delivered == 40 })
		got.check(t, 40)
		if most.Load() != 1 {
			t.Errorf("%d runs of the handler at once", most.Load())
		}
	})
}

// TestSeedJ: of two readers one is away for 36 s, which is longer than a node counts as online. It gets what was sent
// meanwhile; the other does not wait for it.
func TestSeedJ(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var here, away inbox
		net, a, _ := pair(t, writeX, here.joinX(t))
		c := newSimNode(t, net, "c", away.joinX(t))
		c.start()
		eventually(t, 10*time.Second, "they have met", func() bool { return len(a.conn.Status().Peers) == 2 })
		sendRange(t, a.conn, 1, 1)
		eventually(t, 10*time.Second, "both have the first", func() bool { return here.count() == 1 && away.count() == 1 })
		c.stop()
		time.Sleep(30 * time.Second)
		sendRange(t, a.conn, 2, 21)
		time.Sleep(6 * time.Second)
		here.check(t, 21)
		if q := a.conn.Status().Queued; q != 20 {
			t.Errorf("%d messages are queued, want the 20 of the reader that is away", q)
		}
		c.start()
		defer c.stop()
		eventually(t, 10*time.Second, "it has the rest", func() bool { return away.count() == 21 && a.conn.Status().Queued == 0 })
		away.check(t, 21)
	})
}

// ghost announces a node that does not exist, as a reader of x.
func ghost(mem *bus.Mem, name string) {
	p := &wire.Presence{Node: name, StoreID: 1, Run: 2, Version: 1, Now: time.Now().UnixNano(), State: "ok", Reads: []string{"x"}}
	_ = mem.Publish("rmds.keepalive."+name, wire.Encode(nil, p))
	p.Member = &wire.Member{Channel: "x", ID: 3, Domain: domainStrict, JoinedAt: p.Now}
	_ = mem.Publish("rmds.keepalive."+name+".x", wire.Encode(nil, p))
}

// TestSeedG: presence of nodes that do not exist, a thousand times a second. Nothing hangs, nothing is queued for who has
// never answered, and the real reader gets everything.
func TestSeedG(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var got inbox
		net, a, _ := pair(t, writeX, got.joinX(t))
		mem := net.Connect("mallory")
		defer mem.Close()
		for n := 1; n <= 1000; n++ {
			ghost(mem, "ghost")
			ghost(mem, fmt.Sprintf("ghost-%d", n%100))
			sendRange(t, a.conn, n, n)
			time.Sleep(time.Millisecond)
		}
		eventually(t, 10*time.Second, "the real reader has all", func() bool { return got.count() == 1000 })
		got.check(t, 1000)
		eventually(t, 10*time.Second, "nothing is queued", func() bool { return a.conn.Status().Queued == 0 })
	})
}

// TestSeedF3: presence many times a second, three readers, and questions of the management all the time: nothing hangs.
func TestSeedF3(t *testing.T) {
	t.Parallel()
	nats := runNATS(t, -1)
	defer nats.Shutdown()
	lively := func(c *Config) { c.KeepaliveInterval = 10 * time.Millisecond }
	got := make([]inbox, 3)
	for i := range got {
		check(t, realNode(t, readerNames[i], nats.ClientURL(), lively).Join("x", ReadOnly).OnMessage(got[i].on))
	}
	alice := realNode(t, "alice", nats.ClientURL(), lively)
	x := alice.Join("x", WriteOnly)
	asking, stop := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(asking)
		for {
			select {
			case <-stop:
				return
			default:
				alice.Mgmt.GetSubscribers("x")
			}
		}
	}()
	for n := range 1000 {
		check(t, x.SendMessage(strconv.Itoa(n+1)))
	}
	for i := range got {
		eventually(t, time.Minute, "all have come", func() bool { return got[i].count() >= 1000 })
	}
	close(stop)
	<-asking
	for i := range got {
		got[i].check(t, 1000)
	}
}

// TestSeedS: twenty nodes start in the same moment. Each gets one message of each other one.
func TestSeedS(t *testing.T) {
	t.Parallel()
	const nodes = 20
	nats := runNATS(t, -1)
	defer nats.Shutdown()
	var wg sync.WaitGroup
	counts := make([]sync.Map, nodes) // by sender
	var total atomic.Int32
	for i := range nodes {
		c := realNode(t, fmt.Sprintf("n%d", i), nats.ClientURL())
		wg.Go(func() {
			x := c.Join("x", RW, WithStart(StartAll))
			if err := x.OnMessage(func(m *Message) {
				n, _ := counts[i].LoadOrStore(m.Sender, new(atomic.Int32))
				n.(*atomic.Int32).Add(1)
				total.Add(1)
				_ = m.Ack()
			}); err != nil {
				t.Error(err)
			}
			if err := x.SendMessage("hello"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	eventually(t, time.Minute, "everybody has heard everybody", func() bool { return total.Load() >= nodes*(nodes-1) })
	for i := range counts {
		counts[i].Range(func(sender, n any) bool {
			if got := n.(*atomic.Int32).Load(); got != 1 || sender == fmt.Sprintf("n%d", i) {
				t.Errorf("n%d got %d messages of %v", i, got, sender)
			}
			return true
		})
	}
}

// TestSeedE3: once everything is acknowledged, an idle node leaves its disk alone, however much it has sent.
func TestSeedE3(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var writes atomic.Int64
		var got inbox
		_, a, _ := pair(t, writeX, got.joinX(t))
		a.stop()
		a.cfg = func(c *Config) {
			c.Fault = func(operation string) error {
				if strings.HasSuffix(operation, ".sync") {
					writes.Add(1)
				}
				return nil
			}
		}
		a.start()
		for n := range 10_000 {
			if p := a.conn.channel("x").SendAsync(strconv.Itoa(n + 1)); n%1000 == 999 {
				_, err := p.Wait(context.Background())
				check(t, err)
			}
		}
		eventually(t, time.Minute, "all are acknowledged", func() bool { return a.conn.Status().Delivered == 10_000 })
		time.Sleep(5 * time.Second) // the last cursor is written
		before := writes.Load()
		if before == 0 {
			t.Fatal("no write was seen: the test shows nothing")
		}
		time.Sleep(5 * time.Minute)
		if n := writes.Load() - before; n > 5 {
			t.Errorf("%d writes to the database in five idle minutes", n)
		}
	})
}

// TestSeedClock: the sender's clock jumps by a day, back and forth. Order is the order of sending.
func TestSeedClock(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var jump atomic.Int64
		var got inbox
		_, a, b := pair(t, writeX, got.joinX(t))
		a.stop()
		a.cfg = func(c *Config) {
			c.Wall = func() time.Time { return time.Now().Add(time.Duration(jump.Load())) }
			c.MessageExpiry = 0
		}
		a.start()
		sendRange(t, a.conn, 1, 1)
		eventually(t, 10*time.Second, "the first has come", func() bool { return got.count() == 1 })
		b.mem.Down()
		for n := 2; n <= 100; n++ {
			jump.Store(int64(time.Duration(n%3-1) * 24 * time.Hour))
			sendRange(t, a.conn, n, n)
		}
		b.mem.Up()
		eventually(t, time.Minute, "all have come", func() bool { return got.count() == 100 })
		got.check(t, 100)
	})
}
