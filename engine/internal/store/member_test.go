package store

import (
	"reflect"
	"slices"
	"testing"
)

func TestMemberships(t *testing.T) {
	d := newDB(t)
	version := func() uint64 { t.Helper(); return got(d.Version())(t) }
	v0 := version()
	a := got(d.Join("a", 1, "s", testNow))(t)
	if a.ID == 0 || a.Channel != "a" || a.JoinedAt != testNow.UnixNano() || a.Start != 1 || a.Domain != "s" {
		t.Fatalf("Join: %+v", a)
	}
	v1 := version()
	again := got(d.Join("a", 1, "s", testNow.Add(1)))(t)
	if again != a || version() != v1 || v1 <= v0 {
		t.Errorf("joined again: %+v, version %d after %d after %d", again, version(), v1, v0)
	}
	changed := got(d.Join("a", 2, "c:a", testNow.Add(1)))(t)
	if changed.ID != a.ID || changed.JoinedAt != a.JoinedAt || changed.Start != 2 || changed.Domain != "c:a" || version() <= v1 {
		t.Errorf("changed: %+v, version %d", changed, version())
	}
	b := got(d.Join("b", 0, "s", testNow))(t)
	d.reopen()
	if l := got(d.Memberships())(t); !reflect.DeepEqual(l, []Membership{changed, b}) {
		t.Errorf("Memberships: %+v", l)
	}
	v2 := version()
	check(t, d.Leave("never"))
	if version() != v2 {
		t.Error("leaving what was never joined raised the version")
	}
	check(t, d.Leave("a"))
	if version() <= v2 {
		t.Error("leaving did not raise the version")
	}
	if rejoined := got(d.Join("a", 1, "s", testNow))(t); rejoined.ID == a.ID {
		t.Error("a later join has the old id (P2)")
	}
}

// A cursor is what the reader states, also when it goes back (P3); a skip stays until the cursor has passed it (P27).
func TestMembers(t *testing.T) {
	d := newDB(t)
	huge := uint64(1<<63 + 3)
	m := Member{Node: "n", Membership: huge, Channel: "a", Domain: "s", JoinedAt: 5, StartSeq: 1, Silence: 7, StoreID: huge}
	check(t, d.PutMember(m))
	d.commit(Batch{Blocks: []Block{block(1, 0, "a", "a", "a", "a")}, Skips: []Skip{{Node: "n", Membership: huge, Prev: 0, To: 1, Reason: "ttl", Count: 1},
		{Node: "n", Membership: huge, Prev: 2, To: 3, Reason: "purge", Count: 1}}})
	cursor := func(acked int64) {
		t.Helper()
		d.commit(Batch{Cursors: []Cursor{{Node: "n", Membership: huge, Acked: acked, Count: acked, Scanned: acked}, {Node: "x", Membership: 1, Acked: 1}}})
	}
	skips := func(want ...int64) {
		t.Helper()
		var tos []int64
		for _, k := range got(d.Skips("n", huge))(t) {
			tos = append(tos, k.To)
		}
		if !slices.Equal(tos, want) {
			t.Errorf("skips to %v, want %v", tos, want)
		}
	}
	skips(1, 3)
	cursor(2)
	skips(3)
	cursor(1) // the reader was restored: its position counts (P3)
	m.Acked, m.Count, m.Scanned = 1, 1, 1
	d.reopen()
	if l := got(d.Members())(t); !reflect.DeepEqual(l, []Member{m}) {
		t.Errorf("Members: %+v, want %+v", l, m)
	}
	d.sound()
	check(t, d.EndMember("n", huge, "left"))
	check(t, d.EndMember("n", 12345, "left"))
	skips()
	cursor(3)
	m.Ended, m.EndReason = true, "left"
	if l := got(d.Members())(t); !reflect.DeepEqual(l, []Member{m}) {
		t.Errorf("after its end: %+v, want %+v", l, m)
	}
}
