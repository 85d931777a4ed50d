package store

import (
	"errors"
	"fmt"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Errors that callers act on.
var (
	ErrLocked      = errors.New("database is in use")
	ErrNewerSchema = errors.New("database was written by a newer version")
	ErrCorrupt     = errors.New("database is corrupt")
	ErrFull        = errors.New("disk is full")

	errIO = errors.New("disk error") // also what a Hook fails with
)

// StaleError says that an advance did not fit the position on disk, so that its commit did not happen.
type StaleError struct{ Index int } // in Batch.Advances

func (e *StaleError) Error() string {
	return fmt.Sprintf("advance %d does not follow the position on disk", e.Index)
}

// classify wraps an error of SQLite with what a caller can act on.
func classify(err error) error {
	var se *sqlite.Error
	if err == nil || !errors.As(err, &se) {
		return err
	}
	switch se.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("%w: %w", ErrFull, err)
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM:
		return fmt.Errorf("%w: %w", errIO, err)
	}
	return err
}

// IsIO tells trouble with the disk, which may pass, from trouble with what was to be written.
func IsIO(err error) bool {
	return errors.Is(err, errIO) || errors.Is(err, ErrFull) || errors.Is(err, ErrCorrupt) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EIO)
}
