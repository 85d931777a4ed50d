package engine

import (
	"sync"

	"github.com/getevo/rmds/engine/internal/store"
)

// kvCacheBytes bounds what one store keeps in memory of values that are on disk already.
const kvCacheBytes = 4 << 20

// kvStore is one handler's key-value store as its runs see it: the database, and over it what was written by runs whose
// commit is still to come. run is held for the length of a run (P18), so that a run reads what the one before it wrote.
//
// Entries stay after their commit as a cache: nobody else writes the table. A failed commit empties it all.
type kvStore struct {
	name string
	st   *store.Store
	run  sync.Mutex // one run at a time

	mu    sync.Mutex
	cache map[string]kvEntry
	bytes int
}

type kvEntry struct {
	value   []byte
	absent  bool
	pending int // commits still to come that write this key
}

func newKVStore(name string, st *store.Store) *kvStore {
	return &kvStore{name: name, st: st, cache: map[string]kvEntry{}}
}

func (k *kvStore) get(key string) ([]byte, bool, error) {
	k.mu.Lock()
	e, ok := k.cache[key]
	k.mu.Unlock()
	if ok {
		return e.value, !e.absent, nil
	}
	v, found, err := k.st.KVGet(k.name, key)
	if err != nil {
		return nil, false, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.cache[key]; !ok {
		k.put(key, kvEntry{value: v, absent: !found})
	}
	return v, found, nil
}

// put adds an entry and, when the cache is too large, drops entries that are safe on disk.
func (k *kvStore) put(key string, e kvEntry) {
	if old, ok := k.cache[key]; ok {
		k.bytes -= len(key) + len(old.value)
	}
	k.cache[key] = e
	k.bytes += len(key) + len(e.value)
	if k.bytes <= kvCacheBytes {
		return
	}
	for o, oe := range k.cache {
		if oe.pending == 0 && o != key {
			delete(k.cache, o)
			k.bytes -= len(o) + len(oe.value)
		}
		if k.bytes <= kvCacheBytes/2 {
			break
		}
	}
}

// stage makes a run's writes visible to the runs after it, before their commit.
func (k *kvStore) stage(writes []store.KVWrite) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, w := range writes {
		k.put(w.Key, kvEntry{value: w.Value, absent: w.Delete, pending: k.cache[w.Key].pending + 1})
	}
}

// committed says that staged writes are on disk.
func (k *kvStore) committed(writes []store.KVWrite) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, w := range writes {
		if e, ok := k.cache[w.Key]; ok && e.pending > 0 {
			e.pending--
			k.cache[w.Key] = e
		}
	}
}

// drop forgets everything: a commit failed, so the database alone is true.
func (k *kvStore) drop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.cache, k.bytes = map[string]kvEntry{}, 0
}

// next returns the first key after the given one, staged writes included.
func (k *kvStore) next(after string) (string, bool, error) {
	for {
		key, ok, err := k.st.KVNext(k.name, after)
		if err != nil {
			return "", false, err
		}
		k.mu.Lock()
		for c, e := range k.cache { // not only what is pending: its commit may have come after KVNext
			if !e.absent && c > after && (!ok || c < key) {
				key, ok = c, true
			}
		}
		gone := ok && k.cache[key].absent
		k.mu.Unlock()
		if !gone {
			return key, ok, nil
		}
		after = key
	}
}
