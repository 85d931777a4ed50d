package engine

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/getevo/rmds/engine/internal/bus"
	"github.com/getevo/rmds/engine/internal/wire"
)

// tap listens to the bus as an attacker would who is allowed to.
type tap struct {
	*bus.Mem
	mu     sync.Mutex
	frames []tapped
}

type tapped struct {
	subject string
	data    []byte
}

func (f *fleet) tap(subject string) *tap {
	f.t.Helper()
	w := &tap{Mem: f.net.Connect("tap")}
	_, err := w.Subscribe(subject, func(subject string, data []byte) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.frames = append(w.frames, tapped{subject, data})
	})
	check(f.t, err)
	return w
}

// heard returns the frames so far whose subject begins and ends so.
func (w *tap) heard(prefix, suffix string) (list []tapped) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.frames {
		if strings.HasPrefix(f.subject, prefix) && strings.HasSuffix(f.subject, suffix) {
			list = append(list, f)
		}
	}
	return list
}

func (w *tap) say(t *testing.T, subject string, f wire.Frame) {
	t.Helper()
	check(t, w.Publish(subject, wire.Encode(nil, f)))
}

// outcomes returns the outcomes in a node's audit, oldest first.
func outcomes(t *testing.T, n *simNode) (list []string) {
	t.Helper()
	audit, err := n.conn.Mgmt.Audit(0, 100)
	check(t, err)
	for _, a := range audit {
		list = append(list, a.Outcome)
	}
	return list
}

// TestReplay records a purge, and says it again: at once, when it is answered from memory and not done again, later, after
// a restart, and to another node.
func TestReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		a, b := f.add("a", writes("x"), nil), f.add("b", reads(t, "x"), nil)
		desk := f.add("desk", nil, nil)
		other := f.add("other", nil, nil)
		time.Sleep(2 * time.Second)
		w := f.tap("rmds.management.>")
		defer w.Close()
		answers := f.tap("rmds.ack.desk.*")
		defer answers.Close()
		b.stop()
		send(t, a.conn, "x", 1, 3)
		_, err := desk.conn.Mgmt.PurgeQueue("a")
		check(t, err)
		recorded := w.heard("rmds.management.desk.", ".a")
		if len(recorded) == 0 {
			t.Fatal("nothing was recorded")
		}
		send(t, a.conn, "x", 4, 6)
		replay := func(subject string, wantOutcome string) {
			t.Helper()
			before := len(answers.heard("rmds.ack.desk.", ""))
			check(t, w.Publish(subject, recorded[0].data))
			time.Sleep(time.Second)
			got := answers.heard("rmds.ack.desk.", "")[before:]
			if len(got) == 0 {
				t.Fatal("no answer")
			}
			frame, err := wire.Decode(got[0].data)
			check(t, err)
			if a, ok := frame.(*wire.Answer); !ok || a.Outcome != wantOutcome {
				t.Errorf("the answer is %+v, want %s", frame, wantOutcome)
			}
			if n := a.conn.Status().Queued; n != 3 {
				t.Fatalf("%d queued, want 3: the replay was obeyed", n)
			}
		}
		replay(recorded[0].subject, wire.OutcomeDone)
		if got := outcomes(t, a); !slices.Equal(got, []string{"done"}) {
			t.Errorf("audit %v after a repetition", got)
		}
		time.Sleep(time.Minute)
		replay(recorded[0].subject, wire.OutcomeStale)
		a.stop()
		a.start()
		time.Sleep(time.Second)
		replay(recorded[0].subject, wire.OutcomeStale)
		replay("rmds.management.desk.other", wire.OutcomeStale)
		if got := outcomes(t, a); !slices.Equal(got, []string{"done", "refused", "refused"}) {
			t.Errorf("a's audit %v", got)
		}
		if got := outcomes(t, other); !slices.Equal(got, []string{"refused"}) {
			t.Errorf("other's audit %v", got)
		}
		if n := len(f.texts("a", "command_refused")); n != 2 {
			t.Errorf("%d events of refusals", n)
		}
	})
}

// TestCommandOverBadNetwork: commands and answers are lost, repeated and damaged, and each command is obeyed once.
func TestCommandOverBadNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		f.net.Set(bus.Faults{Loss: 0.3, Duplicate: 0.3, Corrupt: 0.05, Reorder: 0.2, Delay: time.Millisecond, Jitter: 100 * time.Millisecond})
		a, desk := f.add("a", nil, nil), f.add("desk", nil, nil)
		eventually(t, time.Minute, "they know each other", func() bool { return len(desk.conn.Mgmt.Nodes()) == 2 })
		for range 10 {
			answers, err := desk.conn.Mgmt.PurgeSent("a")
			wantOutcomes(t, answers, err, "a=done")
		}
		time.Sleep(10 * time.Second)
		done := 0
		for _, outcome := range outcomes(t, a) {
			if outcome == "done" {
				done++
			}
		}
		if done != 10 {
			t.Errorf("obeyed %d times, want 10", done)
		}
		f.net.Set(bus.Faults{})
	})
}

// TestOperators: nodes that list an operator obey that one's key alone, whoever speaks, and take orders of the kick list
// from nobody else either.
func TestOperators(t *testing.T) {
	key := func() (nkeys.KeyPair, string) {
		pair, err := nkeys.CreateUser()
		check(t, err)
		public, err := pair.PublicKey()
		check(t, err)
		return pair, public
	}
	right, rightKey := key()
	wrong, wrongKey := key()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		guarded := func(c *Config) { c.Operators = []string{rightKey} }
		a, b := f.add("a", writes("x"), guarded), f.add("b", reads(t, "x"), guarded)
		f.add("closed", nil, func(c *Config) { c.Operators = []string{} })
		plain := f.add("plain", nil, nil)
		forger := f.add("forger", nil, func(c *Config) { c.Operator = wrong })
		desk := f.add("desk", nil, func(c *Config) { c.Operators, c.Operator = []string{rightKey}, right })
		send(t, a.conn, "x", 1, 1)
		wantTook(t, b, span(1, 1))

		for name, n := range map[string]*simNode{"unsigned": plain, "wrong key": forger} {
			for what, do := range map[string]func() ([]Answer, error){
				"kick":  func() ([]Answer, error) { return n.conn.Mgmt.Kick("b") },
				"purge": func() ([]Answer, error) { return n.conn.Mgmt.PurgeAll("a", "b", "closed") },
			} {
				answers, err := do()
				if !errors.Is(err, ErrRefused) {
					t.Errorf("%s %s: %v, %+v", name, what, err, answers)
				}
				for _, answer := range answers {
					if (answer.Outcome == wire.OutcomeDone) != (answer.Node == "plain" || answer.Node == "forger") {
						t.Errorf("%s %s: %+v", name, what, answer)
					}
				}
			}
		}
		time.Sleep(10 * time.Second) // the forged orders have time to spread
		send(t, a.conn, "x", 2, 2)
		wantTook(t, b, span(1, 2))
		if answers, err := desk.conn.Mgmt.PurgeSent("closed"); !errors.Is(err, ErrRefused) {
			t.Errorf("a node that lists no operator obeyed: %+v, %v", answers, err)
		}

		w := f.tap("rmds.management.desk.>")
		defer w.Close()
		answers, err := desk.conn.Mgmt.Kick("b")
		wantOutcomes(t, answers, err, "a=done b=done closed=refused desk=done forger=done plain=done")
		time.Sleep(10 * time.Second)
		send(t, a.conn, "x", 3, 3)
		wantTook(t, b, span(1, 2))

		// The operator's order with another meaning, and a command with the operator's signature under another one.
		recorded := w.heard("rmds.management.desk.", ".a")
		frame, err := wire.Decode(recorded[0].data)
		check(t, err)
		cmd := frame.(*wire.Command)
		forged := cmd.Kicks[0]
		forged.Node = "a"
		for _, to := range []string{"a", "b"} {
			w.say(t, "rmds.ack."+to+".forger", &wire.KickList{Kicks: []wire.Kick{forged, {Node: "a", Stamp: 1 << 62, By: "x"}, {Node: "a", Stamp: 1 << 62, By: "x", Key: wrongKey}}})
		}
		cmd.Action, cmd.Nonce = wire.ActionPurgeAll, a.conn.manager.present()
		w.say(t, "rmds.management.desk.a", cmd)
		cmd.ID++
		w.say(t, "rmds.management.desk.a", cmd)
		time.Sleep(5 * time.Second)
		if a.conn.kicks.denies("a", "x") || b.conn.kicks.denies("a", "x") {
			t.Error("a forged order was taken over")
		}
		audit, err := a.conn.Mgmt.Audit(0, 100)
		check(t, err)
		for _, entry := range audit {
			if (entry.Outcome == "done") != (entry.Key == rightKey && entry.Action == "kick") {
				t.Errorf("audit of a: %+v", entry)
			}
		}
		if last := audit[len(audit)-1]; last.Outcome != "refused" || last.Who != "desk" || last.Action != "purge_all" {
			t.Errorf("the forged command is not in the audit: %+v", last)
		}
	})
}

// TestForgedAnswer: what another node says in a node's place does not count.
func TestForgedAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		f.add("a", nil, nil)
		desk := f.add("desk", nil, nil)
		time.Sleep(2 * time.Second)
		w := f.tap("rmds.management.>")
		defer w.Close()
		f.net.Partition("a")
		defer f.net.Heal()
		done := make(chan error, 1)
		go func() { _, err := desk.conn.Mgmt.PurgeAll("a"); done <- err }()
		eventually(t, time.Second, "the command is on the bus", func() bool { return len(w.heard("rmds.management.desk.", ".a")) > 0 })
		frame, err := wire.Decode(w.heard("rmds.management.desk.", ".a")[0].data)
		check(t, err)
		w.say(t, "rmds.ack.desk.forger", &wire.Answer{Command: frame.(*wire.Command).ID, Outcome: wire.OutcomeDone})
		if err := <-done; !errors.Is(err, ErrNoAnswer) {
			t.Errorf("the command ended with %v", err)
		}
	})
}

// TestKickListStaysBounded fills a kick list by frames.
func TestKickListStaysBounded(t *testing.T) {
	k := newKickList("rmds.", nil)
	orders := make([]wire.Kick, 0, maxKicks+5)
	for i := range cap(orders) {
		orders = append(orders, wire.Kick{Node: "n" + span(i, i)[0], Stamp: 1, By: "x"})
	}
	fresh, err := k.news(orders)
	if len(fresh) != maxKicks || err == nil {
		t.Errorf("%d of %d orders taken, error %v", len(fresh), len(orders), err)
	}
	k.put(fresh)
	newer := fresh[0]
	newer.Stamp++
	if fresh, err := k.news([]wire.Kick{newer, orders[maxKicks]}); len(fresh) != 1 || err == nil {
		t.Errorf("full, it takes %d orders, error %v", len(fresh), err)
	}
	for _, bad := range []wire.Kick{{By: "x", Stamp: 9}, {Node: "a b", By: "x", Stamp: 9}, {Node: "n0", By: "", Stamp: 9}, {Node: "n0", Channel: "a..b", By: "x", Stamp: 9}} {
		if fresh, err := k.news([]wire.Kick{bad}); len(fresh) != 0 || err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

// TestKickOrder: of two orders the same one counts wherever they arrive in whatever sequence.
func TestKickOrder(t *testing.T) {
	orders := []wire.Kick{
		{Node: "n", Stamp: 1, By: "b", Lifted: true},
		{Node: "n", Stamp: 2, By: "a"},
		{Node: "n", Stamp: 2, By: "a", Lifted: true},
		{Node: "n", Stamp: 2, By: "b"},
	}
	for i := range orders {
		for j := range orders {
			k := newKickList("rmds.", nil)
			for _, o := range []wire.Kick{orders[i], orders[j]} {
				fresh, err := k.news([]wire.Kick{o})
				check(t, err)
				k.put(fresh)
			}
			if want := orders[max(i, j)]; k.denies("n", "x") == want.Lifted || k.list()[0].By != want.By {
				t.Errorf("orders %d and %d: %+v counts, want %+v", i, j, k.list()[0], want)
			}
		}
	}
}
