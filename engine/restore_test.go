package engine

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getevo/rmds/engine/internal/bus"
)

// snapshot copies a stopped node's database.
func (n *simNode) snapshot() (restore func()) {
	n.t.Helper()
	files := map[string][]byte{}
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(n.path + suffix)
		if err == nil {
			files[suffix] = data
		} else if !os.IsNotExist(err) {
			n.t.Fatal(err)
		}
	}
	return func() {
		n.t.Helper()
		n.wipe()
		for suffix, data := range files {
			check(n.t, os.WriteFile(n.path+suffix, data, 0o600))
		}
	}
}

// wipe deletes a stopped node's database.
func (n *simNode) wipe() {
	n.t.Helper()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(n.path + suffix); err != nil && !os.IsNotExist(err) {
			n.t.Fatal(err)
		}
	}
}

// seen returns how often each of the messages 1 to n was handled.
func seen(t *testing.T, c *Connection, n int) []int {
	t.Helper()
	counts := make([]int, n)
	for i := range counts {
		counts[i] = kvNumber(t, c, "work", "seen/a/"+strconv.Itoa(i+1))
	}
	return counts
}

func sendRange(t *testing.T, c *Connection, from, to int) {
	t.Helper()
	for n := from; n <= to; n++ {
		check(t, c.channel("x").SendMessage(strconv.Itoa(n)))
	}
}

func readX(t *testing.T) func(*Connection) {
	return func(c *Connection) { check(t, c.Join("x", ReadOnly).Handle(tally("work"))) }
}

func handled(t *testing.T, c *Connection, n int) func() bool {
	return func() bool { return kvNumber(t, c, "work", "seen/a/"+strconv.Itoa(n)) > 0 }
}

// eventKinds collects a node's events from its next start on.
func eventKinds(n *simNode) func() []string {
	var mu sync.Mutex
	var list []string
	n.cfg = func(c *Config) {
		c.OnEvent = func(e Event) {
			mu.Lock()
			defer mu.Unlock()
			list = append(list, e.Kind)
		}
	}
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(list)
	}
}

// TestP1SenderRestored: a sender comes back from a backup. Its old messages keep their identity and are not handled again,
// and what it sends from then on is not mistaken for old.
func TestP1SenderRestored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, a, b := pair(t, writeX, readX(t))
		b.stop()
		kinds := eventKinds(b)
		b.start()
		sendRange(t, a.conn, 1, 5)
		eventually(t, time.Minute, "5 are handled", handled(t, b.conn, 5))
		a.stop()
		restore := a.snapshot()
		a.start()
		sendRange(t, a.conn, 6, 10)
		eventually(t, time.Minute, "10 are handled", handled(t, b.conn, 10))
		a.stop()
		restore()
		a.start()
		sendRange(t, a.conn, 11, 20) // they get seqs that 6 to 10 had had
		eventually(t, time.Minute, "20 are handled", handled(t, b.conn, 20))
		time.Sleep(time.Minute)
		checkTally(t, b.conn, "work", "a", 20)
		if got := strings.Join(kinds(), " "); !strings.Contains(got, "rollback_detected") {
			t.Errorf("events were %s, want rollback_detected", got)
		}
		eventually(t, time.Minute, "the queue is empty", func() bool { return a.conn.Status().Queued == 0 })
	})
}

// TestP3ReceiverRestored: a receiver comes back from a backup; its effects were rolled back, and so is its position, which
// wins over the sender's cursor.
func TestP3ReceiverRestored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, a, b := pair(t, writeX, readX(t))
		sendRange(t, a.conn, 1, 5)
		eventually(t, time.Minute, "5 are handled", handled(t, b.conn, 5))
		b.stop()
		restore := b.snapshot()
		b.start()
		sendRange(t, a.conn, 6, 10)
		eventually(t, time.Minute, "10 are handled", handled(t, b.conn, 10))
		b.stop()
		restore()
		b.start()
		eventually(t, time.Minute, "10 are handled again", handled(t, b.conn, 10))
		sendRange(t, a.conn, 11, 12)
		eventually(t, time.Minute, "12 are handled", handled(t, b.conn, 12))
		checkTally(t, b.conn, "work", "a", 12)
		eventually(t, time.Minute, "the queue is empty", func() bool { return a.conn.Status().Queued == 0 })
	})
}

// TestP3ReceiverWiped: a receiver that lost its database is owed what it had not acknowledged, and not what it had.
func TestP3ReceiverWiped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, a, b := pair(t, writeX, readX(t))
		sendRange(t, a.conn, 1, 5)
		eventually(t, time.Minute, "5 are handled and acknowledged", func() bool { return handled(t, b.conn, 5)() && a.conn.Status().Queued == 0 })
		b.stop()
		sendRange(t, a.conn, 6, 10)
		time.Sleep(time.Hour)
		b.wipe()
		b.start()
		eventually(t, time.Minute, "10 are handled", handled(t, b.conn, 10))
		time.Sleep(time.Minute)
		if got, want := seen(t, b.conn, 10), []int{0, 0, 0, 0, 0, 1, 1, 1, 1, 1}; !slices.Equal(got, want) {
			t.Errorf("handled %v, want %v", got, want)
		}
		eventually(t, time.Minute, "the queue is empty", func() bool { return a.conn.Status().Queued == 0 })
	})
}

// TestSenderWiped: a sender that lost its database starts from seq 1 again under a new run, and is not taken for the old one.
func TestSenderWiped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, a, b := pair(t, writeX, readX(t))
		sendRange(t, a.conn, 1, 5)
		eventually(t, time.Minute, "5 are handled", handled(t, b.conn, 5))
		a.stop()
		a.wipe()
		a.start()
		sendRange(t, a.conn, 6, 8)
		eventually(t, time.Minute, "8 are handled", handled(t, b.conn, 8))
		checkTally(t, b.conn, "work", "a", 8)
	})
}

// TestP2Rejoin: who leaves and joins again is a new reader: what was sent in between is not owed, nothing comes twice.
func TestP2Rejoin(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, a, b := pair(t, writeX, readX(t))
		sendRange(t, a.conn, 1, 5)
		eventually(t, time.Minute, "5 are handled", handled(t, b.conn, 5))
		check(t, b.conn.channel("x").Unsubscribe())
		eventually(t, time.Minute, "the sender knows", func() bool {
			return !slices.ContainsFunc(a.conn.Status().Peers[0].Readers, func(r ReaderStatus) bool { return r.Channel == "x" })
		})
		sendRange(t, a.conn, 6, 10)
		time.Sleep(time.Hour)
		check(t, b.conn.Join("x", ReadOnly).Handle(tally("work")))
		sendRange(t, a.conn, 11, 12)
		eventually(t, time.Minute, "12 are handled", handled(t, b.conn, 12))
		if got, want := seen(t, b.conn, 12), []int{1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1}; !slices.Equal(got, want) {
			t.Errorf("handled %v, want %v", got, want)
		}
	})
}

// TestLateJoiner: a reader that the sender had never heard of is owed what was sent since its join, by its choice all, or
// only what is new.
func TestLateJoiner(t *testing.T) {
	for _, tc := range []struct {
		start Start
		want  []int
	}{{StartJoin, []int{0, 0, 1, 1, 1, 1}}, {StartAll, []int{1, 1, 1, 1, 1, 1}}, {StartNew, []int{0, 0, 0, 0, 1, 1}}} {
		bubble(t, func(t *testing.T) {
			net := bus.NewNetwork(1)
			a := newSimNode(t, net, "a", writeX)
			b := newSimNode(t, net, "b", func(c *Connection) { check(t, c.Join("x", ReadOnly, WithStart(tc.start)).Handle(tally("work"))) })
			a.start()
			defer a.stop()
			sendRange(t, a.conn, 1, 2)
			time.Sleep(time.Minute)
			net.Partition("b")
			b.start() // joined, not heard
			defer b.stop()
			time.Sleep(time.Minute)
			sendRange(t, a.conn, 3, 4)
			time.Sleep(time.Minute)
			net.Heal()
			eventually(t, time.Minute, "they have met", func() bool { return len(a.conn.Status().Peers) > 0 && len(a.conn.Status().Peers[0].Readers) > 0 })
			sendRange(t, a.conn, 5, 6)
			eventually(t, time.Minute, "6 is handled", handled(t, b.conn, 6))
			if got := seen(t, b.conn, 6); !slices.Equal(got, tc.want) {
				t.Errorf("start %d: handled %v, want %v", tc.start, got, tc.want)
			}
		})
	}
}

// TestClone: two live nodes of one name. The one that is in use stays; the other is refused, and both say so.
func TestClone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net, a, b := pair(t, writeX, readX(t))
		sendRange(t, a.conn, 1, 5)
		eventually(t, time.Minute, "5 are handled", handled(t, b.conn, 5))
		a.stop()
		image := a.snapshot()
		a.start()
		sendRange(t, a.conn, 6, 6)
		eventually(t, time.Minute, "6 is handled", handled(t, b.conn, 6))
		clone := newSimNode(t, net, "a", writeX)
		path := a.path
		a.path = clone.path
		image()
		a.path = path
		clone.start()
		check(t, clone.conn.channel("x").SendMessage("666"))
		for n := 7; n <= 10; n++ {
			sendRange(t, a.conn, n, n)
			time.Sleep(time.Second)
		}
		eventually(t, time.Minute, "10 are handled", handled(t, b.conn, 10))
		for who, c := range map[string]*Connection{"original": a.conn, "clone": clone.conn, "reader": b.conn} {
			if s := c.Status(); !slices.ContainsFunc(s.Troubles, func(s string) bool { return len(s) > 17 && s[:17] == "identity_conflict" }) {
				t.Errorf("%s: troubles are %q, want identity_conflict", who, s.Troubles)
			}
		}
		clone.stop()
		time.Sleep(time.Minute)
		for who, c := range map[string]*Connection{"original": a.conn, "reader": b.conn} {
			if s := c.Status(); s.Health != "ok" {
				t.Errorf("%s: the clone is gone, and health is %q", who, s.Health)
			}
		}
		if n := kvNumber(t, b.conn, "work", "disorder/a"); n != 0 {
			t.Errorf("%d out of order", n)
		}
	})
}
