package engine

import (
	"slices"
	"testing"
	"time"

	"github.com/getevo/rmds/engine/internal/store"
)

// TestWritesOfABatch: of several writes to one key a commit carries the last, whatever it is.
func TestWritesOfABatch(t *testing.T) {
	unitOf := func(writes ...store.KVWrite) *unit { return &unit{kv: []kvWrites{{writes: writes}}} }
	c := newCommitter(nil, newTail(0, 0), 1, false, time.Now)
	c.cursors = func() []store.Cursor { return nil }
	b, _, _ := c.build([]*unit{
		unitOf(store.KVWrite{Store: "a", Key: "x", Value: []byte("1")}, store.KVWrite{Store: "a", Key: "y", Value: []byte("1")}),
		unitOf(store.KVWrite{Store: "b", Key: "x", Value: []byte("1")}, store.KVWrite{Store: "a", Key: "y", Delete: true}),
		unitOf(store.KVWrite{Store: "a", Key: "x", Delete: true}),
		unitOf(store.KVWrite{Store: "a", Key: "x", Value: []byte("2")}),
	})
	got := make([]string, len(b.KV))
	for i, w := range b.KV {
		got[i] = w.Store + "/" + w.Key + "=" + string(w.Value)
		if w.Delete {
			got[i] += "deleted"
		}
	}
	if want := []string{"a/x=2", "a/y=deleted", "b/x=1"}; !slices.Equal(got, want) {
		t.Errorf("the batch writes %q, want %q", got, want)
	}
}
