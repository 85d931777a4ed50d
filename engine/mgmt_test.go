package engine

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/getevo/rmds/engine/internal/bus"
)

// fleet is some nodes of one simulated network, with the events that they have emitted.
type fleet struct {
	t     *testing.T
	net   *bus.Network
	nodes map[string]*simNode

	mu     sync.Mutex
	events map[string][]Event
}

func newFleet(t *testing.T) *fleet {
	net := bus.NewNetwork(1)
	net.Set(bus.Faults{Delay: time.Millisecond})
	return &fleet{t: t, net: net, nodes: map[string]*simNode{}, events: map[string][]Event{}}
}

// add makes a node and starts it; change may be nil.
func (f *fleet) add(id string, join func(*Connection), change func(*Config)) *simNode {
	n := newSimNode(f.t, f.net, id, join)
	n.cfg = func(c *Config) {
		c.OnEvent = func(e Event) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.events[id] = append(f.events[id], e)
		}
		if change != nil {
			change(c)
		}
	}
	f.nodes[id] = n
	n.start()
	return n
}

func (f *fleet) stop() {
	for _, n := range f.nodes {
		n.stop()
	}
}

// texts returns the texts of a node's events of one kind.
func (f *fleet) texts(id, kind string) (list []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.events[id] {
		if e.Kind == kind {
			list = append(list, e.Text)
		}
	}
	return list
}

// lost adds up the messages that a node's gap events speak of.
func (f *fleet) lost(id string) (n int) {
	for _, text := range f.texts(id, "gap") {
		var k int
		if _, err := fmt.Sscanf(text, "%d message(s)", &k); err != nil {
			f.t.Errorf("gap event %q: %v", text, err)
		}
		n += k
	}
	return n
}

func writes(channels ...string) func(*Connection) {
	return func(c *Connection) {
		for _, ch := range channels {
			c.Join(ch, WriteOnly)
		}
	}
}

func reads(t *testing.T, channels ...string) func(*Connection) {
	return func(c *Connection) {
		for _, ch := range channels {
			check(t, c.Join(ch, ReadOnly).Handle(notes))
		}
	}
}

// notes keeps the contents in the order of handling, and never the same twice.
var notes = &Handler{Name: "notes", Func: note}

// took returns what a node has handled, in order.
func took(t testing.TB, c *Connection) []string {
	t.Helper()
	v, _, err := c.KV("notes").Get("all")
	check(t, err)
	return strings.Fields(string(v))
}

func span(from, to int) (list []string) {
	for i := from; i <= to; i++ {
		list = append(list, strconv.Itoa(i))
	}
	return list
}

func send(t testing.TB, c *Connection, channel string, from, to int) {
	t.Helper()
	ch := c.channel(channel)
	for i := from; i <= to; i++ {
		check(t, ch.SendMessage(strconv.Itoa(i)))
	}
}

// deadContents returns the contents of a node's dead letters with a reason, oldest first.
func deadContents(t testing.TB, c *Connection, reason string) (list []string) {
	t.Helper()
	letters, err := c.DeadLetters(0, 1000)
	check(t, err)
	slices.Reverse(letters)
	for _, l := range letters {
		if l.Reason == reason {
			whole, err := c.DeadLetter(l.ID)
			check(t, err)
			list = append(list, string(whole.Content))
		}
	}
	return list
}

func wantTook(t testing.TB, n *simNode, want []string) {
	t.Helper()
	eventually(t, time.Minute, fmt.Sprintf("%s has handled %d", n.id, len(want)), func() bool { return len(took(t, n.conn)) >= len(want) })
	time.Sleep(5 * time.Second) // more has time to come
	if got := took(t, n.conn); !slices.Equal(got, want) {
		t.Errorf("%s has handled %v, want %v", n.id, got, want)
	}
}

func wantOutcomes(t testing.TB, answers []Answer, err error, want string) {
	t.Helper()
	var list []string
	for _, a := range answers {
		list = append(list, a.Node+"="+a.Outcome)
	}
	if got := strings.Join(list, " "); got != want {
		t.Errorf("answers %q, want %q (error: %v)", got, want, err)
	}
}

// TestKickSticks kicks a reader, restarts everybody, and lets a peer join that was off all the while.
func TestKickSticks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		a := f.add("a", writes("x"), nil)
		late := f.add("late", writes("x"), nil)
		b := f.add("b", func(c *Connection) {
			check(t, c.Join("x", ReadOnly).Handle(notes))
			c.Join("back", WriteOnly)
		}, nil)
		desk := f.add("desk", nil, nil)
		send(t, a.conn, "x", 1, 3)
		send(t, late.conn, "x", 4, 5)
		wantTookSorted(t, b, span(1, 5))
		late.stop()
		time.Sleep(time.Second)

		answers, err := desk.conn.Mgmt.Kick("b")
		wantOutcomes(t, answers, err, "a=done b=done desk=done late=offline")
		if err != nil {
			t.Error(err)
		}
		send(t, a.conn, "x", 6, 7)
		if err := b.conn.channel("back").SendMessage("1"); !errors.Is(err, ErrKicked) {
			t.Errorf("the kicked node sends: %v", err)
		}
		for range 2 { // as it is, and after a restart of every party
			late.start()
			send(t, late.conn, "x", 8, 9)
			time.Sleep(20 * time.Second)
			if got := took(t, b.conn); len(got) != 5 {
				t.Errorf("the kicked node has handled %v", got)
			}
			for _, n := range []*simNode{a, late, desk, b} {
				if s := n.conn.Status(); s.Queued != 0 {
					t.Errorf("%s keeps a queue for the kicked node: %+v", n.id, s.Peers)
				}
				if !n.conn.kicks.denies("b", "x") {
					t.Errorf("%s does not know of the kick", n.id)
				}
				n.stop()
			}
			for _, n := range []*simNode{b, desk, a} {
				n.start()
			}
		}
		late.start()
		if trouble := b.conn.Status().Troubles; !slices.ContainsFunc(trouble, func(s string) bool { return strings.HasPrefix(s, "kicked: ") }) {
			t.Errorf("the kicked node's troubles are %q", trouble)
		}
		time.Sleep(10 * time.Second)
		late.stop()
		time.Sleep(time.Second)
		answers, err = a.conn.Mgmt.Unkick("b")
		wantOutcomes(t, answers, err, "a=done b=done desk=done late=offline")
		time.Sleep(time.Second)
		send(t, a.conn, "x", 10, 11)
		late.start()
		time.Sleep(5 * time.Second)
		send(t, late.conn, "x", 12, 13)
		wantTookSorted(t, b, append(span(1, 5), span(10, 13)...))
		if n := len(b.conn.Status().Troubles); n != 0 {
			t.Errorf("troubles after the kick was lifted: %q", b.conn.Status().Troubles)
		}
		f.stop()
	})
}

func wantTookSorted(t testing.TB, n *simNode, want []string) {
	t.Helper()
	eventually(t, time.Minute, fmt.Sprintf("%s has handled %d", n.id, len(want)), func() bool { return len(took(t, n.conn)) >= len(want) })
	time.Sleep(5 * time.Second) // more has time to come
	got := took(t, n.conn)
	slices.SortFunc(got, func(x, y string) int { i, _ := strconv.Atoi(x); j, _ := strconv.Atoi(y); return i - j })
	if !slices.Equal(got, want) {
		t.Errorf("%s has handled %v, want %v", n.id, got, want)
	}
}

// TestKickUnheard kicks a reader that never hears of it. Its membership goes on after the kick is lifted, with a gap that
// says exactly what is missing.
func TestKickUnheard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		a := f.add("a", writes("x"), nil)
		b := f.add("b", reads(t, "x"), nil)
		send(t, a.conn, "x", 1, 3)
		wantTook(t, b, span(1, 3))
		f.net.Partition("b")
		send(t, a.conn, "x", 4, 8)
		time.Sleep(10 * time.Second)
		_, err := a.conn.Mgmt.Kick("b")
		check(t, err)
		if got := deadContents(t, a.conn, "kicked"); !slices.Equal(got, span(4, 8)) {
			t.Errorf("dead letters are %v, want 4 to 8", got)
		}
		send(t, a.conn, "x", 9, 10)
		a.stop()
		a.start()
		_, err = a.conn.Mgmt.Unkick("b")
		check(t, err)
		f.net.Heal()
		wantTook(t, b, span(1, 3))
		send(t, a.conn, "x", 11, 12)
		wantTook(t, b, append(span(1, 3), span(11, 12)...))
		if n := f.lost("b"); n != 7 {
			t.Errorf("gap events speak of %d messages, want 7: %q", n, f.texts("b", "gap"))
		}
		if s := a.conn.Status(); s.Queued != 0 {
			t.Errorf("%d queued", s.Queued)
		}
		f.stop()
	})
}

// TestKickChannel kicks a node, reader of x and y and writer of z, out of x and z.
func TestKickChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		a := f.add("a", func(c *Connection) {
			writes("x", "y")(c)
			reads(t, "z")(c)
		}, nil)
		b := f.add("b", func(c *Connection) {
			reads(t, "x", "y")(c)
			writes("z")(c)
		}, nil)
		send(t, a.conn, "x", 1, 1)
		send(t, a.conn, "y", 2, 2)
		wantTook(t, b, span(1, 2))
		_, err := a.conn.Mgmt.KickChannel("b", "x", "z")
		check(t, err)
		send(t, a.conn, "x", 3, 3)
		send(t, a.conn, "y", 4, 4)
		wantTook(t, b, []string{"1", "2", "4"})
		if err := b.conn.channel("z").SendMessage("5"); !errors.Is(err, ErrKicked) {
			t.Errorf("a kicked writer sends: %v", err)
		}
		// A writer that pays no heed: its readers refuse what it sends.
		b.conn.kicks.put(nil)
		b.conn.kicks.active.Store(0)
		check(t, b.conn.channel("z").SendMessage("5"))
		eventually(t, time.Minute, "the reader refuses", func() bool { return len(deadContents(t, a.conn, "forbidden")) == 1 })
		if got := took(t, a.conn); len(got) != 0 {
			t.Errorf("handled %v from the kicked writer", got)
		}
		b.conn.kicks.put(nil)
		_, err = a.conn.Mgmt.Unkick("b", "z")
		check(t, err)
		check(t, b.conn.channel("z").SendMessage("6"))
		wantTook(t, a, []string{"6"})
		if _, err := a.conn.Mgmt.Unkick("b", "y"); !errors.Is(err, ErrNotFound) {
			t.Errorf("undoing what was not done: %v", err)
		}
		_, err = a.conn.Mgmt.Unkick("b")
		check(t, err)
		time.Sleep(time.Second)
		send(t, a.conn, "x", 7, 7)
		wantTook(t, b, []string{"1", "2", "4", "7"})

		_, err = b.conn.Mgmt.KickChannel("b") // a node may leave for good
		check(t, err)
		send(t, a.conn, "y", 8, 8)
		wantTook(t, b, []string{"1", "2", "4", "7"})
		f.stop()
	})
}

// TestPurgeQueueOffline purges what waits for a reader that is away: the queue has room at once, and the reader is told.
func TestPurgeQueueOffline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		a := f.add("a", writes("x"), func(c *Config) { c.MaxMessagesPerReceiver = 10 })
		b := f.add("b", reads(t, "x"), nil)
		send(t, a.conn, "x", 1, 2)
		wantTook(t, b, span(1, 2))
		b.stop()
		send(t, a.conn, "x", 3, 12)
		if err := a.conn.channel("x").SendMessage("no"); !errors.Is(err, ErrQueueFull) {
			t.Fatalf("the queue is not full: %v", err)
		}
		answers, err := a.conn.Mgmt.PurgeQueue(Self)
		wantOutcomes(t, answers, err, "a=done")
		if answers[0].Count != 10 {
			t.Errorf("%d purged, want 10", answers[0].Count)
		}
		if got := deadContents(t, a.conn, "purged"); !slices.Equal(got, span(3, 12)) {
			t.Errorf("dead letters are %v, want 3 to 12", got)
		}
		if n := a.conn.Status().Queued; n != 0 {
			t.Errorf("%d queued after the purge", n)
		}
		a.stop()
		a.start()
		send(t, a.conn, "x", 13, 15)
		if n := a.conn.Status().Queued; n != 3 {
			t.Errorf("%d queued, want 3", n)
		}
		answers, err = a.conn.Mgmt.PurgeQueue(Self) // what is set aside already stays as it is
		wantOutcomes(t, answers, err, "a=done")
		if answers[0].Count != 3 {
			t.Errorf("%d purged, want 3", answers[0].Count)
		}
		send(t, a.conn, "x", 16, 20)
		b.start()
		wantTook(t, b, append(span(1, 2), span(16, 20)...))
		if n := f.lost("b"); n != 13 {
			t.Errorf("gap events speak of %d messages, want 13: %q", n, f.texts("b", "gap"))
		}
		if got := len(deadContents(t, a.conn, "purged")); got != 13 {
			t.Errorf("%d dead letters, want 13", got)
		}
		if s := a.conn.Status(); s.Queued != 0 {
			t.Errorf("%d queued", s.Queued)
		}
		f.stop()
	})
}

// TestPurgeQueueOpen purges again and again while messages flow: each is handled or a dead letter, none is both, order
// holds, and the gaps that the reader was told of add up to the dead letters.
func TestPurgeQueueOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		f.net.Set(bus.Faults{Loss: 0.1, Duplicate: 0.05, Reorder: 0.1, Delay: time.Millisecond, Jitter: 5 * time.Millisecond})
		slow := &Handler{Name: "notes", Func: recordSlowly}
		a := f.add("a", writes("x"), nil)
		b := f.add("b", func(c *Connection) { check(t, c.Join("x", ReadOnly).Handle(slow)) }, nil)
		eventually(t, time.Minute, "they know each other", func() bool { return len(a.conn.Mgmt.GetSubscribers("x")) == 1 })
		n := 0
		for round := range 8 {
			send(t, a.conn, "x", n+1, n+20)
			n += 20
			time.Sleep(time.Duration(round) * 30 * time.Millisecond)
			if round == 5 {
				b.stop()
			}
			_, err := a.conn.Mgmt.PurgeQueue(Self)
			check(t, err)
			if round == 5 {
				b.start()
			}
		}
		send(t, a.conn, "x", n+1, n+5)
		n += 5
		eventually(t, time.Minute, "the queue is empty", func() bool { return a.conn.Status().Queued == 0 && slices.Contains(took(t, b.conn), strconv.Itoa(n)) })
		time.Sleep(5 * time.Second)
		all := append(took(t, b.conn), deadContents(t, a.conn, "purged")...)
		slices.SortFunc(all, func(x, y string) int { i, _ := strconv.Atoi(x); j, _ := strconv.Atoi(y); return i - j })
		if !slices.Equal(all, span(1, n)) {
			t.Errorf("handled and purged together: %v, want each of 1 to %d once", all, n)
		}
		if !slices.IsSortedFunc(took(t, b.conn), func(x, y string) int { i, _ := strconv.Atoi(x); j, _ := strconv.Atoi(y); return i - j }) {
			t.Errorf("handled out of order: %v", took(t, b.conn))
		}
		if lost, dead := f.lost("b"), len(deadContents(t, a.conn, "purged")); lost != dead || dead == 0 {
			t.Errorf("the reader was told of %d missing messages, %d are dead letters", lost, dead)
		}
		f.stop()
	})
}

// TestPurgeInDoubt purges from a cursor that lags behind the reader: what it had handled is withdrawn from the dead letters.
func TestPurgeInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		a := f.add("a", writes("x"), nil)
		hold := make(chan struct{})
		b := f.add("b", func(c *Connection) {
			check(t, c.Join("x", ReadOnly).Handle(&Handler{Name: "notes", Func: recordAfter(hold)}))
		}, nil)
		send(t, a.conn, "x", 1, 5)
		time.Sleep(5 * time.Second) // they have arrived and wait for the handler
		f.net.Partition("b")
		close(hold)
		eventually(t, time.Minute, "they are handled", func() bool { return len(took(t, b.conn)) == 5 })
		send(t, a.conn, "x", 6, 8)
		_, err := a.conn.Mgmt.PurgeQueue(Self)
		check(t, err)
		if got := deadContents(t, a.conn, "purged"); !slices.Equal(got, span(1, 8)) {
			t.Errorf("dead letters are %v, want 1 to 8", got)
		}
		a.stop()
		a.start()
		f.net.Heal()
		send(t, a.conn, "x", 9, 9)
		wantTook(t, b, append(span(1, 5), "9"))
		if got := deadContents(t, a.conn, "purged"); !slices.Equal(got, span(6, 8)) {
			t.Errorf("dead letters are %v, want 6 to 8", got)
		}
		if n := f.lost("b"); n != 3 {
			t.Errorf("gap events speak of %d messages, want 3: %q", n, f.texts("b", "gap"))
		}
		if s := a.conn.Status(); s.Queued != 0 {
			t.Errorf("%d queued", s.Queued)
		}
		f.stop()
	})
}

// TestPurgeSentAndAll purges the whole fleet and looks at what late readers get.
func TestPurgeSentAndAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		a := f.add("a", writes("x", "nobody"), nil)
		b := f.add("b", reads(t, "x"), nil)
		desk := f.add("desk", nil, nil)
		gone := f.add("gone", nil, nil)
		send(t, a.conn, "x", 1, 3)
		wantTook(t, b, span(1, 3))
		send(t, a.conn, "nobody", 100, 101)
		time.Sleep(2 * time.Second)
		gone.stop()
		time.Sleep(time.Second)
		answers, err := desk.conn.Mgmt.PurgeSent()
		wantOutcomes(t, answers, err, "a=done b=done desk=done gone=offline")
		if err != nil || answers[0].Count != 3 {
			t.Errorf("a has purged %d, want 3 (%v)", answers[0].Count, err)
		}
		answers, err = desk.conn.Mgmt.PurgeAll("a", "b", "never")
		wantOutcomes(t, answers, err, "a=done b=done never=offline")
		if err != nil || answers[0].Count != 2 {
			t.Errorf("a has purged %d, want 2 (%v)", answers[0].Count, err)
		}
		if got := deadContents(t, a.conn, "purged"); !slices.Equal(got, span(100, 101)) {
			t.Errorf("dead letters are %v, want 100 and 101", got)
		}
		send(t, a.conn, "x", 4, 4)
		send(t, a.conn, "nobody", 102, 102)
		wantTook(t, b, span(1, 4))
		late := f.add("late", func(c *Connection) {
			check(t, c.Join("nobody", ReadOnly, WithStart(StartAll)).Handle(notes))
		}, nil)
		wantTook(t, late, []string{"102"})
		if audit, err := b.conn.Mgmt.Audit(0, 10); err != nil || len(audit) != 2 || audit[0].Action != "purge_sent" || audit[1].Who != "desk" || audit[1].Outcome != "done" {
			t.Errorf("b's audit is %+v, %v", audit, err)
		}
		gone.start()
		f.stop()
	})
}

// TestTopology asks nodes that observe and one that does not.
func TestTopology(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		a := f.add("a", writes("x"), nil)
		f.add("b", reads(t, "x", "y"), nil)
		blind := f.add("blind", nil, func(c *Config) { c.Observe = false })
		time.Sleep(3 * time.Second)
		for _, n := range []*simNode{a, blind} {
			m := n.conn.Mgmt
			var ids []string
			for _, node := range m.Nodes() {
				if !node.Online || node.Self != (node.ID == n.id) {
					t.Errorf("%s sees %+v", n.id, node)
				}
				ids = append(ids, node.ID)
			}
			if !slices.Equal(ids, []string{"a", "b", "blind"}) {
				t.Errorf("%s sees %v", n.id, ids)
			}
			if got := m.Channels(); !slices.Equal(got, []string{"x", "y"}) {
				t.Errorf("%s sees the channels %v", n.id, got)
			}
			if got := m.GetSubscribers("x"); !slices.Equal(got, []string{"b"}) {
				t.Errorf("%s sees %v read x", n.id, got)
			}
			if top := m.Topology(); len(top.Nodes) != 3 || len(top.Channels) != 2 || !slices.Equal(top.Channels[0].Writers, []string{"a"}) {
				t.Errorf("%s sees %+v", n.id, top)
			}
		}
		if _, err := blind.conn.Mgmt.Kick("b"); err != nil {
			t.Error(err)
		}
		if nodes := a.conn.Mgmt.Nodes(); !nodes[1].Kicked {
			t.Errorf("a does not show the kick: %+v", nodes[1])
		}
		f.nodes["b"].stop()
		f.nodes["b"].mem.Close()
		time.Sleep(time.Second)
		if nodes := a.conn.Mgmt.Nodes(); nodes[1].Online {
			t.Error("a closed node is shown as online")
		}
		send(t, a.conn, "x", 1, 2)
		if s := a.conn.Mgmt.Statistic(); s["accepted"] != 2 || s["delivered"] != 0 || s["queued"] != 0 || s["dropped"] != 0 {
			t.Errorf("statistic %v", s)
		}
		f.nodes["b"].start()
		f.stop()
	})
}
