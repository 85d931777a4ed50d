package main

import (
	"sync"
	"time"
)

// line is one line of the conversation.
type line struct {
	At     time.Time `json:"at"`
	Sender string    `json:"sender"` // "" for what the program itself says
	Text   string    `json:"text"`
	Own    bool      `json:"own"` // sent by this node
}

// maxLines is how much of the conversation is kept for pages that are opened later.
const maxLines = 1000

// room is the conversation as this node knows it, in memory. Any goroutine may add; the console and every open page
// follow at their own pace.
type room struct {
	mu      sync.Mutex
	lines   []line
	dropped int           // lines before the first of lines
	changed chan struct{} // closed and replaced when a line is added
}

func newRoom() *room { return &room{changed: make(chan struct{})} }

func (r *room) add(l line) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.lines) == maxLines {
		r.lines = append([]line(nil), r.lines[maxLines/2:]...)
		r.dropped += maxLines / 2
	}
	r.lines = append(r.lines, l)
	close(r.changed)
	r.changed = make(chan struct{})
}

// since returns the lines from number n on, counted from the first ever, the number of the line after them, and a channel
// that is closed when there is one.
func (r *room) since(n int) (lines []line, next int, changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n = max(n, r.dropped)
	return append([]line(nil), r.lines[n-r.dropped:]...), r.dropped + len(r.lines), r.changed
}
