package web

import (
	"fmt"
	"testing"
	"time"

	"github.com/getevo/rmds/cmd/rmds-node/internal/admin"
)

var start = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func at(i int) time.Time { return start.Add(time.Duration(i) * time.Second) }

func reading(node string, queued int64, oldest time.Time) admin.PeerStatus {
	return admin.PeerStatus{Node: node, Readers: []admin.ReaderStatus{{Channel: "x", Queued: queued, Oldest: oldest}}}
}

func TestHistory(t *testing.T) {
	r := NewRecorder()
	if h := r.history(0); h.Last != 0 || len(h.At) != 0 {
		t.Errorf("an empty recorder has %+v", h)
	}
	for i := 1; i <= 5; i++ {
		s := admin.Status{Run: "r", Queued: int64(i), Handlers: []admin.HandlerStatus{{Name: "h", Runs: int64(10 * i), Failed: 1, Rejected: 2}}}
		if i != 3 {
			s.Peers = []admin.PeerStatus{reading("a", int64(i), at(i-2))}
		}
		r.sample(s, at(i))
	}
	h := r.history(2)
	if h.Run != "r" || h.Last != 5 || fmt.Sprint(h.Queued) != "[3 4 5]" || fmt.Sprint(h.Oldest) != "[0 2 2]" || h.At[0] != at(3).UnixMilli() {
		t.Errorf("after 2: %+v", h)
	}
	if len(h.Readers) != 1 || fmt.Sprint(h.Readers[0].Queued) != "[-1 4 5]" || fmt.Sprint(h.Readers[0].Oldest) != "[-1 2 2]" {
		t.Errorf("the reader: %+v", h.Readers)
	}
	if len(h.Handlers) != 1 || fmt.Sprint(h.Handlers[0].Runs) != "[30 40 50]" || fmt.Sprint(h.Handlers[0].Failed) != "[3 3 3]" {
		t.Errorf("the handler: %+v", h.Handlers)
	}
	for _, after := range []int64{5, 99} { // 99: a number of an earlier run
		if h := r.history(after); len(h.At) != 0 || h.Last != 5 {
			t.Errorf("after %d: %+v", after, h)
		}
	}
}

func TestHistoryIsBounded(t *testing.T) {
	r := NewRecorder()
	var crowd []admin.PeerStatus
	for i := range maxSeries + 10 {
		crowd = append(crowd, reading(fmt.Sprintf("n%03d", i), 1, start))
	}
	r.sample(admin.Status{Peers: crowd}, at(1))
	if len(r.readers) != maxSeries {
		t.Errorf("%d series", len(r.readers))
	}
	for i := 2; i <= maxSamples+1; i++ {
		r.sample(admin.Status{Queued: int64(i), Peers: []admin.PeerStatus{reading("late", int64(i), start)}}, at(i))
	}
	h := r.history(0)
	if len(h.At) != maxSamples || h.Queued[0] != 2 || h.Queued[maxSamples-1] != maxSamples+1 {
		t.Errorf("%d samples, from %d", len(h.At), h.Queued[0])
	}
	if len(h.Readers) != 0 {
		t.Errorf("%d readers left of those that have gone", len(h.Readers))
	}
	r.sample(admin.Status{Peers: []admin.PeerStatus{reading("late", 7, start)}}, at(maxSamples+2))
	if h := r.history(maxSamples + 1); len(h.Readers) != 1 || h.Readers[0].Queued[0] != 7 {
		t.Errorf("there is room again, and it has %+v", h.Readers)
	}
}

func TestEvents(t *testing.T) {
	r := NewRecorder()
	for i := range 500 {
		r.Event(Event{At: at(i / 100), Kind: "dead_letter", Node: "a", Text: fmt.Sprint(i)})
		if i == 3 {
			r.Event(Event{At: at(0), Kind: "disconnected"})
		}
	}
	got := r.eventsAfter(0).Events
	if len(got) != 2 || got[0].Kind != "disconnected" || got[1].Count != 500 || got[1].First != 1 || got[1].ID != 501 || got[1].Text != "499" {
		t.Errorf("a flood became %+v", got)
	}
	r.Event(Event{At: at(300), Kind: "dead_letter", Node: "a"}) // much later
	if got := r.eventsAfter(501).Events; len(got) != 1 || got[0].Count != 1 || got[0].First != 502 {
		t.Errorf("after the flood: %+v", got)
	}
	for i := range 2 * maxEvents {
		r.Event(Event{At: at(300), Kind: "member_joined", Node: fmt.Sprint(i)})
	}
	if got := r.eventsAfter(0).Events; len(got) != maxEvents || got[maxEvents-1].Node != fmt.Sprint(2*maxEvents-1) {
		t.Errorf("%d events are kept", len(got))
	}
}
