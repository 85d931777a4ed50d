package store

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// Store is an open database. All methods may be called from any goroutine; those that write take turns.
type Store struct {
	path string
	lock *os.File
	hook func(op string) error

	mu     sync.Mutex // held by a writing method, and by Close
	writer writer     // guarded by mu
	tip    tip        // guarded by mu
	closed bool       // guarded by mu

	reader reader

	metaMu sync.Mutex
	meta   Meta // guarded by metaMu
}

// Options are for tests; the zero value is what a node runs with.
type Options struct {
	// Hook injects faults. It is called with a method's name ("Commit") before it does anything; for each transaction that
	// writes also with "Commit.sync" before COMMIT, and with "Commit.landed" after. The method returns the hook's error as
	// an I/O error (IsIO). In the first two cases nothing was applied. In the third all of it was, and the caller does not
	// know: an fsync that failed after its bytes had reached the disk. nil: no faults.
	Hook func(op string) error
	// Sync is the value of PRAGMA synchronous: "" is FULL. OFF spares the disk where a test is about something else.
	Sync string
}

const (
	pageSize = 4096
	// A commit of one message writes four or five pages, one of a 48 KiB block sixteen. 4000 pages (16 MiB) let a
	// checkpoint write a page once that many commits have changed; the limit gives back what a burst has made of the WAL.
	walPages    = 4000
	walMaxBytes = 32 << 20
	// The log is appended to at its end and read in long sweeps; what is worth keeping are the few pages that every
	// commit changes and the inner pages of the trees. Sizes in KiB.
	writerCacheKiB = 4096
	readerCacheKiB = 1024
	readers        = 4
	// busyTimeout is for a checkpoint in another connection, or an operator's sqlite3 shell. Milliseconds.
	busyTimeout = 5000
)

// Open opens the database, creating it if the file does not exist or is empty. Its directory must exist. It fails with
// ErrLocked, ErrCorrupt or ErrNewerSchema, having changed nothing in the file.
func Open(path string, o Options) (*Store, error) {
	s, err := open(path, o)
	if err != nil {
		return nil, wrap("open", err)
	}
	return s, nil
}

func open(path string, o Options) (_ *Store, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	s := &Store{path: path, hook: o.Hook, writer: writer{stmts: map[string]*sql.Stmt{}}, reader: reader{stmts: map[string]*sql.Stmt{}}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := s.fault("Open"); err != nil {
		return nil, err
	}
	if err := s.claim(); err != nil {
		return nil, err
	}
	if err := s.openWriter(o.Sync); err != nil {
		return nil, err
	}
	s.reader.db, err = sql.Open("sqlite", dataSource(path, "query_only(1)", fmt.Sprintf("cache_size(-%d)", readerCacheKiB)))
	if err != nil {
		return nil, err
	}
	s.reader.db.SetMaxOpenConns(readers)
	s.reader.db.SetMaxIdleConns(readers)
	return s, s.loadMeta()
}

// claim takes the lock, then makes sure that there is a file, readable by its owner only. The file must not be opened
// again by this process other than through SQLite: closing any descriptor of it would drop SQLite's own locks.
func (s *Store) claim() error {
	dir := filepath.Dir(s.path)
	if fi, err := os.Stat(dir); err != nil {
		return fmt.Errorf("directory %s: %w", dir, err)
	} else if !fi.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	var err error
	if s.lock, err = lockFile(s.path + ".lock"); err != nil {
		return err
	}
	f, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// dataSource names the database to the driver. Pragmas are run on every connection, which a pool opens as it likes.
func dataSource(path string, pragmas ...string) string {
	p := filepath.ToSlash(path)
	if !strings.HasPrefix(p, "/") {
		p = "/" + p // a drive letter
	}
	q := url.Values{"_pragma": append([]string{fmt.Sprintf("busy_timeout(%d)", busyTimeout)}, pragmas...)}
	return "file:" + (&url.URL{Path: p}).EscapedPath() + "?" + q.Encode()
}

// openWriter opens the writing connection, looks whether the file is ours, and sets the connection up. Nothing is
// written before the version is known.
func (s *Store) openWriter(sync string) (err error) {
	if s.writer.db, err = sql.Open("sqlite", dataSource(s.path)); err != nil {
		return err
	}
	s.writer.db.SetMaxOpenConns(1)
	if s.writer.conn, err = s.writer.db.Conn(background); err != nil {
		return err
	}
	fresh, err := s.writer.identify()
	if err != nil {
		return err
	}
	if err := s.writer.configure(sync); err != nil {
		return err
	}
	if fresh {
		return s.transact("create", create)
	}
	return nil
}

// identify reports whether the database is empty, and fails if it is another program's or a later version's.
func (w *writer) identify() (fresh bool, err error) {
	var app, version, tables int
	for _, q := range []struct {
		query string
		value *int
	}{
		{`PRAGMA application_id`, &app}, {`PRAGMA user_version`, &version}, {`SELECT count(*) FROM sqlite_schema`, &tables},
	} {
		if err := w.conn.QueryRowContext(background, q.query).Scan(q.value); err != nil {
			return false, err
		}
	}
	switch {
	case app == 0 && version == 0 && tables == 0:
		return true, nil
	case app != applicationID:
		return false, errors.New("the file is a database of another program")
	case version > schemaVersion:
		return false, fmt.Errorf("%w: schema %d, this version knows %d", ErrNewerSchema, version, schemaVersion)
	case version < schemaVersion:
		return false, fmt.Errorf("%w: schema %d was never released", ErrCorrupt, version)
	}
	return false, nil
}

// configure sets the writing connection up and reads back what durability rests on: SQLite ignores a pragma that it
// cannot follow.
func (w *writer) configure(sync string) error {
	want := map[string]string{"": "2", "FULL": "2", "OFF": "0"}[sync]
	if want == "" {
		return fmt.Errorf("synchronous cannot be %q", sync)
	}
	for _, p := range []struct{ name, value, result string }{
		{"page_size", fmt.Sprint(pageSize), ""}, // of a new database
		{"journal_mode", "WAL", "wal"},
		{"synchronous", want, want},
		{"fullfsync", "1", "1"}, // macOS: flush the drive's cache too
		{"checkpoint_fullfsync", "1", "1"},
		{"foreign_keys", "0", "0"},
		{"temp_store", "MEMORY", ""},
		{"cache_size", fmt.Sprint(-writerCacheKiB), ""},
		{"wal_autocheckpoint", fmt.Sprint(walPages), ""},
		{"journal_size_limit", fmt.Sprint(walMaxBytes), ""},
	} {
		if _, err := w.conn.ExecContext(background, "PRAGMA "+p.name+" = "+p.value); err != nil {
			return fmt.Errorf("set %s: %w", p.name, err)
		}
		if p.result == "" {
			continue
		}
		if got, err := w.pragma(p.name); err != nil || got != p.result {
			return errors.Join(fmt.Errorf("%s is %q, must be %q", p.name, got, p.result), err)
		}
	}
	return nil
}

func (w *writer) pragma(name string) (value string, err error) {
	err = w.conn.QueryRowContext(background, "PRAGMA "+name).Scan(&value)
	return value, err
}

// Close closes the database and gives up the lock. What the WAL holds goes into the database file. It waits for methods
// that write, and those that come later fail; the caller sees to it that none reads. A second Close does nothing.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	var errs []error
	if s.reader.db != nil {
		errs = append(errs, s.reader.db.Close())
	}
	for _, st := range s.writer.stmts {
		errs = append(errs, st.Close())
	}
	clear(s.writer.stmts)
	if s.writer.conn != nil {
		errs = append(errs, s.writer.conn.Close())
	}
	if s.writer.db != nil {
		errs = append(errs, s.writer.db.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return wrap("close", errors.Join(errs...))
}

// Checkpoint moves what the WAL holds into the database file and empties the WAL. It is never needed for durability; it
// makes the file whole for a copy, and gives the WAL's space back.
func (s *Store) Checkpoint() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.fault("Checkpoint")
	if err == nil {
		var busy, pages, moved int
		err = s.writer.conn.QueryRowContext(background, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &pages, &moved)
		if err == nil && busy != 0 {
			err = &ioError{errors.New("a reader is in the way")}
		}
	}
	return wrap("Checkpoint", err)
}

// DiskUsage returns the bytes of the files: the database with the free pages in it, and its WAL. Deleting makes room in the
// database file; the file itself does not shrink.
func (s *Store) DiskUsage() (int64, error) {
	if err := s.fault("DiskUsage"); err != nil {
		return 0, wrap("DiskUsage", err)
	}
	var sum int64
	for _, suffix := range []string{"", "-wal"} {
		fi, err := os.Stat(s.path + suffix)
		if err == nil {
			sum += fi.Size()
		} else if !errors.Is(err, os.ErrNotExist) {
			return 0, wrap("DiskUsage", &ioError{err})
		}
	}
	return sum, nil
}
