package engine

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
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
	f := &fleet{t: t, net: net, nodes: map[string]*simNode{}, events: map[string][]Event{}}
	t.Cleanup(func() {
		for _, n := range f.nodes {
			n.stop()
		}
	})
	return f
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

// note keeps a message's content behind those before it; the same twice is a failure of the engine, and shows as "again".
func note(_ context.Context, tx *Tx, m *Message) error {
	v, _, err := tx.Get("all")
	if err != nil {
		return err
	}
	if slices.Contains(strings.Fields(string(v)), string(m.Data)) {
		v = append(v, " again"...)
	}
	return tx.Set("all", append(append(v, ' '), m.Data...))
}

func noteSlowly(ctx context.Context, tx *Tx, m *Message) error {
	select {
	case <-time.After(10 * time.Millisecond):
	case <-ctx.Done():
		return ctx.Err()
	}
	return note(ctx, tx, m)
}

func noteAfter(hold <-chan struct{}) func(context.Context, *Tx, *Message) error {
	return func(ctx context.Context, tx *Tx, m *Message) error {
		select {
		case <-hold:
		case <-ctx.Done():
			return ctx.Err()
		}
		return note(ctx, tx, m)
	}
}
