package engine

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/getevo/rmds/engine/internal/bus"
)

// TestPurgeSimulation purges at random moments, over a bad network, while both sides are restarted and cut off: each
// message is handled once or a dead letter, none is both, order holds, and the gaps on the reader's disk add up to the dead
// letters. Replay one seed with -sim.seed.
func TestPurgeSimulation(t *testing.T) {
	for i := range uint64(*simRuns) {
		seed := i + 1
		if *simSeed != 0 && seed != *simSeed {
			continue
		}
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { simulatePurges(t, seed) })
		})
	}
}

func simulatePurges(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 2))
	f := newFleet(t)
	f.net = bus.NewNetwork(seed)
	f.net.Set(bus.Faults{Loss: 0.15, Duplicate: 0.1, Corrupt: 0.02, Reorder: 0.2, Delay: time.Millisecond, Jitter: 20 * time.Millisecond})
	a := f.add("a", func(c *Connection) {
		c.Join("x", WriteOnly)
		c.Join("y", WriteOnly, WithExpiry(0))
	}, nil)
	b := f.add("b", func(c *Connection) {
		for _, ch := range []string{"x", "y"} {
			check(t, c.Join(ch, ReadOnly).Handle(&Handler{Name: "notes", Func: noteSlowly}))
		}
	}, nil)
	pause := func(most int) { time.Sleep(time.Duration(rnd.IntN(most)) * time.Millisecond) }
	sent := 0
	for range 30 {
		for range rnd.IntN(15) {
			sent++
			check(t, a.conn.channel([]string{"x", "y"}[rnd.IntN(2)]).SendMessage(strconv.Itoa(sent)))
		}
		switch rnd.IntN(8) {
		case 0:
			b.stop()
			pause(3000)
			b.start()
		case 1:
			a.stop()
			pause(3000)
			a.start()
		case 2:
			f.net.Partition("a")
			pause(8000)
			f.net.Heal()
		case 3, 4:
			_, err := a.conn.Mgmt.PurgeQueue(Self)
			check(t, err)
		case 5:
			_, err := a.conn.Mgmt.PurgeAll(Self)
			check(t, err)
		case 6:
			b.stop()
			_, err := a.conn.Mgmt.PurgeQueue(Self)
			check(t, err)
			b.start()
		}
		pause(300)
	}
	eventually(t, 10*time.Minute, "the queue is empty", func() bool { return a.conn.Status().Queued == 0 })
	sent++
	check(t, a.conn.channel("x").SendMessage(strconv.Itoa(sent)))
	eventually(t, 10*time.Minute, "the last message is handled", func() bool { return slices.Contains(took(t, b.conn), strconv.Itoa(sent)) })
	time.Sleep(20 * time.Second) // what comes twice has time to come

	number := func(s string) int { n, _ := strconv.Atoi(s); return n }
	byNumber := func(x, y string) int { return number(x) - number(y) }
	handled, dead := took(t, b.conn), deadContents(t, a.conn, reasonPurged)
	if !slices.IsSortedFunc(handled, byNumber) {
		t.Errorf("handled out of order: %v", handled)
	}
	all := append(slices.Clone(handled), dead...)
	slices.SortFunc(all, byNumber)
	if !slices.Equal(all, span(1, sent)) {
		t.Errorf("handled %v\nand purged %v\nare not each of 1 to %d once", handled, dead, sent)
	}
	events, err := b.conn.st.Events(0, 10_000)
	check(t, err)
	lost := 0
	for _, e := range events {
		var n int
		if e.Kind == "gap" {
			if _, err := fmt.Sscanf(e.Text, "%d message(s)", &n); err != nil {
				t.Errorf("gap event %q: %v", e.Text, err)
			}
			lost += n
		}
	}
	owed := 0 // what was purged before the sender had seen the reader is counted by nobody
	letters, err := a.conn.DeadLetters(0, 10_000)
	check(t, err)
	for _, l := range letters {
		if l.Reader == "b" {
			owed++
		}
	}
	if lost != owed {
		t.Errorf("the reader was told of %d missing messages, %d are dead letters", lost, owed)
	}
	if s := a.conn.Status(); s.Queued != 0 {
		t.Errorf("%d queued", s.Queued)
	}
	if errs := a.conn.st.Check(); errs != nil {
		t.Errorf("the sender's database: %v", errs)
	}
}
