package engine

import (
	"errors"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/getevo/rmds/engine/internal/bus"
)

// TestP27PurgeOffline purges what waits for a reader that is away: the queue has room at once, and the reader is told.
func TestP27PurgeOffline(t *testing.T) {
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
	})
}

// TestP8PurgeOpen purges again and again while messages flow: each is handled or a dead letter, none is both, order
// holds, and the gaps that the reader was told of add up to the dead letters.
func TestP8PurgeOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		f.net.Set(bus.Faults{Loss: 0.1, Duplicate: 0.05, Reorder: 0.1, Delay: time.Millisecond, Jitter: 5 * time.Millisecond})
		slow := &Handler{Name: "notes", Func: noteSlowly}
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
	})
}

// TestP30PurgeInDoubt purges, or kicks, from a cursor that lags behind the reader: what it had handled is withdrawn from the
// dead letters.
func TestP30PurgeInDoubt(t *testing.T) {
	for reason, take := range map[string]func(*Mgmt) error{
		"purged": func(m *Mgmt) error { _, err := m.PurgeQueue(Self); return err },
		"kicked": func(m *Mgmt) error { _, err := m.Kick("b"); return err },
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { takeInDoubt(t, reason, take) })
		})
	}
}

func takeInDoubt(t *testing.T, reason string, take func(*Mgmt) error) {
	f := newFleet(t)
	a := f.add("a", writes("x"), nil)
	hold := make(chan struct{})
	b := f.add("b", func(c *Connection) {
		check(t, c.Join("x", ReadOnly).Handle(&Handler{Name: "notes", Func: noteAfter(hold)}))
	}, nil)
	send(t, a.conn, "x", 1, 5)
	time.Sleep(5 * time.Second) // they have arrived and wait for the handler
	f.net.Partition("b")
	close(hold)
	eventually(t, time.Minute, "they are handled", func() bool { return len(took(t, b.conn)) == 5 })
	send(t, a.conn, "x", 6, 8)
	time.Sleep(10 * time.Second)
	check(t, take(a.conn.Mgmt))
	if got := deadContents(t, a.conn, reason); !slices.Equal(got, span(1, 8)) {
		t.Errorf("dead letters are %v, want 1 to 8", got)
	}
	a.stop()
	a.start()
	if reason == reasonKicked {
		_, err := a.conn.Mgmt.Unkick("b")
		check(t, err)
	}
	f.net.Heal()
	wantTook(t, b, span(1, 5))
	send(t, a.conn, "x", 9, 9)
	wantTook(t, b, append(span(1, 5), "9"))
	if got := deadContents(t, a.conn, reason); !slices.Equal(got, span(6, 8)) {
		t.Errorf("dead letters are %v, want 6 to 8", got)
	}
	if n := f.lost("b"); n != 3 {
		t.Errorf("gap events speak of %d messages, want 3: %q", n, f.texts("b", "gap"))
	}
	if s := a.conn.Status(); s.Queued != 0 {
		t.Errorf("%d queued", s.Queued)
	}
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
	})
}
