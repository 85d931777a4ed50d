package store

// KVWrite sets or deletes one key of a handler's store.
type KVWrite struct {
	Store, Key string // the key may be any bytes
	Value      []byte
	Delete     bool
}

// KVPair is a key with its value.
type KVPair struct {
	Key   string
	Value []byte
}

// KVStore is one handler's store and its size.
type KVStore struct {
	Name  string
	Keys  int64
	Bytes int64 // of keys and values
}

func (t *tx) putKV(writes []KVWrite) error {
	for i := range writes {
		w := &writes[i]
		var err error
		if w.Delete {
			_, err = t.run(`DELETE FROM kv WHERE store = ? AND key = ?`, w.Store, []byte(w.Key))
		} else {
			_, err = t.run(`INSERT INTO kv (store, key, value) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value`,
				w.Store, []byte(w.Key), blob(w.Value))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// KVGet returns a key's committed value. found tells an empty value from none.
func (s *Store) KVGet(store, key string) (value []byte, found bool, err error) {
	err = s.read("KVGet", func(q *snapshot) error {
		found, err = q.row(`SELECT value FROM kv WHERE store = ? AND key = ?`, []any{store, []byte(key)}, &value)
		return err
	})
	return value, found, err
}

// KVNext returns the first committed key after the given one in byte order; after "" the first of all but the empty key.
func (s *Store) KVNext(store, after string) (key string, found bool, err error) {
	err = s.read("KVNext", func(q *snapshot) error {
		found, err = q.row(`SELECT key FROM kv WHERE store = ? AND key > ? ORDER BY key LIMIT 1`, []any{store, []byte(after)}, &key)
		return err
	})
	return key, found, err
}

// KVList returns up to n keys after the given one, with their values, in byte order.
func (s *Store) KVList(store, after string, n int) ([]KVPair, error) {
	return list(s, "KVList", `SELECT key, value FROM kv WHERE store = ? AND key > ? ORDER BY key LIMIT ?`, []any{store, []byte(after), n},
		func(scan func(...any) error, p *KVPair) error { return scan(&p.Key, &p.Value) })
}

// KVStores returns all stores that hold a key, by name. It reads every key: for a person who asks, not for a loop.
func (s *Store) KVStores() ([]KVStore, error) {
	return list(s, "KVStores", `SELECT store, count(*), sum(length(key) + length(value)) FROM kv GROUP BY store ORDER BY store`, nil,
		func(scan func(...any) error, k *KVStore) error { return scan(&k.Name, &k.Keys, &k.Bytes) })
}
