// Package store is a node's database: one SQLite file, in which one method is one transaction.
//
//	meta        store id, node id, the next seq, how the last run ended
//	run         every run of the node with the first seq that it may use (P1); never deleted
//	log, part   the message log in packed blocks, and how many records of each stream a block brings
//	stream      per stream, what was ever appended and what was deleted
//	member      readers of this node's streams, with their cursors
//	skip        what a reader will never get (P27)
//	membership  what this node reads (P2)
//	position    how far this node has handled other nodes' logs, per (sender, run, membership)
//	kv          handlers' key-value stores
//	dead, attempt, event   what went wrong
//
// One connection writes, a few read. Writers take a lock and wait for each other; readers see the last commit. A commit
// is durable when Commit returns nil (WAL, synchronous=FULL, checked at open). A process that is killed leaves a database
// that holds exactly the commits that had returned, and possibly one more.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	_ "modernc.org/sqlite" // the driver
)

// Options of Open.
type Options struct {
	Hook func(operation string) error // called before each operation; an error from it fails the operation as a disk would
	Sync string                       // PRAGMA synchronous: "" means FULL; tests of things other than power cuts say OFF
}

// Store is an open database. Its methods may be called from any goroutine.
type Store struct {
	path string
	hook func(string) error
	lock *os.File
	meta Meta

	mu    sync.Mutex // one writing transaction at a time
	write *sql.DB
	conn  *sql.Conn
	read  *sql.DB
	w     map[string]*sql.Stmt // of conn, by SQL text
	rmu   sync.Mutex
	r     map[string]*sql.Stmt // of read, by SQL text
	hi    int64                // newest created_hi; guarded by mu
	ids   map[streamKey]int64  // stream ids; guarded by mu
}

// Meta is what a database knows of itself.
type Meta struct {
	StoreID             uint64 // random, from the database's creation
	AddressedMembership uint64 // this node's membership of messages that name it
	NodeID              string // "" until SetNodeID
	Created             int64  // unix ns
}

// Open opens or creates the database in path, in a directory that exists. Errors wrap ErrLocked if another process has
// it, ErrNewerSchema if a newer program wrote it, ErrCorrupt if it is no sound database.
func Open(path string, o Options) (*Store, error) {
	if o.Sync == "" {
		o.Sync = "FULL"
	}
	if fi, err := os.Stat(filepath.Dir(path)); err != nil || !fi.IsDir() {
		return nil, fmt.Errorf("directory %s of the database does not exist: create it", filepath.Dir(path))
	}
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, err
	}
	s := &Store{path: path, hook: o.Hook, lock: lock, w: map[string]*sql.Stmt{}, r: map[string]*sql.Stmt{}, ids: map[streamKey]int64{}}
	if err := s.open(o.Sync); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// dsn is the data source name with the pragmas of every connection.
func dsn(path string, pragmas ...string) string {
	q := url.Values{"_pragma": append([]string{"busy_timeout(10000)"}, pragmas...), "_txlock": {"immediate"}}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

func (s *Store) open(sync string) error {
	ctx := context.Background()
	var err error
	s.write, err = sql.Open("sqlite", dsn(s.path, "journal_mode(WAL)", "synchronous("+sync+")", "wal_autocheckpoint(4000)", "cache_size(-16000)"))
	if err != nil {
		return err
	}
	s.write.SetMaxOpenConns(1)
	if s.conn, err = s.write.Conn(ctx); err != nil {
		return classify(err)
	}
	if s.read, err = sql.Open("sqlite", dsn(s.path, "query_only(1)", "cache_size(-8000)")); err != nil {
		return err
	}
	s.read.SetMaxOpenConns(4)
	s.read.SetMaxIdleConns(4)
	if err := s.checkPragmas(ctx, sync); err != nil {
		return err
	}
	if err := s.migrate(ctx); err != nil {
		return err
	}
	return s.load()
}

// checkPragmas makes sure that SQLite took what it was told: a mistyped pragma is silently ignored, and with it the
// promise of durability.
func (s *Store) checkPragmas(ctx context.Context, sync string) error {
	var mode string
	if err := s.conn.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return classify(err)
	}
	var level int
	if err := s.conn.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&level); err != nil {
		return classify(err)
	}
	want := map[string]int{"FULL": 2, "OFF": 0}
	if w, ok := want[sync]; !ok || mode != "wal" || level != w {
		return fmt.Errorf("journal_mode is %s and synchronous %d, want wal and %s: the file system may not support WAL", mode, level, sync)
	}
	return nil
}

// load reads what is kept in memory.
func (s *Store) load() error {
	q := `SELECT (SELECT value FROM meta WHERE key='store_id'), (SELECT value FROM meta WHERE key='addressed'),
		(SELECT value FROM meta WHERE key='created'), coalesce((SELECT text FROM meta WHERE key='node_id'), ''),
		coalesce((SELECT max(created_hi) FROM (SELECT created_hi FROM log ORDER BY first DESC LIMIT 1)), 0)`
	var id, addressed int64
	if err := s.row(q).Scan(&id, &addressed, &s.meta.Created, &s.meta.NodeID, &s.hi); err != nil {
		return classify(err)
	}
	s.meta.StoreID, s.meta.AddressedMembership = uint64(id), uint64(addressed)
	return s.each("SELECT id, channel, node FROM stream", nil, func(scan func(...any) error) error {
		var id int64
		var k streamKey
		if err := scan(&id, &k.channel, &k.to); err != nil {
			return err
		}
		s.ids[k] = id
		return nil
	})
}

// Meta returns what the database knows of itself.
func (s *Store) Meta() Meta { return s.meta }

// SetNodeID notes whose database this is, once. Another id later is an error: the database of one node must not
// become that of another, whose readers would take its messages for their own.
func (s *Store) SetNodeID(id string) error {
	if s.meta.NodeID == id {
		return nil
	}
	if s.meta.NodeID != "" {
		return fmt.Errorf("the database belongs to node %q, not %q: give this node another storage path, or its old id", s.meta.NodeID, id)
	}
	err := s.update("set_node_id", func(tx *transaction) error {
		_, err := tx.exec("INSERT INTO meta(key, text) VALUES('node_id', ?)", id)
		return err
	})
	if err == nil {
		s.meta.NodeID = id
	}
	return err
}

// Close closes the database and gives up its lock.
func (s *Store) Close() error {
	var errs []error
	for _, st := range s.r {
		errs = append(errs, st.Close())
	}
	for _, st := range s.w {
		errs = append(errs, st.Close())
	}
	if s.read != nil {
		errs = append(errs, s.read.Close())
	}
	if s.conn != nil {
		errs = append(errs, s.conn.Close())
	}
	if s.write != nil {
		errs = append(errs, s.write.Close())
	}
	return errors.Join(append(errs, s.lock.Close())...)
}
