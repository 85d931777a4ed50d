package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/getevo/rmds/engine/internal/bus"
)

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
			send(t, late.conn, "x", 8, 9) // it may still think that it has a reader, or know that it has none
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
	})
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
	})
}

// TestKickInterrupted: the disk fails, or the node ends, between an order and what follows from it. The order stands, and
// the next start does the rest.
func TestKickInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		broken := false
		a := f.add("a", writes("x"), func(c *Config) {
			c.Fault = func(op string) error {
				if broken && op == "SetAside" {
					return errors.New("injected")
				}
				return nil
			}
		})
		b := f.add("b", reads(t, "x"), nil)
		send(t, a.conn, "x", 1, 2)
		wantTook(t, b, span(1, 2))
		b.stop()
		send(t, a.conn, "x", 3, 5)
		broken = true
		if answers, err := a.conn.Mgmt.Kick("b"); !errors.Is(err, ErrRefused) {
			t.Errorf("the kick ended with %v, %+v", err, answers)
		}
		if got := outcomes(t, a); !slices.Equal(got, []string{"failed"}) {
			t.Errorf("audit %v", got)
		}
		a.stop()
		broken = false
		a.start()
		eventually(t, time.Minute, "the queue is set aside", func() bool { return len(deadContents(t, a.conn, "kicked")) == 3 })
		b.start()
		send(t, a.conn, "x", 6, 6)
		wantTook(t, b, span(1, 2))
		eventually(t, time.Minute, "the kicked node has learned of it", func() bool { return b.conn.kicks.denies("b", "x") })
	})
}

// TestKickMeetsQueue: a peer was off when a reader was kicked, and has a queue for it. The reader has left by then, and yet
// the queue becomes dead letters: a kick is no leave, also if the link's frames arrive and those about the kick do not.
func TestKickMeetsQueue(t *testing.T) {
	for name, kick := range map[string]func(*Mgmt) ([]Answer, error){
		"node":    func(m *Mgmt) ([]Answer, error) { return m.Kick("b") },
		"channel": func(m *Mgmt) ([]Answer, error) { return m.KickChannel("b", "x") },
	} {
		for seed := range uint64(8) {
			observe := seed%2 == 0
			t.Run(fmt.Sprintf("%s,observe=%v,seed=%d", name, observe, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newFleet(t)
					f.net = bus.NewNetwork(seed)
					watch := func(c *Config) { c.Observe = observe }
					a := f.add("a", writes("x", "y"), watch)
					b := f.add("b", reads(t, "x", "y"), watch)
					send(t, a.conn, "x", 1, 1)
					wantTook(t, b, span(1, 1))
					f.net.Partition("a")
					send(t, a.conn, "x", 2, 4)
					time.Sleep(10 * time.Second)
					_, err := kick(b.conn.Mgmt)
					check(t, err)
					a.stop()
					f.net.Heal()
					f.net.Set(bus.Faults{Loss: 0.3, Delay: time.Millisecond})
					a.start()
					eventually(t, time.Minute, "the queue is set aside", func() bool { return len(deadContents(t, a.conn, "kicked")) == 3 })
					if got := deadContents(t, a.conn, "kicked"); !slices.Equal(got, span(2, 4)) {
						t.Errorf("dead letters are %v, want 2 to 4", got)
					}
					send(t, a.conn, "x", 5, 5)
					send(t, a.conn, "y", 6, 6)
					want := span(1, 1)
					if name == "channel" {
						want = append(want, "6")
					}
					wantTook(t, b, want)
				})
			})
		}
	}
}

// TestMgmtOverNATS commands over a real server.
func TestMgmtOverNATS(t *testing.T) {
	t.Parallel()
	nats := runNATS(t, -1)
	defer nats.Shutdown()
	quick := func(c *Config) { c.KeepaliveInterval, c.NodeOfflineTimeout = 200*time.Millisecond, 2*time.Second }
	a := realNode(t, "a", nats.ClientURL(), quick)
	b := realNode(t, "b", nats.ClientURL(), quick)
	out := a.Join("x", WriteOnly)
	got := collect(t, b.Join("x", ReadOnly))
	check(t, out.SendMessage("one"))
	expect(t, got, "one", 10*time.Second)
	eventually(t, 10*time.Second, "b sees a", func() bool { return len(b.Mgmt.Nodes()) == 2 })
	answers, err := b.Mgmt.Kick("b")
	check(t, err)
	wantOutcomes(t, answers, err, "a=done b=done")
	check(t, out.SendMessage("two"))
	answers, err = a.Mgmt.Unkick("b")
	check(t, err)
	wantOutcomes(t, answers, err, "a=done b=done")
	eventually(t, 10*time.Second, "b reads x again", func() bool { return len(a.Mgmt.GetSubscribers("x")) == 1 })
	check(t, out.SendMessage("three"))
	for m := range got { // "two" may come too: it was sent within the second of doubt about b's new join
		if string(m.Data) == "three" {
			break
		}
	}
}
