package web

import (
	"slices"
	"sync"
	"time"

	"github.com/getevo/rmds/cmd/rmds-node/internal/admin"
)

// Limits of what a recorder keeps.
const (
	maxSamples = 600 // ten minutes, a second apart
	maxSeries  = 200 // readers, or handlers, whose figures are kept; others have none
	maxEvents  = 300

	// An event like one of the last nearEvents, of the same kind, node and channel and within sameEvents of it, takes
	// its place: a flood of one kind does not wash away what else has happened.
	nearEvents = 16
	sameEvents = time.Minute
)

// Recorder keeps the newest status of a node, its figures over the last minutes, and its newest events, in memory.
// Its methods may be called from any goroutine.
type Recorder struct {
	mu        sync.Mutex
	status    admin.Status
	at        time.Time // of status
	number    int64     // of the newest sample, from 1
	node      [maxSamples]nodeSample
	readers   map[ReaderKey]*series
	handlers  map[string]*series
	events    []Event // by rising ID
	lastEvent int64
}

// Event is something that an operator should hear of.
type Event struct {
	ID      int64     `json:"id"`    // rising, from 1 at the start of the process
	First   int64     `json:"first"` // ID of the first event that this one stands for: it replaces an earlier one with the same First
	Count   int       `json:"count"` // how many it stands for, the last of which it shows
	At      time.Time `json:"at"`
	Kind    string    `json:"kind"`
	Node    string    `json:"node,omitempty"`
	Channel string    `json:"channel,omitempty"`
	Text    string    `json:"text"`
}

// ReaderKey names a reader: a node and the channel that it reads, "" for what is addressed to it.
type ReaderKey struct {
	Node    string `json:"node"`
	Channel string `json:"channel"`
}

type nodeSample struct {
	at                                         int64 // unix ms
	queued, accepted, delivered, handled, dead int64
	oldest                                     float64 // seconds
	connected                                  bool
}

// series are two figures of a reader or a handler over time, in step with Recorder.node. absent stands where there was none.
type series struct {
	last int64 // the newest sample that has it
	a, b [maxSamples]float32
}

const absent = -1

// NewRecorder returns an empty recorder.
func NewRecorder() *Recorder {
	return &Recorder{readers: map[ReaderKey]*series{}, handlers: map[string]*series{}}
}

// Event takes an event; ID, First and Count are given here.
func (r *Recorder) Event(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lastEvent++
	e.ID, e.First, e.Count = r.lastEvent, r.lastEvent, 1
	n := len(r.events)
	for i := n - 1; i >= max(n-nearEvents, 0); i-- {
		o := &r.events[i]
		if o.Kind == e.Kind && o.Node == e.Node && o.Channel == e.Channel && e.At.Sub(o.At).Abs() < sameEvents {
			e.First, e.Count = o.First, o.Count+1
			r.events = slices.Delete(r.events, i, i+1)
			break
		}
	}
	if len(r.events) == maxEvents {
		r.events = slices.Delete(r.events, 0, 1)
	}
	r.events = append(r.events, e)
}

// latest returns the newest status and when it was taken. Nobody may change what it refers to.
func (r *Recorder) latest() (admin.Status, time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status, r.at
}

// sample takes a status.
func (r *Recorder) sample(s admin.Status, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status, r.at = s, now
	r.number++
	i := r.number % maxSamples
	n := nodeSample{at: now.UnixMilli(), queued: s.Queued, accepted: s.Accepted, delivered: s.Delivered, handled: s.Handled, dead: s.Dead, connected: s.Connected}
	for _, p := range s.Peers {
		for _, rd := range p.Readers {
			age := admin.Age(rd.Oldest, now)
			n.oldest = max(n.oldest, age)
			put(r.readers, ReaderKey{p.Node, rd.Channel}, r.number, float32(rd.Queued), float32(age))
		}
	}
	for _, h := range s.Handlers {
		put(r.handlers, h.Name, r.number, float32(h.Runs), float32(h.Failed+h.Rejected))
	}
	r.node[i] = n
	settle(r.readers, r.number)
	settle(r.handlers, r.number)
}

func put[K comparable](all map[K]*series, k K, number int64, a, b float32) {
	s := all[k]
	if s == nil {
		if len(all) == maxSeries {
			return
		}
		s = &series{}
		for i := range s.a {
			s.a[i], s.b[i] = absent, absent
		}
		all[k] = s
	}
	i := number % maxSamples
	s.last, s.a[i], s.b[i] = number, a, b
}

// settle marks the series that the sample did not have, and drops those that have had none for as long as samples are kept.
func settle[K comparable](all map[K]*series, number int64) {
	for k, s := range all {
		if s.last == number {
			continue
		}
		i := number % maxSamples
		s.a[i], s.b[i] = absent, absent
		if number-s.last >= maxSamples {
			delete(all, k)
		}
	}
}
