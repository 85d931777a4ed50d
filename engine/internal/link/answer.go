package link

import (
	"fmt"
	"time"

	"github.com/getevo/rmds/engine/internal/wire"
)

// OnFrame takes a frame from the receiver and returns what it means to the owner, who calls Step afterwards. Frames of
// other links, late ones and repeated ones mean nothing.
func (s *Sender) OnFrame(now time.Time, f wire.Frame) []SenderEvent {
	switch f := f.(type) {
	case *wire.Accept:
		if s.state == opening && s.mine(f.ID) {
			return s.onAccept(now, f)
		}
	case *wire.Busy:
		if s.state == opening && s.mine(f.ID) {
			s.openAt = now.Add(doubled(minBusy, s.busy, maxBusy))
			s.busy++
		}
	case *wire.Refuse:
		if s.state == opening && s.mine(f.ID) {
			return s.fail(Broken{Reason: f.Reason, Refused: true})
		}
	case *wire.Reset:
		if s.state == opening && s.mine(f.ID) || s.state == open && f.ID == s.id {
			return s.fail(Broken{Reason: f.Reason})
		}
	case *wire.Ack:
		if s.state == open && f.ID == s.id {
			return s.onAck(now, f)
		}
	}
	return nil
}

// mine reports whether a frame answers this sender's Open.
func (s *Sender) mine(id wire.LinkID) bool {
	return id.Run == s.cfg.ID.Run && id.Number == s.cfg.ID.Number
}

func (s *Sender) fail(b Broken) []SenderEvent {
	s.state = broken
	s.queue, s.units, s.held, s.out, s.raw = nil, nil, nil, nil, 0
	return []SenderEvent{b}
}

func (s *Sender) onAccept(now time.Time, a *wire.Accept) []SenderEvent {
	if s.opens == 1 && s.busy == 0 {
		s.rtt.sample(now.Sub(s.openSentAt))
	}
	s.state, s.id = open, a.ID
	s.credit, s.maxMessage = max(a.Credit, 0), max(a.MaxMessage, 0)
	s.limit = s.credit
	return []SenderEvent{Opened{a}}
}

func (s *Sender) onAck(now time.Time, a *wire.Ack) []SenderEvent {
	switch {
	case a.Received > s.highest():
		return s.fail(Broken{Reason: fmt.Sprintf("ack of frame %d, sent were %d", a.Received, s.highest())})
	case a.Processed > s.pulled:
		return s.fail(Broken{Reason: fmt.Sprintf("ack of %d records, sent were %d", a.Processed, s.pulled)})
	}
	var events []SenderEvent
	moved := a.Received > s.received || a.Processed > s.processed || a.Limit > s.limit
	s.limit = max(s.limit, a.Limit)
	if a.Received > s.received {
		s.free(now, int(a.Received-s.received))
	}
	if a.Processed > s.processed {
		events = append(events, Progress{s.process(a.Processed - s.processed)})
	}
	if fresh := s.fresh(a.Negatives); len(fresh) > 0 {
		events = append(events, Negatives{fresh})
	}
	s.confirm = s.confirm || len(a.Negatives) > 0
	if a.Gap && a.Received == s.received && s.next > 0 && s.mayRewind(now) {
		s.rewind(now, max(min(s.window, s.next)/2, 4))
		moved = true
	}
	if moved { // the receiver is there and gets on
		s.timer, s.backoff = time.Time{}, 0
		s.arm(now)
	}
	return events
}

// mayRewind keeps many acks of one gap from sending everything many times: once in a round trip is enough, or as soon as
// the gap is another one.
func (s *Sender) mayRewind(now time.Time) bool {
	trip := s.rtt.smooth
	if trip == 0 {
		trip = minRTO
	}
	return s.rewoundAt.IsZero() || s.received > s.rewoundTo || now.Sub(s.rewoundAt) >= trip
}

// free drops the first n frames of the queue, which the receiver has.
func (s *Sender) free(now time.Time, n int) {
	last := &s.queue[n-1]
	if !last.resent {
		s.rtt.sample(now.Sub(last.sentAt))
	}
	for i := range n {
		if i < s.next {
			s.inFlight -= s.queue[i].size
		}
	}
	clear(s.queue[:n])
	s.queue = s.queue[n:]
	s.next, s.high = max(s.next-n, 0), s.high-n
	s.received += uint64(n)
	s.window = min(s.window+n, windowFrames)
}

// process takes the first n items off the units and sums them up by membership.
func (s *Sender) process(n uint64) []Moved {
	s.processed += n
	var moved []Moved
	at := map[uint64]int{}
	add := func(member uint64, seq, count int64) {
		i := len(moved) - 1
		if i < 0 || moved[i].Member != member {
			var ok bool
			if i, ok = at[member]; !ok {
				i = len(moved)
				at[member] = i
				moved = append(moved, Moved{Member: member})
			}
		}
		moved[i].Seq = max(moved[i].Seq, seq)
		moved[i].Count += count
	}
	for ; n > 0; n-- {
		u := &s.units[0]
		if len(u.Skips) > 0 {
			k := &u.Skips[s.headDone]
			add(k.Member, k.To, k.Count)
		} else {
			r := u.Refs[s.headDone]
			add(r.Member, r.Seq, 1)
		}
		if s.headDone++; s.headDone == u.items() {
			s.raw -= int64(u.Body.RawLen)
			*u, s.headDone = Unit{}, 0
			s.units = s.units[1:]
		}
	}
	return moved
}

// fresh returns those negatives that have not been reported yet. Their numbers rise without gaps; anything else waits
// until the receiver repeats it.
func (s *Sender) fresh(list []wire.Negative) []wire.Negative {
	var fresh []wire.Negative
	for _, n := range list {
		if n.N == s.negative+1 {
			fresh = append(fresh, n)
			s.negative++
		}
	}
	return fresh
}
