package web

import (
	"slices"
	"strings"
)

// History is a stretch of samples, each figure in a list of its own, all lists in step.
type History struct {
	Run       string    `json:"run"`  // of the node; samples of another run are of no use with these
	Last      int64     `json:"last"` // number of the newest sample: ask for what comes after it
	At        []int64   `json:"at"`   // unix ms
	Connected []bool    `json:"connected"`
	Queued    []int64   `json:"queued"`
	Oldest    []float64 `json:"oldest"`   // age of the oldest message that waits, seconds
	Accepted  []int64   `json:"accepted"` // this and what follows count since the node's start
	Delivered []int64   `json:"delivered"`
	Handled   []int64   `json:"handled"`
	Dead      []int64   `json:"dead"`

	Readers  []ReaderHistory  `json:"readers"`
	Handlers []HandlerHistory `json:"handlers"`
}

// ReaderHistory is what waits for one reader; -1 where it was not there.
type ReaderHistory struct {
	ReaderKey
	Queued []float32 `json:"queued"`
	Oldest []float32 `json:"oldest"` // seconds
}

// HandlerHistory is what one handler has done; -1 where it was not there.
type HandlerHistory struct {
	Name   string    `json:"name"`
	Runs   []float32 `json:"runs"`
	Failed []float32 `json:"failed"` // rejections among them
}

// Events are the newest events, oldest first.
type Events struct {
	Events []Event `json:"events"`
}

// history returns the samples after a number.
func (r *Recorder) history(after int64) History {
	r.mu.Lock()
	defer r.mu.Unlock()
	from := max(after, r.number-maxSamples, 0) + 1
	n := max(r.number-from+1, 0)
	h := History{Run: r.status.Run, Last: r.number, At: make([]int64, n), Connected: make([]bool, n), Queued: make([]int64, n), Oldest: make([]float64, n),
		Accepted: make([]int64, n), Delivered: make([]int64, n), Handled: make([]int64, n), Dead: make([]int64, n),
		Readers: []ReaderHistory{}, Handlers: []HandlerHistory{}}
	for i := range n {
		s := &r.node[(from+i)%maxSamples]
		h.At[i], h.Connected[i], h.Queued[i], h.Oldest[i] = s.at, s.connected, s.queued, s.oldest
		h.Accepted[i], h.Delivered[i], h.Handled[i], h.Dead[i] = s.accepted, s.delivered, s.handled, s.dead
	}
	for k, s := range r.readers {
		q, o := s.cut(from, n)
		h.Readers = append(h.Readers, ReaderHistory{k, q, o})
	}
	for k, s := range r.handlers {
		runs, failed := s.cut(from, n)
		h.Handlers = append(h.Handlers, HandlerHistory{k, runs, failed})
	}
	slices.SortFunc(h.Readers, func(a, b ReaderHistory) int { return strings.Compare(a.Node+" "+a.Channel, b.Node+" "+b.Channel) })
	slices.SortFunc(h.Handlers, func(a, b HandlerHistory) int { return strings.Compare(a.Name, b.Name) })
	return h
}

// cut copies n figures from a sample on.
func (s *series) cut(from, n int64) (a, b []float32) {
	a, b = make([]float32, n), make([]float32, n)
	for i := range n {
		j := (from + i) % maxSamples
		a[i], b[i] = s.a[j], s.b[j]
	}
	return a, b
}

// eventsAfter returns the events with ids above after.
func (r *Recorder) eventsAfter(after int64) Events {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.events, func(e Event) bool { return e.ID > after })
	if i < 0 {
		return Events{[]Event{}}
	}
	return Events{slices.Clone(r.events[i:])}
}
