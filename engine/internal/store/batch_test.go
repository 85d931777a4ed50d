package store

import (
	"errors"
	"fmt"
	"reflect"
	"syscall"
	"testing"
)

func fullBatch() Batch {
	return Batch{
		Now:      testNow,
		Blocks:   []Block{block(1, 5, "a", "b", "@n"), block(4, 6, "a")},
		Advances: []Advance{{Sender: "s", Lineage: []Run{{9, 1}}, Membership: 7, Segments: []Segment{{Run: 9, Prev: 0, Seq: 4}}}},
		KV:       []KVWrite{{Store: "h", Key: "k", Value: []byte("v")}},
		Dead:     []Dead{{At: 1, Side: "receiver", Sender: "s", Run: 1<<63 + 9, Seq: 4, Reason: "rejected", Content: []byte("x"), Headers: []byte("h")}},
		Attempts: []Attempt{{AttemptKey{"s", 9, 5, 7}, 2, 3, "why"}},
		Skips:    []Skip{{Node: "n", Membership: 1, Prev: 0, To: 2, Reason: "ttl", Count: 1}},
		Cursors:  []Cursor{{Node: "n", Membership: 1, Acked: 1, Count: 1, Scanned: 1}},
		Events:   []Event{{At: 1, Kind: "gap", Node: "s", Text: "text"}},
	}
}

// state is all that a batch can change, as the store tells it.
func state(t *testing.T, d *testDB) map[string]any {
	t.Helper()
	_, found, err := d.KVGet("h", "k")
	check(t, err)
	return map[string]any{
		"next": d.next(), "log": got(d.ReadLog(0, 1<<20))(t), "streams": got(d.Streams())(t), "positions": got(d.Positions("s"))(t),
		"kv": found, "dead": got(d.DeadList(0, 10))(t), "dead count": got(d.DeadCount())(t), "attempts": got(d.AttemptCount(AttemptKey{"s", 9, 5, 7}))(t),
		"members": got(d.Members())(t), "skips": got(d.Skips("n", 1))(t), "events": got(d.Events(0, 10))(t),
	}
}

func TestCommit(t *testing.T) {
	d := newDB(t)
	check(t, d.PutMember(Member{Node: "n", Membership: 1, Channel: "a"}))
	b := fullBatch()
	ids := got(d.Commit(&b))(t)
	if len(ids) != 1 {
		t.Fatalf("dead letters %v", ids)
	}
	for range 2 { // what memory and disk say is the same
		s := state(t, d)
		for k, want := range map[string]any{
			"next": int64(5),
			"log":  []StoredBlock{{1, 3, 0, 30, []byte("a,b,@n")}, {4, 4, 0, 10, []byte("a")}},
			"streams": []Stream{{Channel: "", To: "n", Count: 1, Bytes: 10, LastSeq: 3}, {Channel: "a", Count: 2, Bytes: 20, LastSeq: 4},
				{Channel: "b", Count: 1, Bytes: 10, LastSeq: 2}},
			"positions":  []Position{{7, 9, 4}},
			"kv":         true,
			"dead count": int64(1),
			"attempts":   2,
			"members":    []Member{{Node: "n", Membership: 1, Channel: "a", Acked: 1, Count: 1, Scanned: 1}},
			"skips":      []Skip{{Node: "n", Membership: 1, Prev: 0, To: 2, Reason: "ttl", Count: 1}},
			"events":     []Event{{ID: 1, At: 1, Kind: "gap", Node: "s", Text: "text"}},
		} {
			if !reflect.DeepEqual(s[k], want) {
				t.Errorf("%s: %+v, want %+v", k, s[k], want)
			}
		}
		want := b.Dead[0]
		want.ID = ids[0]
		if dead := got(d.DeadGet(ids[0]))(t); !reflect.DeepEqual(dead, want) {
			t.Errorf("DeadGet: %+v, want %+v", dead, want)
		}
		d.sound()
		d.reopen()
	}
}

// A commit that fails leaves nothing behind, on disk or in memory (P13).
func TestFailedCommitNeverHappened(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		name string
		ruin func(d *testDB, b *Batch)
		want func(error) bool
	}{
		{"disk, before", func(d *testDB, b *Batch) { d.fault["Commit"] = broken }, func(err error) bool { return IsIO(err) && errors.Is(err, broken) }},
		{"disk, at the end", func(d *testDB, b *Batch) { d.fault["Commit.sync"] = broken }, func(err error) bool { return IsIO(err) && errors.Is(err, broken) }},
		{"disk full", func(d *testDB, b *Batch) { d.fault["Commit.sync"] = syscall.ENOSPC }, func(err error) bool { return IsIO(err) && errors.Is(err, ErrFull) }},
		{"stale", func(d *testDB, b *Batch) {
			b.Advances = append(b.Advances, Advance{Sender: "t", Lineage: []Run{{1, 1}}, Membership: 7, Segments: []Segment{{1, 3, 4}}})
		}, func(err error) bool {
			var stale *StaleError
			return !IsIO(err) && errors.As(err, &stale) && stale.Index == 1 && stale.Sender == "t" && stale.Prev == 3 && stale.Position == 0
		}},
		{"seq used", func(d *testDB, b *Batch) { b.Blocks[1].First = 3 }, func(err error) bool { return err != nil && !IsIO(err) }},
		{"counts differ", func(d *testDB, b *Batch) { b.Blocks[0].Count = 2 }, func(err error) bool { return err != nil && !IsIO(err) }},
		{"outside the lineage", func(d *testDB, b *Batch) { b.Advances[0].Segments[0].Run = 8 }, func(err error) bool { return err != nil && !IsIO(err) }},
		{"dead letter gone", func(d *testDB, b *Batch) { b.DeadRemove = []int64{77} }, func(err error) bool { return errors.Is(err, ErrNoDeadLetter) && !IsIO(err) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDB(t)
			check(t, d.PutMember(Member{Node: "n", Membership: 1, Channel: "a"}))
			before := state(t, d)
			b := fullBatch()
			c.ruin(d, &b)
			ids, err := d.Commit(&b)
			if !c.want(err) || ids != nil {
				t.Fatalf("Commit: %v, %v", ids, err)
			}
			clear(d.fault)
			if after := state(t, d); !reflect.DeepEqual(after, before) {
				t.Errorf("something stayed: %+v, before %+v", after, before)
			}
			d.commit(fullBatch())
			d.sound()
		})
	}
}

// A commit whose fsync failed may have landed: its caller got an error, and the log goes on above it (P32).
func TestLandedCommit(t *testing.T) {
	d := newDB(t)
	d.commit(Batch{Blocks: []Block{block(1, 0, "a")}})
	d.fault["Commit.landed"] = errors.New("fsync")
	b := Batch{Now: testNow, Blocks: []Block{block(2, 0, "a", "b")}}
	if _, err := d.Commit(&b); !IsIO(err) {
		t.Fatalf("%v, want an I/O error", err)
	}
	clear(d.fault)
	if n := d.next(); n != 4 {
		t.Fatalf("next seq %d, want 4", n)
	}
	if _, err := d.Commit(&b); err == nil {
		t.Error("the same seqs again: no error")
	}
	d.commit(Batch{Blocks: []Block{block(4, 0, "a", "b")}})
	d.sound()
	for _, s := range got(d.Streams())(t) {
		if want := map[string]int64{"a": 3, "b": 2}[s.Channel]; s.Count != want {
			t.Errorf("stream %s counts %d, want %d", s.Channel, s.Count, want)
		}
	}
}

func TestKV(t *testing.T) {
	d := newDB(t)
	set := func(key, value string) KVWrite { return KVWrite{Store: "h", Key: key, Value: []byte(value)} }
	d.commit(Batch{KV: []KVWrite{set("b", "1"), set("a\x00", "2"), set("\xff\xfe", "3"), set("a", "4"), {Store: "h", Key: "nil"}, {Store: "g", Key: "b", Value: []byte("other")},
		set("b", "5"), set("gone", "6"), {Store: "h", Key: "gone", Delete: true}, {Store: "h", Key: "never", Delete: true}}})
	for _, c := range []struct {
		key, value string
		found      bool
	}{{"a", "4", true}, {"a\x00", "2", true}, {"b", "5", true}, {"\xff\xfe", "3", true}, {"nil", "", true}, {"gone", "", false}, {"A", "", false}} {
		v, found, err := d.KVGet("h", c.key)
		check(t, err)
		if string(v) != c.value || found != c.found {
			t.Errorf("%q = %q, %v; want %q, %v", c.key, v, found, c.value, c.found)
		}
	}
	var keys []string
	for after := ""; ; {
		key, ok, err := d.KVNext("h", after)
		check(t, err)
		if !ok {
			break
		}
		keys = append(keys, key)
		after = key
	}
	if want := []string{"a", "a\x00", "b", "nil", "\xff\xfe"}; !reflect.DeepEqual(keys, want) {
		t.Errorf("keys %q, want %q", keys, want)
	}
	if pairs := got(d.KVList("h", "a", 2))(t); !reflect.DeepEqual(pairs, []KVPair{{"a\x00", []byte("2")}, {"b", []byte("5")}}) {
		t.Errorf("KVList: %q", pairs)
	}
	if stores := got(d.KVStores())(t); !reflect.DeepEqual(stores, []KVStore{{"g", 1, 6}, {"h", 5, 13}}) {
		t.Errorf("KVStores: %+v", stores)
	}
}

// A dead letter is requeued once: the second request finds nothing, and its effects do not happen (P22).
func TestDeadLetters(t *testing.T) {
	d := newDB(t)
	ids := got(d.Commit(&Batch{Dead: []Dead{{Reason: "ttl"}, {Reason: "rejected"}}}))(t)
	d.commit(Batch{DeadRemove: ids[1:], Blocks: []Block{block(1, 0, "@n")}})
	if _, err := d.Commit(&Batch{DeadRemove: ids[1:], Blocks: []Block{block(2, 0, "@n")}}); !errors.Is(err, ErrNoDeadLetter) {
		t.Fatalf("second requeue: %v", err)
	}
	if n := d.next(); n != 2 {
		t.Errorf("next seq %d, want 2", n)
	}
	if _, err := d.DeadGet(ids[1]); !errors.Is(err, ErrNoDeadLetter) {
		t.Errorf("DeadGet: %v", err)
	}
	d.reopen()
	again := got(d.Commit(&Batch{Dead: []Dead{{Reason: "hop_limit"}}}))(t)
	if again[0] <= ids[1] {
		t.Errorf("id %d given again after %d", again[0], ids[1])
	}
	if n := got(d.DeadCount())(t); n != 2 {
		t.Errorf("%d dead letters, want 2", n)
	}
	if l := got(d.DeadList(ids[0], 10))(t); len(l) != 1 || l[0].Reason != "hop_limit" {
		t.Errorf("DeadList: %+v", l)
	}
	d.sound()
}

// Attempts survive a restart (P14).
func TestAttempts(t *testing.T) {
	d := newDB(t)
	k := AttemptKey{Sender: "s", Run: 1 << 63, Seq: 1, Membership: 1<<63 + 1}
	count := func(want int) {
		t.Helper()
		if n := got(d.AttemptCount(k))(t); n != want {
			t.Errorf("%d attempts, want %d", n, want)
		}
	}
	count(0)
	d.commit(Batch{Attempts: []Attempt{{AttemptKey: k, Count: 1}}})
	d.commit(Batch{Attempts: []Attempt{{AttemptKey: k, Count: 2}}})
	d.reopen()
	count(2)
	d.commit(Batch{DropAttempts: []AttemptKey{k}})
	count(0)
}

func TestEventsAreBounded(t *testing.T) {
	d := newDB(t)
	var b Batch
	for i := range maxEvents + 5 {
		b.Events = append(b.Events, Event{At: int64(i), Kind: fmt.Sprint(i)})
	}
	d.commit(b)
	l := got(d.Events(0, 2*maxEvents))(t)
	if len(l) != maxEvents || l[0].Kind != "5" || l[len(l)-1].ID != maxEvents+5 {
		t.Errorf("%d events, from %+v", len(l), l[0])
	}
	if l := got(d.Events(maxEvents, 2))(t); len(l) != 2 || l[0].ID != maxEvents+1 {
		t.Errorf("Events: %+v", l)
	}
}
