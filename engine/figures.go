package engine

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// HandlerBuckets are the upper bounds of HandlerStatus.Buckets; what took longer is in Runs alone.
var HandlerBuckets = [...]time.Duration{100 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond,
	5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond,
	250 * time.Millisecond, time.Second, 5 * time.Second}

// HandlerStatus counts what a transactional handler has done since the start, on all its channels. Attempts are counted
// as the handler left them: a commit that fails, or another handler of the channel, may have them run again.
type HandlerStatus struct {
	Name     string        `json:"name"`
	Runs     int64         `json:"runs"`              // attempts, of whatever outcome
	Retried  int64         `json:"retried"`           // that asked for another attempt
	Rejected int64         `json:"rejected"`          // that rejected the message for good
	Failed   int64         `json:"failed"`            // that failed otherwise: an error, a trap, a timeout, a panic
	Busy     time.Duration `json:"busy"`              // time spent in all attempts together
	Buckets  []int64       `json:"buckets"`           // attempts by time, cumulative, each up to the bound in HandlerBuckets
	Error    string        `json:"error,omitempty"`   // the last failure or rejection
	ErrorAt  time.Time     `json:"error_at,omitzero"` // when that was
}

// handlerFigures are the counters behind a HandlerStatus. Domains write them at the same time.
type handlerFigures struct {
	retried, rejected, failed, busy atomic.Int64
	buckets                         [len(HandlerBuckets) + 1]atomic.Int64 // not cumulative; the last is beyond all bounds

	mu      sync.Mutex
	err     string
	errorAt time.Time
}

// ran counts an attempt.
func (f *handlerFigures) ran(took time.Duration, v verdict, now time.Time) {
	i, _ := slices.BinarySearch(HandlerBuckets[:], took)
	f.buckets[i].Add(1)
	f.busy.Add(int64(took))
	if v.err == nil {
		return
	}
	_, rejected := v.rejected()
	switch {
	case rejected:
		f.rejected.Add(1)
	case v.asksRetry():
		f.retried.Add(1)
		return
	default:
		f.failed.Add(1)
	}
	f.mu.Lock()
	f.err, f.errorAt = v.err.Error(), now
	f.mu.Unlock()
}

func (f *handlerFigures) status(name string) HandlerStatus {
	s := HandlerStatus{Name: name, Retried: f.retried.Load(), Rejected: f.rejected.Load(), Failed: f.failed.Load(), Busy: time.Duration(f.busy.Load()),
		Buckets: make([]int64, len(HandlerBuckets))}
	for i := range f.buckets {
		s.Runs += f.buckets[i].Load()
		if i < len(s.Buckets) {
			s.Buckets[i] = s.Runs
		}
	}
	f.mu.Lock()
	s.Error, s.ErrorAt = f.err, f.errorAt
	f.mu.Unlock()
	return s
}

// figures returns the counters of the handlers of a name, the same ones for every channel.
func (c *Connection) figures(name string) *handlerFigures {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.handlers[name]
	if f == nil {
		f = &handlerFigures{}
		c.handlers[name] = f
	}
	return f
}

func (c *Connection) handlerStatus() []HandlerStatus {
	c.mu.RLock()
	defer c.mu.RUnlock()
	out := make([]HandlerStatus, 0, len(c.handlers))
	for name, f := range c.handlers {
		out = append(out, f.status(name))
	}
	slices.SortFunc(out, func(a, b HandlerStatus) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// reasonCounter counts dead letters by their reason, of which there are few: they are words of this package.
type reasonCounter struct {
	mu sync.Mutex
	by map[string]int64
}

func (r *reasonCounter) Add(reason string, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.by == nil {
		r.by = map[string]int64{}
	}
	r.by[reason] += n
}

func (r *reasonCounter) load() (total int64, by map[string]int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.by {
		total += n
	}
	return total, maps.Clone(r.by)
}
