package store

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

var (
	// ErrLocked is returned by Open when another process, or another Store of this one, has the database open.
	ErrLocked = errors.New("the database is in use by another process")
	// ErrCorrupt says that the file is not a database, or a damaged one. It may come from any method.
	ErrCorrupt = errors.New("the database is corrupt")
	// ErrNewerSchema is returned by Open for a database that a newer version of this program has written.
	ErrNewerSchema = errors.New("the database was written by a newer version")
	// ErrFull says that the file system, or the quota, is full. IsIO is true for it.
	ErrFull = errors.New("the disk is full")
	// ErrNoDeadLetter says that there is no dead letter of that id, or no longer.
	ErrNoDeadLetter = errors.New("no such dead letter")
)

// StaleError says that an advance does not start where the position is. Nothing of its batch was committed.
type StaleError struct {
	Index      int    // of the advance in Batch.Advances
	Sender     string // of that advance, as is Membership
	Membership uint64
	Prev       int64 // where the advance would have started
	Position   int64 // where the position is; 0 if there is none
}

func (e *StaleError) Error() string {
	return fmt.Sprintf("advance of %s for membership %016x starts at seq %d, the position is %d", e.Sender, e.Membership, e.Prev, e.Position)
}

// ioError marks trouble with the disk: what failed may succeed later, unchanged.
type ioError struct{ err error }

func (e *ioError) Error() string { return e.err.Error() }
func (e *ioError) Unwrap() error { return e.err }

// IsIO reports whether err is trouble with the disk or the database file (write errors, a full disk, a lock held from
// outside, corruption), rather than with what was asked.
func IsIO(err error) bool {
	var e *ioError
	return errors.As(err, &e)
}

// wrap gives an error its operation and its class.
func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	code := 0
	var se *sqlite.Error
	if errors.As(err, &se) {
		code = se.Code() & 0xff // the primary code
	}
	var marked *ioError
	isIO := errors.As(err, &marked)
	switch code {
	case sqlite3.SQLITE_FULL:
		err, isIO = fmt.Errorf("%w: %w", ErrFull, err), true
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		err, isIO = fmt.Errorf("%w: %w", ErrCorrupt, err), true
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED,
		sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_PERM, sqlite3.SQLITE_NOMEM:
		isIO = true
	}
	if errors.Is(err, syscall.ENOSPC) && !errors.Is(err, ErrFull) {
		err = fmt.Errorf("%w: %w", ErrFull, err)
	}
	err = fmt.Errorf("store: %s: %w", op, err)
	if isIO {
		return &ioError{err}
	}
	return err
}

// fault asks the hook whether an operation is to fail.
func (s *Store) fault(op string) error {
	if s.hook == nil {
		return nil
	}
	if err := s.hook(op); err != nil {
		return &ioError{err}
	}
	return nil
}

// background is the context of every statement: a transaction is never abandoned half-way, and with a context that can
// end database/sql and the driver would start a goroutine for each call.
var background = context.Background()
