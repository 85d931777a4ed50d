package node

import (
	"context"
	"io/fs"
	"os"
	"sync"
	"time"
)

// watchInterval is how often the modules' files are looked at.
const watchInterval = time.Second

// watched notices that a file has changed. It looks at the file's identity, time and size, as make does.
type watched struct {
	mu      sync.Mutex
	last    fs.FileInfo // nil if there was none
	pending bool        // it was another file at the last look, and may still be written to
}

// look reports whether the file has changed and was the same at this look and the one before: a file that is being
// copied into place is left alone until it is whole.
func (w *watched) look(path string) bool {
	now, err := os.Stat(path)
	if err != nil {
		now = nil // whatever the reason: reading says it
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	same := sameFile(w.last, now)
	settled := same && w.pending
	w.pending, w.last = !same, now
	return settled
}

func sameFile(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// watch reloads modules whose files have changed, until ctx ends. Each file has a goroutine of its own: a module that
// compiles for long holds up no other.
func (m *modules) watch(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	for _, l := range m.loaded {
		all.Go(func() {
			tick := time.NewTicker(watchInterval)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				if l.file.look(l.handler.Module) {
					_, _ = l.reload(ctx) // it has logged and noted the error
				}
			}
		})
	}
}
