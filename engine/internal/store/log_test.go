package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Seqs are never used again, whatever is deleted (P1).
func TestSeqIsNeverReused(t *testing.T) {
	d := newDB(t)
	if n := d.next(); n != 1 {
		t.Fatalf("a new database begins at seq %d", n)
	}
	d.commit(Batch{Blocks: []Block{block(1, 0, "a", "a", "a")}})
	if n := got(d.DeleteLog(3, nil, nil))(t); n != 3 {
		t.Fatalf("%d deleted, want 3", n)
	}
	for range 2 {
		if n := d.next(); n != 4 {
			t.Errorf("next seq %d, want 4", n)
		}
		if _, err := d.Commit(&Batch{Blocks: []Block{block(3, 0, "a")}}); err == nil {
			t.Error("a deleted seq was given again")
		}
		d.reopen()
	}
	lineage, _, err := d.StartRun(1, testNow)
	check(t, err)
	if lineage[0].First != 4 {
		t.Errorf("the run begins at seq %d, want 4", lineage[0].First)
	}
	d.commit(Batch{Blocks: []Block{block(4, 0, "a")}})
	d.sound()
}

func TestReadLog(t *testing.T) {
	d := newDB(t)
	for i := range int64(4) { // blocks of three records, bodies of five bytes: 1-3, 4-6, 7-9, 10-12
		d.commit(Batch{Blocks: []Block{block(3*i+1, 0, "a", "a", "a")}})
	}
	for _, c := range []struct {
		after int64
		max   int
		want  []int64 // First of the blocks
	}{
		{0, 100, []int64{1, 4, 7, 10}}, {2, 100, []int64{1, 4, 7, 10}}, {3, 100, []int64{4, 7, 10}}, {4, 10, []int64{4, 7}}, {4, 14, []int64{4, 7}},
		{0, 1, []int64{1}}, {0, 0, []int64{1}}, {11, 100, []int64{10}}, {12, 100, nil}, {99, 100, nil},
	} {
		var firsts []int64
		for _, b := range got(d.ReadLog(c.after, c.max))(t) {
			firsts = append(firsts, b.First)
		}
		if !slices.Equal(firsts, c.want) {
			t.Errorf("ReadLog(%d, %d): blocks %v, want %v", c.after, c.max, firsts, c.want)
		}
	}
}

func TestFirstCreatedAtOrAfter(t *testing.T) {
	d := newDB(t)
	if seq := got(d.FirstCreatedAtOrAfter(0))(t); seq != 1 {
		t.Errorf("empty log: %d, want 1", seq)
	}
	// The clock goes back after the third block; the newest stamp so far is 10 20 40 40 40 50.
	seq := int64(1)
	for _, created := range []int64{10, 20, 40, 5, 30, 50} {
		d.commit(Batch{Blocks: []Block{block(seq, created, "a", "a")}})
		seq += 2
	}
	expect := func(created, want int64) {
		t.Helper()
		if seq := got(d.FirstCreatedAtOrAfter(created))(t); seq != want {
			t.Errorf("created %d: seq %d, want %d", created, seq, want)
		}
	}
	for created, want := range map[int64]int64{0: 1, 10: 1, 11: 3, 20: 3, 21: 5, 30: 5, 40: 5, 41: 11, 50: 11, 51: 13} {
		expect(created, want)
	}
	d.reopen()
	d.commit(Batch{Blocks: []Block{block(13, 1, "a")}}) // a clock that starts in 1970
	expect(50, 11)
	expect(51, 14)
	got(d.DeleteLog(6, nil, nil))(t)
	expect(0, 7)
	expect(41, 11)
	got(d.DeleteLog(14, nil, nil))(t)
	expect(0, 14)
	expect(51, 14)
}

// Against a list in memory, over logs with holes, deletions and every seq.
func TestStreamCounts(t *testing.T) {
	d := newDB(t)
	var records []string // stream of each seq, from seq 1
	add := func(streams string) {
		t.Helper()
		list := strings.Split(streams, " ")
		d.commit(Batch{Blocks: []Block{block(int64(len(records)+1), 0, list...)}})
		records = append(records, list...)
	}
	split := func(name string) (channel, to string) {
		if to, ok := strings.CutPrefix(name, "@"); ok {
			return "", to
		}
		return name, ""
	}
	deleted := int64(0)
	verify := func() {
		t.Helper()
		d.sound()
		for _, name := range []string{"a", "b", "c", "@n", "@m", "never"} {
			channel, to := split(name)
			total := int64(0)
			for i := range records {
				seq := int64(i + 1)
				if records[i] == name {
					total++
				}
				if seq < deleted {
					continue
				}
				n, straddle, err := d.StreamCountThrough(channel, to, seq)
				check(t, err)
				if straddle != nil {
					if straddle.First > seq || straddle.Last <= seq {
						t.Errorf("%s through %d: straddle %d to %d", name, seq, straddle.First, straddle.Last)
					}
					list := strings.Split(string(straddle.Body), ",")
					for j, s := range list {
						if s == name && straddle.First+int64(j) <= seq {
							n++
						}
					}
					if !slices.Contains(list[seq+1-straddle.First:], name) {
						t.Errorf("%s through %d: the straddling block holds none above", name, seq)
					}
				}
				if n != total {
					t.Errorf("%s through %d: %d records, want %d", name, seq, n, total)
				}
			}
			i := slices.IndexFunc(got(d.Streams())(t), func(s Stream) bool { return s.Channel == channel && s.To == to })
			if i < 0 {
				if total > 0 {
					t.Errorf("Streams lacks %s", name)
				}
				continue
			}
			s := got(d.Streams())(t)[i]
			want := Stream{Channel: channel, To: to, Count: total, Bytes: 10 * total}
			for i, r := range records {
				if r != name {
					continue
				}
				want.LastSeq = int64(i + 1)
				if want.LastSeq <= deleted {
					want.DeletedSeq = want.LastSeq
					want.DeletedCount++
					want.DeletedBytes += 10
				}
			}
			if s != want {
				t.Errorf("Streams: %+v, want %+v", s, want)
			}
		}
	}
	add("a b a @n")
	add("b")
	add("a @n @m a c")
	verify()
	add("c c b")
	d.reopen()
	add("a @m")
	verify()
	for _, c := range []struct{ through, deleted int64 }{{3, 0}, {4, 4}, {9, 5}, {10, 10}, {14, 13}} { // 3, 9 and 14 lie within blocks
		got(d.DeleteLog(c.through, nil, nil))(t)
		deleted = c.deleted
		verify()
		d.reopen()
		verify()
	}
	add("b a")
	verify()
	deleted = int64(len(records))
	got(d.DeleteLog(1000, nil, nil))(t)
	verify()
	d.reopen()
	add("a c")
	verify()
}

// Long stretches are deleted in pieces, all of them in one call, the cursors relied on with the first (P28).
func TestDeleteLogInPieces(t *testing.T) {
	d := newDB(t)
	check(t, d.PutMember(Member{Node: "n", Membership: 1, Channel: "a"}))
	const blocks = 2*DeletePiece + 10
	var b Batch
	for i := range int64(blocks) {
		b.Blocks = append(b.Blocks, block(2*i+1, 0, "a", "b"))
	}
	d.commit(b)
	writes := 0
	d.opts.Hook = func(op string) error {
		if op == "DeleteLog" {
			if writes++; writes == 3 {
				return fmt.Errorf("broken")
			}
		}
		return nil
	}
	d.reopen()
	n, err := d.DeleteLog(2*blocks-1, []Cursor{{Node: "n", Membership: 1, Acked: 2*blocks - 1, Count: blocks, Scanned: 2*blocks - 1}}, nil)
	if !IsIO(err) || n != 4*DeletePiece {
		t.Errorf("%d deleted, %v; want %d and an I/O error", n, err, 4*DeletePiece)
	}
	if m := got(d.Members())(t); m[0].Acked != 2*blocks-1 {
		t.Errorf("the cursor is at %d", m[0].Acked)
	}
	d.sound()
	if n := got(d.DeleteLog(2*blocks-1, nil, nil))(t); n != 18 {
		t.Errorf("%d deleted, want 18: the last block holds a record above", n)
	}
	if l := got(d.ReadLog(0, 1<<20))(t); len(l) != 1 || l[0].First != 2*blocks-1 {
		t.Errorf("left: %+v", l)
	}
	d.sound()
}

func TestDeleteLogStoresItsCursors(t *testing.T) {
	d := newDB(t)
	check(t, d.PutMember(Member{Node: "n", Membership: 1, Channel: "a"}))
	d.commit(Batch{Blocks: []Block{block(1, 0, "a", "a")}})
	c := []Cursor{{Node: "n", Membership: 1, Acked: 2, Count: 2, Scanned: 2}}
	d.fault["DeleteLog.sync"] = fmt.Errorf("broken")
	if n, err := d.DeleteLog(2, c, nil); n != 0 || !IsIO(err) {
		t.Fatalf("%d, %v", n, err)
	}
	clear(d.fault)
	if m, l := got(d.Members())(t), got(d.ReadLog(0, 100))(t); m[0].Acked != 0 || len(l) != 1 {
		t.Errorf("a failed deletion left cursor %d and %d blocks", m[0].Acked, len(l))
	}
	if n := got(d.DeleteLog(0, c, nil))(t); n != 0 {
		t.Errorf("%d deleted, want none", n)
	}
	if m := got(d.Members())(t); m[0].Acked != 2 {
		t.Errorf("nothing was deleted, and the cursor was not stored: %+v", m)
	}
}

func TestReadersSeeWholeCommits(t *testing.T) {
	d := newDB(t)
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			streams, err := d.Streams()
			if err == nil && len(streams) == 2 && streams[0].Count != streams[1].Count {
				err = fmt.Errorf("half a commit: %+v", streams)
			}
			if err == nil {
				_, _, err = d.KVGet("h", "k")
			}
			if err == nil {
				_, err = d.ReadLog(1, 100)
			}
			if err != nil {
				done <- err
				return
			}
		}
	}()
	for i := range int64(200) {
		d.commit(Batch{Blocks: []Block{block(2*i+1, 0, "a", "b")}, KV: []KVWrite{{Store: "h", Key: "k", Value: []byte(fmt.Sprint(i))}}})
	}
	close(stop)
	check(t, <-done)
	if v, _, err := d.KVGet("h", "k"); err != nil || string(v) != "199" {
		t.Errorf("%q, %v", v, err)
	}
}
