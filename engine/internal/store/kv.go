package store

import (
	"database/sql"
	"errors"
)

// KVGet returns the committed value of a key of a handler's store.
func (s *Store) KVGet(store, key string) (value []byte, ok bool, err error) {
	err = s.row("SELECT value FROM kv WHERE store = ? AND key = ?", store, []byte(key)).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	return value, err == nil, classify(err)
}

// KVNext returns the first committed key above after, in byte order.
func (s *Store) KVNext(store, after string) (key string, ok bool, err error) {
	var k []byte
	err = s.row("SELECT key FROM kv WHERE store = ? AND key > ? ORDER BY key LIMIT 1", store, []byte(after)).Scan(&k)
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, nil
	}
	return string(k), err == nil, classify(err)
}

// AttemptCount returns the failed attempts that are noted for a message.
func (s *Store) AttemptCount(k AttemptKey) (n int, err error) {
	err = s.row("SELECT count FROM attempt WHERE sender = ? AND run = ? AND seq = ? AND membership = ?", k.Sender, int64(k.Run), k.Seq, int64(k.Membership)).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return n, classify(err)
}
