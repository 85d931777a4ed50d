//go:build !unix

package engine

import "os"

// lockIDFile does nothing: the lock of the database is the only one here.
func lockIDFile(*os.File) error { return nil }

// syncDir does nothing: directories cannot be synced here, and renames are journaled.
func syncDir(string) error { return nil }
