package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/getevo/rmds/engine/internal/bus"
	"github.com/getevo/rmds/engine/internal/store"
)

var errDisk = errors.New("the test's disk fails")

// faultyDisk fails operations of the store at random while it is on.
type faultyDisk struct {
	mu      sync.Mutex
	rnd     *rand.Rand
	chance  map[string]float64 // by operation
	failed  map[string]int
	always  error
	enabled bool
}

func newFaultyDisk(seed uint64) *faultyDisk {
	return &faultyDisk{rnd: rand.New(rand.NewPCG(seed, 7)), chance: map[string]float64{}, failed: map[string]int{}, enabled: true}
}

func (d *faultyDisk) hook(op string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.enabled {
		return nil
	}
	if d.always != nil || d.rnd.Float64() < d.chance[op] {
		d.failed[op]++
		return errDisk
	}
	return nil
}

func (d *faultyDisk) set(enabled bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.enabled = enabled
}

// remembering is the tally handler of a program that keeps a count of its own in memory, as a WebAssembly instance does:
// in a run that is committed, what it remembers must not differ from its store.
func remembering(name string) *Handler {
	memory := -1 // unknown
	inner := tally(name)
	return &Handler{Name: name, Discarded: func() { memory = -1 }, Func: func(ctx context.Context, tx *Tx, m *Message) error {
		v, _, err := tx.Get("count/" + m.Sender)
		if err != nil {
			return err
		}
		stored, _ := strconv.Atoi(string(v))
		if memory >= 0 && memory != stored {
			if err := increment(tx, "wrong"); err != nil {
				return err
			}
		}
		memory = stored + 1
		return inner.Func(ctx, tx, m)
	}}
}

// TestP13FailedCommits: commits of both nodes fail at random, before anything is written, at the fsync, and at an fsync
// that has written all the same. Every message whose send returned nil is handled once, in order; a send that returned
// ErrStorage may or may not appear, once at most.
func TestP13FailedCommits(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { failedCommits(t, seed) })
		})
	}
}

func failedCommits(t *testing.T, seed uint64) {
	net := bus.NewNetwork(seed)
	net.Set(bus.Faults{Delay: time.Millisecond, Loss: 0.02})
	disks := map[string]*faultyDisk{"a": newFaultyDisk(seed), "b": newFaultyDisk(seed + 100)}
	var out *Channel
	a := newSimNode(t, net, "a", func(c *Connection) {
		out = c.Join("x", WriteOnly)
		check(t, out.HandleReplies(tally("replies")))
	})
	b := newSimNode(t, net, "b", func(c *Connection) { check(t, c.Join("x", ReadOnly).Handle(remembering("work"))) })
	for _, n := range []*simNode{a, b} {
		d := disks[n.id]
		n.cfg = func(c *Config) { c.Fault = d.hook }
		d.set(false)
		n.start()
		for _, op := range []string{"Commit", "Commit.sync", "Commit.landed"} {
			d.chance[op] = 0.05
		}
		d.set(true)
	}
	var promised, unsure []int
	for n := 1; n <= 1000; n++ {
		switch err := out.SendMessage(strconv.Itoa(n)); {
		case err == nil:
			promised = append(promised, n)
		case errors.Is(err, ErrStorage):
			unsure = append(unsure, n)
		default:
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	disks["a"].set(false)
	disks["b"].set(false)
	eventually(t, 5*time.Minute, "everything is delivered", func() bool { return a.conn.Status().Queued == 0 && b.conn.Status().Queued == 0 })
	time.Sleep(10 * time.Second)
	for _, n := range promised {
		if got := kvNumber(t, b.conn, "work", fmt.Sprintf("seen/a/%d", n)); got != 1 {
			t.Errorf("message %d was handled %d times", n, got)
		}
		if got := kvNumber(t, a.conn, "replies", fmt.Sprintf("seen/b/%d", n)); got != 1 {
			t.Errorf("message %d was answered %d times", n, got)
		}
	}
	landed := 0
	for _, n := range unsure {
		got := kvNumber(t, b.conn, "work", fmt.Sprintf("seen/a/%d", n))
		landed += got
		if got > 1 || kvNumber(t, a.conn, "replies", fmt.Sprintf("seen/b/%d", n)) != got {
			t.Errorf("message %d, not promised: handled %d times, or answered otherwise", n, got)
		}
	}
	if n := kvNumber(t, b.conn, "work", "count/a"); n != len(promised)+landed {
		t.Errorf("the counter says %d, %d were handled", n, len(promised)+landed)
	}
	if n := kvNumber(t, b.conn, "work", "disorder/a") + kvNumber(t, a.conn, "replies", "disorder/b"); n != 0 {
		t.Errorf("%d out of order", n)
	}
	if n := kvNumber(t, b.conn, "work", "wrong"); n != 0 {
		t.Errorf("the handler remembered effects that were thrown away, %d times", n)
	}
	if disks["a"].failed["Commit.landed"]+disks["b"].failed["Commit.landed"] == 0 || len(unsure) == 0 {
		t.Errorf("nothing failed: %v %v", disks["a"].failed, disks["b"].failed)
	}
	a.stop()
	b.stop()
}

// pair starts two nodes on a quiet network; b reads channel x, a writes it.
func pair(t *testing.T, joinA, joinB func(*Connection)) (net *bus.Network, a, b *simNode) {
	net = bus.NewNetwork(1)
	net.Set(bus.Faults{Delay: time.Millisecond})
	a, b = newSimNode(t, net, "a", joinA), newSimNode(t, net, "b", joinB)
	a.start()
	b.start()
	t.Cleanup(func() {
		a.stop()
		b.stop()
	})
	return net, a, b
}

// bubble runs a test in virtual time.
func bubble(t *testing.T, fn func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, fn)
}

func writeX(c *Connection) { c.Join("x", WriteOnly) }

// TestG1StorageError: while the disk fails, a send is an error, and the node says so; afterwards it works again.
func TestG1StorageError(t *testing.T) {
	bubble(t, func(t *testing.T) {
		disk := newFaultyDisk(1)
		disk.set(false)
		a := newSimNode(t, bus.NewNetwork(1), "a", writeX)
		a.cfg = func(c *Config) { c.Fault = disk.hook }
		a.start()
		defer a.stop()
		x := a.conn.channel("x")
		check(t, x.SendMessage("1"))
		disk.always = errDisk
		disk.set(true)
		if err := x.SendMessage("2"); !errors.Is(err, ErrStorage) || !errors.Is(err, errDisk) {
			t.Errorf("a send on a failing disk returned %v", err)
		}
		if s := a.conn.Status(); !strings.HasPrefix(s.Health, "storage") {
			t.Errorf("health is %q", s.Health)
		}
		disk.set(false)
		time.Sleep(time.Minute)
		check(t, x.SendMessage("3"))
		if s := a.conn.Status(); strings.HasPrefix(s.Health, "storage") {
			t.Errorf("health is still %q", s.Health)
		}
	})
}

// TestP16Dormant: what is sent between a reader's Join and its OnMessage waits, and arrives in order.
func TestP16Dormant(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, a, b := pair(t, writeX, func(c *Connection) { c.Join("x", ReadOnly) })
		time.Sleep(3 * time.Second)
		for n := range 10 {
			check(t, a.conn.channel("x").SendMessage(strconv.Itoa(n+1)))
		}
		time.Sleep(10 * time.Second)
		check(t, b.conn.channel("x").Handle(tally("work")))
		eventually(t, 5*time.Second, "all are handled", func() bool { return kvNumber(t, b.conn, "work", "count/a") == 10 })
		checkTally(t, b.conn, "work", "a", 10)
	})
}

// TestAttempts: a failing handler is tried again, in place, MaxRetryAttempts times; then the message is a dead letter with
// its reason, the sender hears of it, and the queue goes on. A rejection is one at once.
func TestAttempts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mu sync.Mutex
		var tries []string
		h := &Handler{Name: "picky", Func: func(_ context.Context, tx *Tx, m *Message) error {
			mu.Lock()
			tries = append(tries, fmt.Sprintf("%s/%d", m.Data, m.Attempt))
			mu.Unlock()
			check(t, tx.Set("last", m.Data))
			switch string(m.Data) {
			case "bad":
				return errors.New("cannot")
			case "panic":
				panic("oh")
			case "refused":
				return Rejected("not wanted")
			case "later":
				if m.Attempt < 3 {
					return RetryAfter(time.Second, "busy")
				}
			}
			return nil
		}, MaxAttempts: 3}
		_, a, b := pair(t, writeX, func(c *Connection) { check(t, c.Join("x", ReadOnly).Handle(h)) })
		for _, s := range []string{"bad", "good", "refused", "panic", "later", "end"} {
			check(t, a.conn.channel("x").SendMessage(s))
		}
		eventually(t, time.Minute, "the queue is empty", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(tries) > 0 && a.conn.Status().Queued == 0
		})
		want := "bad/1 bad/2 bad/3 good/1 refused/1 panic/1 panic/2 panic/3 later/1 later/2 later/3 end/1"
		if got := strings.Join(tries, " "); got != want {
			t.Errorf("attempts were\n%s, want\n%s", got, want)
		}
		dead, err := b.conn.st.DeadList(0, 10)
		check(t, err)
		var reasons []string
		for _, d := range dead {
			reasons = append(reasons, d.Reason+":"+d.Detail)
		}
		if got, want := strings.Join(reasons, ", "), "attempts:cannot, rejected:not wanted, attempts:handler picky panicked: oh"; got != want {
			t.Errorf("dead letters are %q, want %q", got, want)
		}
		if n := a.conn.Status().NotDone; n != 3 {
			t.Errorf("the sender heard of %d messages that were not handled, want 3", n)
		}
		if v, _, err := b.conn.KV("picky").Get("last"); err != nil || string(v) != "end" {
			t.Errorf("last is %q, %v: effects of failed attempts must be gone", v, err)
		}
	})
}

// setAside returns the dead letters that a node made of its own messages.
func setAside(t *testing.T, c *Connection) []store.Dead {
	t.Helper()
	list, err := c.st.DeadList(0, 1000)
	check(t, err)
	return slices.DeleteFunc(list, func(d store.Dead) bool { return d.Side != "sender" })
}

// TestP30Expired: a message that has outlived its TTL in the queue is not delivered; it is a dead letter of its sender,
// the reader is told of the gap, and what follows it comes in order.
func TestP30Expired(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net, a, b := pair(t, writeX, func(c *Connection) { check(t, c.Join("x", ReadOnly).Handle(tally("work"))) })
		x := a.conn.channel("x")
		check(t, x.SendMessage("1"))
		eventually(t, 10*time.Second, "the first is handled", func() bool { return kvNumber(t, b.conn, "work", "count/a") == 1 })
		b.mem.Down()
		net.Partition("a")
		for n := 2; n <= 10; n++ {
			ttl := time.Duration(0)
			if n%3 == 0 {
				ttl = time.Second
			}
			check(t, x.SendMessage(strconv.Itoa(n), Timeout(ttl)))
		}
		time.Sleep(2 * time.Second)
		a.stop() // so that nothing is framed already
		a.start()
		net.Heal()
		b.mem.Up()
		eventually(t, time.Minute, "the rest is handled", func() bool { return kvNumber(t, b.conn, "work", "seen/a/10") == 1 })
		for n := 1; n <= 10; n++ {
			want := 1
			if n > 1 && n%3 == 0 {
				want = 0
			}
			if got := kvNumber(t, b.conn, "work", fmt.Sprintf("seen/a/%d", n)); got != want {
				t.Errorf("message %d was handled %d times, want %d", n, got, want)
			}
		}
		dead := setAside(t, a.conn)
		if len(dead) != 3 || dead[0].Reason != "ttl" || dead[0].Reader != "b" {
			t.Errorf("the sender's dead letters are %+v", dead)
		}
		if g := b.conn.Status().Gaps; g != 3 {
			t.Errorf("the reader was told of %d gaps, want 3", g)
		}
		eventually(t, time.Minute, "the queue is empty", func() bool { return a.conn.Status().Queued == 0 })
	})
}

// TestLargeMessage sends messages of up to the limit over frames that are smaller; one byte more is an error that names
// the limit, and loses nothing.
func TestLargeMessage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mu sync.Mutex
		var sizes []int
		h := &Handler{Name: "size", Func: func(_ context.Context, _ *Tx, m *Message) error {
			mu.Lock()
			defer mu.Unlock()
			sizes = append(sizes, len(m.Data))
			return nil
		}}
		_, a, _ := pair(t, writeX, func(c *Connection) { check(t, c.Join("x", ReadOnly).Handle(h)) })
		x := a.conn.channel("x")
		rnd := rand.NewChaCha8([32]byte{1})
		for _, n := range []int{1, 200_000, 8<<20 - 16, 3, 5 << 20} {
			data := make([]byte, n)
			_, _ = rnd.Read(data) // never fails
			check(t, x.SendMessage(data))
		}
		if err := x.SendMessage(make([]byte, 8<<20)); !errors.Is(err, ErrMessageTooLarge) || !strings.Contains(err.Error(), "MaxMessageBytes") {
			t.Errorf("a message over the limit: %v", err)
		}
		eventually(t, time.Minute, "all are handled", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(sizes) == 5
		})
		if got := fmt.Sprint(sizes); got != fmt.Sprint([]int{1, 200_000, 8<<20 - 16, 3, 5 << 20}) {
			t.Errorf("sizes handled are %v", got)
		}
	})
}

// TestP12TooLarge: a message that its reader does not take becomes the sender's dead letter, and the queue goes on.
func TestP12TooLarge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := bus.NewNetwork(1)
		a := newSimNode(t, net, "a", writeX)
		b := newSimNode(t, net, "b", func(c *Connection) { check(t, c.Join("x", ReadOnly).Handle(tally("work"))) })
		b.cfg = func(c *Config) { c.MaxMessageBytes = 1000 }
		a.start()
		b.start()
		defer a.stop()
		defer b.stop()
		x := a.conn.channel("x")
		check(t, x.SendMessage("1"))
		check(t, x.SendMessage(make([]byte, 2000)))
		check(t, x.SendMessage("2"))
		eventually(t, time.Minute, "the rest is handled", func() bool { return kvNumber(t, b.conn, "work", "count/a") == 2 })
		dead := setAside(t, a.conn)
		if len(dead) != 1 || dead[0].Reason != "too_large" || !strings.Contains(dead[0].Detail, "1000") {
			t.Errorf("dead letters are %+v", dead)
		}
	})
}

// TestQueueFull: the cap refuses the message over it with ErrQueueFull and loses nothing; room comes with acknowledgement.
func TestQueueFull(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := bus.NewNetwork(1)
		a := newSimNode(t, net, "a", writeX)
		a.cfg = func(c *Config) { c.MaxMessagesPerReceiver = 5 }
		b := newSimNode(t, net, "b", func(c *Connection) { check(t, c.Join("x", ReadOnly).Handle(tally("work"))) })
		a.start()
		b.start()
		defer func() { a.stop(); b.stop() }()
		x := a.conn.channel("x")
		check(t, x.SendMessage("1"))
		eventually(t, 10*time.Second, "it is handled", func() bool { return kvNumber(t, b.conn, "work", "count/a") == 1 && a.conn.Status().Queued == 0 })
		b.mem.Down()
		for n := 2; n <= 6; n++ {
			check(t, x.SendMessage(strconv.Itoa(n)))
		}
		if err := x.SendMessage("7"); !errors.Is(err, ErrQueueFull) || !strings.Contains(err.Error(), "node b") {
			t.Errorf("the sixth waiting message: %v", err)
		}
		b.mem.Up()
		eventually(t, 10*time.Second, "there is room", func() bool { return x.SendMessage("8") == nil })
		eventually(t, 10*time.Second, "all are handled", func() bool { return kvNumber(t, b.conn, "work", "count/a") == 7 })
		if n := kvNumber(t, b.conn, "work", "seen/a/7"); n != 0 {
			t.Errorf("the refused message was handled")
		}
	})
}
