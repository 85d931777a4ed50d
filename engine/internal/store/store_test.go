package store

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var testNow = time.Unix(1_800_000_000, 0)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// got passes a call's value on when the call has not failed.
func got[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		check(t, err)
		return v
	}
}

// testDB is a database that can be closed and opened again, with a fault to be set.
type testDB struct {
	*Store
	t     testing.TB
	path  string
	opts  Options
	fault map[string]error // by operation
}

func newDB(t testing.TB) *testDB {
	d := &testDB{t: t, path: filepath.Join(t.TempDir(), "node.db"), fault: map[string]error{}}
	d.opts = Options{Sync: "OFF", Hook: func(op string) error { return d.fault[op] }}
	d.open()
	t.Cleanup(func() { check(t, d.Close()) })
	return d
}

func (d *testDB) open() {
	d.t.Helper()
	st, err := Open(d.path, d.opts)
	check(d.t, err)
	d.Store = st
}

func (d *testDB) reopen() {
	d.t.Helper()
	check(d.t, d.Close())
	d.open()
}

func (d *testDB) commit(b Batch) {
	d.t.Helper()
	if b.Now.IsZero() {
		b.Now = testNow
	}
	_, err := d.Commit(&b)
	check(d.t, err)
}

// sound fails the test if Check finds something.
func (d *testDB) sound() {
	d.t.Helper()
	if errs := d.Check(); errs != nil {
		d.t.Fatalf("Check: %v", errors.Join(errs...))
	}
}

func (d *testDB) next() int64 {
	d.t.Helper()
	return got(d.NextSeq())(d.t)
}

// block makes a block of one record for each stream name: "a" is channel a's broadcast, "@n" is addressed to node n.
// Each record counts as ten bytes.
func block(first int64, created int64, streams ...string) Block {
	b := Block{First: first, Last: first + int64(len(streams)) - 1, Count: len(streams), CreatedHi: created, RawLen: 10 * len(streams),
		Body: []byte(strings.Join(streams, ","))}
	for i, s := range streams {
		channel, to, seq := s, "", first+int64(i)
		if strings.HasPrefix(s, "@") {
			channel, to = "", s[1:]
		}
		j := slices.IndexFunc(b.Streams, func(p StreamPart) bool { return p.Channel == channel && p.To == to })
		if j < 0 {
			j = len(b.Streams)
			b.Streams = append(b.Streams, StreamPart{Channel: channel, To: to, First: seq})
		}
		b.Streams[j].Count++
		b.Streams[j].Bytes += 10
		b.Streams[j].Last = seq
	}
	return b
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		check(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	t.Run("synchronous is FULL", func(t *testing.T) {
		path := filepath.Join(dir, "full.db")
		for range 2 { // a new database, then the old one
			s := got(Open(path, Options{}))(t)
			for name, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "page_size": "4096"} {
				if v := got(s.writer.pragma(name))(t); v != want {
					t.Errorf("%s = %s, want %s", name, v, want)
				}
			}
			check(t, s.Close())
		}
	})
	t.Run("unknown synchronous", func(t *testing.T) {
		if _, err := Open(filepath.Join(dir, "sync.db"), Options{Sync: "MAYBE"}); err == nil {
			t.Error("no error")
		}
	})
	t.Run("locked", func(t *testing.T) {
		path := filepath.Join(dir, "locked.db")
		s := got(Open(path, Options{}))(t)
		if _, err := Open(path, Options{}); !errors.Is(err, ErrLocked) {
			t.Errorf("second Open: %v, want ErrLocked", err)
		}
		check(t, s.Close())
		s = got(Open(path, Options{}))(t)
		check(t, s.Close())
	})
	t.Run("newer schema", func(t *testing.T) {
		path := filepath.Join(dir, "newer.db")
		s := got(Open(path, Options{}))(t)
		_, err := s.writer.conn.ExecContext(background, fmt.Sprintf("PRAGMA user_version = %d", schemaVersion+1))
		check(t, err)
		check(t, s.Close())
		before := got(os.ReadFile(path))(t)
		if _, err := Open(path, Options{}); !errors.Is(err, ErrNewerSchema) {
			t.Errorf("Open: %v, want ErrNewerSchema", err)
		}
		if string(before) != string(got(os.ReadFile(path))(t)) {
			t.Error("the file was changed")
		}
	})
	for name, content := range map[string]string{"garbage": strings.Repeat("not a database. ", 1000), "short garbage": "hello"} {
		t.Run(name, func(t *testing.T) {
			path := write(strings.ReplaceAll(name, " ", "")+".db", content)
			if _, err := Open(path, Options{}); !errors.Is(err, ErrCorrupt) {
				t.Errorf("Open: %v, want ErrCorrupt", err)
			}
			if string(got(os.ReadFile(path))(t)) != content {
				t.Error("the file was changed")
			}
		})
	}
	t.Run("another program's database", func(t *testing.T) {
		path := filepath.Join(dir, "other.db")
		s := got(Open(path, Options{}))(t)
		_, err := s.writer.conn.ExecContext(background, "PRAGMA application_id = 1")
		check(t, err)
		check(t, s.Close())
		if _, err := Open(path, Options{}); err == nil || errors.Is(err, ErrCorrupt) {
			t.Errorf("Open: %v, want an error that is not ErrCorrupt", err)
		}
	})
	t.Run("no directory", func(t *testing.T) {
		missing := filepath.Join(dir, "missing")
		if _, err := Open(filepath.Join(missing, "node.db"), Options{}); err == nil || !strings.Contains(err.Error(), missing) {
			t.Errorf("Open: %v, want an error that names the directory", err)
		}
	})
	t.Run("odd names", func(t *testing.T) {
		for _, name := range []string{"a b.db", "a?b#c%41.db", "файл.db"} {
			path := filepath.Join(dir, name)
			s := got(Open(path, Options{}))(t)
			check(t, s.SetNodeID("n"))
			check(t, s.Close())
			if fi := got(os.Stat(path))(t); fi.Size() == 0 || fi.Mode().Perm() != 0o600 {
				t.Errorf("%q: %d bytes, mode %v", name, fi.Size(), fi.Mode())
			}
		}
	})
}

func TestMeta(t *testing.T) {
	d := newDB(t)
	m := d.Meta()
	if m.StoreID == 0 || m.AddressedMembership == 0 || m.StoreID == m.AddressedMembership || m.NodeID != "" || m.Created == 0 {
		t.Fatalf("new database: %+v", m)
	}
	check(t, d.SetNodeID("alpha"))
	check(t, d.SetNodeID("alpha"))
	if err := d.SetNodeID("beta"); err == nil || !strings.Contains(err.Error(), "alpha") {
		t.Errorf("another id: %v", err)
	}
	m.NodeID = "alpha"
	d.reopen()
	if d.Meta() != m {
		t.Errorf("after reopening: %+v, want %+v", d.Meta(), m)
	}
	if err := d.SetNodeID("beta"); err == nil {
		t.Error("another id after reopening: no error")
	}
}

func TestFailedSetNodeIDIsForgotten(t *testing.T) {
	d := newDB(t)
	d.fault["SetNodeID.sync"] = errors.New("no disk")
	if err := d.SetNodeID("alpha"); !IsIO(err) {
		t.Fatalf("%v, want an I/O error", err)
	}
	clear(d.fault)
	if id := d.Meta().NodeID; id != "" {
		t.Errorf("memory believes %q", id)
	}
	check(t, d.SetNodeID("beta"))
}

func TestStartRun(t *testing.T) {
	d := newDB(t)
	start := func(run uint64, want []Run, wantUnclean bool) {
		t.Helper()
		lineage, unclean, err := d.StartRun(run, testNow)
		check(t, err)
		if !slices.Equal(lineage, want) || unclean != wantUnclean {
			t.Errorf("run %d: lineage %v, unclean %v; want %v, %v", run, lineage, unclean, want, wantUnclean)
		}
	}
	huge := uint64(1<<63 + 7)
	start(huge, []Run{{huge, 1}}, false)
	d.commit(Batch{Blocks: []Block{block(1, 0, "a", "a")}})
	start(2, []Run{{huge, 1}, {2, 3}}, true)
	check(t, d.CleanStop())
	d.reopen()
	start(3, []Run{{huge, 1}, {2, 3}, {3, 3}}, false)
	start(4, []Run{{huge, 1}, {3, 3}, {4, 3}}, true) // run 2 accepted nothing and never can
	d.commit(Batch{Blocks: []Block{block(3, 0, "a")}})
	start(5, []Run{{huge, 1}, {3, 3}, {4, 3}, {5, 4}}, true)
	if _, _, err := d.StartRun(4, testNow); err == nil || IsIO(err) {
		t.Errorf("the same run again: %v", err)
	}
	d.sound()
}

func TestDiskUsageAndCheckpoint(t *testing.T) {
	d := newDB(t)
	b := block(1, 0, "a")
	b.Body = make([]byte, 1<<20)
	d.commit(Batch{Blocks: []Block{b}})
	if n := got(d.DiskUsage())(t); n < 1<<20 {
		t.Errorf("%d bytes after a megabyte was stored", n)
	}
	check(t, d.Checkpoint())
	if fi := got(os.Stat(d.path + "-wal"))(t); fi.Size() != 0 {
		t.Errorf("the WAL has %d bytes after a checkpoint", fi.Size())
	}
	if fi := got(os.Stat(d.path))(t); fi.Size() < 1<<20 {
		t.Errorf("the database has %d bytes after a checkpoint", fi.Size())
	}
}

func TestClosed(t *testing.T) {
	d := newDB(t)
	check(t, d.Close())
	check(t, d.Close())
	if _, err := d.Commit(&Batch{Now: testNow}); err == nil || IsIO(err) {
		t.Errorf("Commit: %v, want an error that is not the disk's", err)
	}
	if _, err := d.NextSeq(); err == nil {
		t.Error("NextSeq: no error")
	}
}

// A full disk refuses a commit, nothing of it stays, and all goes on when there is room.
func TestDiskFull(t *testing.T) {
	d := newDB(t)
	limit := func(pages string) {
		t.Helper()
		_, err := d.writer.conn.ExecContext(background, "PRAGMA max_page_count = "+pages)
		check(t, err)
	}
	limit(got(d.writer.pragma("page_count"))(t))
	b := block(1, 0, "a")
	b.Body = make([]byte, 1<<20)
	batch := Batch{Now: testNow, KV: []KVWrite{{Store: "h", Key: "k", Value: []byte("v")}}, Blocks: []Block{b}}
	if _, err := d.Commit(&batch); !errors.Is(err, ErrFull) || !IsIO(err) {
		t.Fatalf("Commit: %v, want ErrFull", err)
	}
	if _, found, err := d.KVGet("h", "k"); err != nil || found {
		t.Errorf("half of it stayed: %v, %v", found, err)
	}
	check(t, d.CleanStop()) // what needs no room still works
	limit("1000000")
	d.commit(batch)
	d.sound()
}

// No query's cost grows with the log, the dead letters or the stores: what the methods ran is explained, and must not
// scan a table that grows, unless it stops at the first row.
func TestNoScans(t *testing.T) {
	d := newDB(t)
	check(t, d.PutMember(Member{Node: "n", Membership: 1, Channel: "a"}))
	d.commit(fullBatch())
	d.reopen()
	_, _, err := d.StartRun(1, testNow)
	check(t, err)
	d.commit(Batch{Blocks: []Block{block(5, 0, "a", "b")}, DeadRemove: []int64{1},
		Advances: []Advance{{Sender: "s", Lineage: []Run{{9, 1}}, Membership: 7, Segments: []Segment{{9, 4, 5}}}}})
	got(d.FirstCreatedAtOrAfter(6))(t)
	got(d.ReadLog(1, 100))(t)
	got(d.Streams())(t)
	_, _, err = d.StreamCountThrough("a", "", 5)
	check(t, err)
	got(d.DeleteLog(4, []Cursor{{Node: "n", Membership: 1}}, nil))(t)
	got(d.AttemptCount(AttemptKey{}))(t)
	got(d.DeadList(0, 1))(t)
	got(d.DeadCount())(t)
	got(d.Events(0, 1))(t)
	got(d.Skips("n", 1))(t)
	got(d.Positions("s"))(t)
	_, _, err = d.KVNext("h", "")
	check(t, err)
	got(d.KVList("h", "", 1))(t)

	queries := slices.Concat(slices.Collect(maps.Keys(d.writer.stmts)), slices.Collect(maps.Keys(d.reader.stmts)))
	for _, query := range queries {
		args := make([]any, strings.Count(query, "?"))
		if strings.Contains(query, "?1") {
			args = args[:1]
		}
		rows, err := d.writer.conn.QueryContext(background, "EXPLAIN QUERY PLAN "+query, args...)
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		for rows.Next() {
			var id, parent, unused int
			var step string
			check(t, rows.Scan(&id, &parent, &unused, &step))
			table, scan := strings.CutPrefix(step, "SCAN ")
			table, _, _ = strings.Cut(table, " ")
			if scan && slices.Contains([]string{"block", "part", "position", "kv", "attempt", "dead", "event", "skip"}, table) && !strings.HasSuffix(query, "LIMIT 1") ||
				strings.Contains(step, "TEMP B-TREE") && !strings.Contains(query, "FROM stream") {
				t.Errorf("%s: %s", query, step)
			}
		}
		check(t, rows.Close())
	}
	if len(queries) < 30 {
		t.Errorf("only %d queries were explained", len(queries))
	}
}
