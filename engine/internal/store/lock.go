package store

import (
	"errors"
	"fmt"
	"os"
)

// lockFile takes the lock that keeps two processes from one database. It ends with the process, however that ends.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if err := tryLock(f); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %s: another process has the database open (%v)", ErrLocked, path, err), f.Close())
	}
	return f, nil
}
