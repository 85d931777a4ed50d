//go:build !unix

package store

import "os"

// tryLock does nothing: SQLite's own lock is the only one here.
func tryLock(*os.File) error { return nil }
