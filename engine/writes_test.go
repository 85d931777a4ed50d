package engine

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/getevo/rmds/engine/internal/store"
)

// TestWriteSet compares a set of writes with a map, below and above the size at which it gets an index.
func TestWriteSet(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, keys := range []int{1, scanWrites, scanWrites + 1, 100} {
		var s writeSet
		want := map[string]store.KVWrite{}
		for i := range 4 * keys {
			w := store.KVWrite{Key: fmt.Sprint(rng.IntN(keys)), Value: fmt.Append(nil, i), Delete: rng.IntN(4) == 0}
			s.put(w)
			want[w.Key] = w
			for k := range keys {
				key := fmt.Sprint(k)
				w, ok := want[key]
				if got := s.find(key); (got != nil) != ok || ok && (string(got.Value) != string(w.Value) || got.Delete != w.Delete) {
					t.Fatalf("%d keys: find(%s) = %v, want %v (%v)", keys, key, got, w, ok)
				}
			}
		}
		var order []string
		for _, w := range s.take() {
			order = append(order, w.Key)
		}
		if !slices.Equal(order, slices.Sorted(maps.Keys(want))) {
			t.Errorf("%d keys: take gives %v", keys, order)
		}
		if s.find("0") != nil {
			t.Errorf("%d keys: the set is not empty after take", keys)
		}
	}
}
