package store

import (
	"errors"
	"slices"
	"testing"
)

// A position belongs to a run and a membership; a run counts up to where the next began (P1, P2).
func TestResolve(t *testing.T) {
	rows := []Position{{1, 10, 50}, {1, 20, 70}, {2, 10, 5}, {1, 99, 1000}}
	for _, c := range []struct {
		name       string
		membership uint64
		lineage    []Run
		seq        int64
		ok         bool
	}{
		{"one run", 1, []Run{{10, 1}}, 50, true},
		{"two runs", 1, []Run{{10, 1}, {20, 51}}, 70, true},
		{"a run cut short by the next", 1, []Run{{10, 1}, {30, 31}}, 30, true},
		{"both cut", 1, []Run{{10, 1}, {20, 41}, {30, 61}}, 60, true},
		{"a new run", 1, []Run{{30, 1}}, 0, false},
		{"the run began above", 1, []Run{{5, 1}, {10, 40}, {30, 45}}, 44, true},
		{"another membership", 2, []Run{{10, 1}, {20, 51}}, 5, true},
		{"a membership without position", 3, []Run{{10, 1}}, 0, false},
		{"no lineage", 1, nil, 0, false},
	} {
		if seq, ok := Resolve(rows, c.membership, c.lineage); seq != c.seq || ok != c.ok {
			t.Errorf("%s: %d, %v; want %d, %v", c.name, seq, ok, c.seq, c.ok)
		}
	}
}

// A position moves only from where it stands (P4), old runs keep theirs (P5), and a restored sender's new messages are
// told from those of the image that was lost (P1). Each step is one advance; want is the position after it. stale: it must be refused with that position.
func TestAdvance(t *testing.T) {
	const r1, r2, r3 = 1<<63 + 1, 2, 3
	type step struct {
		name    string
		lineage []Run
		first   bool
		segs    []Segment
		want    int64
		stale   bool
	}
	one := []Run{{r1, 1}}
	two := []Run{{r1, 1}, {r2, 11}}
	restored := []Run{{r1, 1}, {r3, 6}} // an image that knows seq 1 to 5 came back
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"in order", []step{
			{"from nothing", one, false, []Segment{{r1, 0, 3}}, 3, false},
			{"on", one, false, []Segment{{r1, 3, 7}}, 7, false},
			{"the same again", one, false, []Segment{{r1, 3, 7}}, 7, true},
			{"a gap", one, false, []Segment{{r1, 8, 9}}, 7, true},
		}},
		{"first", []step{
			{"not first, but above nothing", one, false, []Segment{{r1, 40, 41}}, 0, true},
			{"first, where the sender starts it", one, true, []Segment{{r1, 40, 41}}, 41, false},
			{"first again", one, true, []Segment{{r1, 40, 41}}, 41, true},
			{"first, though there is a position", one, true, []Segment{{r1, 60, 61}}, 41, true},
			{"on", one, true, []Segment{{r1, 41, 42}}, 42, false},
		}},
		{"across runs", []step{
			{"the first run", one, false, []Segment{{r1, 0, 8}}, 8, false},
			{"both at once", two, false, []Segment{{r1, 8, 10}, {r2, 10, 12}}, 12, false},
			{"the second run", two, false, []Segment{{r2, 12, 13}}, 13, false},
			{"the first is over, though its row still matches", []Run{{r1, 1}, {r2, 12}}, false, []Segment{{r1, 10, 11}}, 13, true},
		}},
		{"a new run starts above", []step{
			{"the first run", one, false, []Segment{{r1, 0, 8}}, 8, false},
			{"the second, from where the first ended for this membership", two, false, []Segment{{r2, 8, 15}}, 15, false},
			{"it does not count twice", two, false, []Segment{{r2, 8, 15}}, 15, true},
		}},
		{"the sender is restored", []step{
			{"before", one, false, []Segment{{r1, 0, 9}}, 9, false},
			{"what the image still holds is known", restored, false, []Segment{{r1, 3, 4}}, 5, true},
			{"new messages under old numbers are new", restored, false, []Segment{{r3, 5, 6}}, 6, false},
			{"and go on", restored, false, []Segment{{r3, 6, 9}}, 9, false},
		}},
		{"the sender is restored, then the newer image comes back", []step{
			{"before", two, false, []Segment{{r1, 0, 10}, {r2, 10, 14}}, 14, false},
			{"the old image", restored, false, []Segment{{r3, 5, 30}}, 30, false},
			{"the newer image is where it was", two, false, []Segment{{r2, 14, 15}}, 15, false},
			{"and the old one too", restored, false, []Segment{{r3, 30, 31}}, 31, false},
		}},
		{"the sender is wiped", []step{
			{"before", one, false, []Segment{{r1, 0, 9}}, 9, false},
			{"a new log", []Run{{r2, 1}}, false, []Segment{{r2, 0, 2}}, 2, false},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDB(t)
			// other senders and memberships stand in the way and must not be touched
			d.commit(Batch{Advances: []Advance{{Sender: "s", Lineage: one, Membership: 8, Segments: []Segment{{r1, 0, 2}}},
				{Sender: "t", Lineage: one, Membership: 7, Segments: []Segment{{r1, 0, 2}}}}})
			for _, s := range c.steps {
				_, err := d.Commit(&Batch{Now: testNow, Advances: []Advance{{Sender: "s", Lineage: s.lineage, Membership: 7, First: s.first, Segments: s.segs}}})
				var stale *StaleError
				if errors.As(err, &stale) != s.stale || !s.stale && err != nil || s.stale && stale.Position != s.want {
					t.Fatalf("%s: %v", s.name, err)
				}
				if seq, _ := Resolve(got(d.Positions("s"))(t), 7, s.lineage); seq != s.want {
					t.Errorf("%s: position %d, want %d", s.name, seq, s.want)
				}
			}
			for _, other := range []Position{{8, r1, 2}} {
				if !slices.Contains(got(d.Positions("s"))(t), other) {
					t.Errorf("%v has moved", other)
				}
			}
			if p := got(d.Positions("t"))(t); !slices.Equal(p, []Position{{7, r1, 2}}) {
				t.Errorf("another sender's position has moved: %v", p)
			}
			d.sound()
		})
	}
}

// A record dispatched twice around a reopened link takes effect once: of two advances over it the second is refused,
// with all that its batch carries.
func TestStaleAdvanceRollsEverythingBack(t *testing.T) {
	d := newDB(t)
	lineage := []Run{{1, 1}}
	batch := func(value string) *Batch {
		return &Batch{Now: testNow, KV: []KVWrite{{Store: "h", Key: "n", Value: []byte(value)}}, Blocks: []Block{block(d.next(), 0, "@s")},
			Advances: []Advance{{Sender: "t", Lineage: lineage, Membership: 7, Segments: []Segment{{1, int64(len(value)) - 1, int64(len(value))}}},
				{Sender: "s", Lineage: lineage, Membership: 7, Segments: []Segment{{1, 0, 1}}}}}
	}
	got(d.Commit(batch("1")))(t)
	_, err := d.Commit(batch("22"))
	var stale *StaleError
	if !errors.As(err, &stale) || stale.Index != 1 {
		t.Fatalf("%v, want a StaleError of the second advance", err)
	}
	if v, _, err := d.KVGet("h", "n"); err != nil || string(v) != "1" {
		t.Errorf("the handler's value is %q, %v", v, err)
	}
	if n := d.next(); n != 2 {
		t.Errorf("next seq %d, want 2", n)
	}
	if p := got(d.Positions("t"))(t); !slices.Equal(p, []Position{{7, 1, 1}}) {
		t.Errorf("the advance before it stayed: %v", p)
	}
}

// A position never leaves its run's part of the log, where it would be cut off by the next run.
func TestAdvanceOutsideItsRun(t *testing.T) {
	d := newDB(t)
	lineage := []Run{{1, 1}, {2, 11}}
	for _, seg := range []Segment{{1, 0, 11}, {3, 0, 1}, {2, 12, 12}, {2, 13, 12}} {
		_, err := d.Commit(&Batch{Now: testNow, Advances: []Advance{{Sender: "s", Lineage: lineage, Membership: 7, Segments: []Segment{seg}}}})
		var stale *StaleError
		if err == nil || errors.As(err, &stale) || IsIO(err) {
			t.Errorf("%+v: %v, want an error that is neither stale nor I/O", seg, err)
		}
	}
}
