package link

import (
	"strings"
	"time"

	"github.com/getevo/rmds/engine/internal/wire"
)

// ackState is what decides when the receiver speaks.
type ackState struct {
	newsAt    time.Time // since when something is to be told; zero: nothing
	moved     bool      // Processed has moved since the last ack
	unacked   int       // frames taken since the last ack
	probed    bool      // the sender asks
	gap       bool      // frames beyond received have come
	gapNews   bool      // and more of them since the last ack
	gapAckAt  time.Time // of the last ack that reported this gap
	announced int64     // the last limit told

	repeatAt time.Time // when unconfirmed negatives are told again; zero: not now
	repeated int       // how often they were, since the sender was heard
	told     uint64    // highest number of a negative told
}

func (r *Receiver) news(now time.Time) {
	if r.newsAt.IsZero() {
		r.newsAt = now
	}
}

// heard notes a sign of life, and what the sender confirms with it.
func (r *Receiver) heard(now time.Time, confirmed uint64) {
	r.repeated = 0
	n := 0
	for n < len(r.negatives) && r.negatives[n].N <= confirmed {
		n++
	}
	r.negatives = r.negatives[n:]
	switch {
	case len(r.negatives) == 0:
		r.repeatAt = time.Time{}
	case n > 0 && r.negatives[len(r.negatives)-1].N > r.told: // room for those that did not fit
		r.probed = true
	case r.repeatAt.IsZero():
		r.repeatAt = now.Add(minRepeat)
	}
}

func (r *Receiver) onProbe(p *wire.Probe) {
	if p.Frame > r.received {
		r.gap, r.gapNews = true, true
	}
	r.probed = r.probed || p.Want
}

// AddNegative tells the sender that a message was set aside. It gives n its number; the acks repeat it until the sender
// has confirmed it; the owner calls Step afterwards. The reason is cut to 1 KiB.
func (r *Receiver) AddNegative(n wire.Negative) {
	r.numbered++
	n.N = r.numbered
	if len(n.Reason) > maxReason {
		n.Reason = strings.ToValidUTF8(n.Reason[:maxReason], "")
	}
	r.negatives = append(r.negatives, n)
	r.moved = true
}

// Step returns the ack that is due, or nil, and when to call it again at the latest; zero means only after an event.
// An ack is due at once if the sender asks, has lost frames, or may be standing still for want of an ack or of credit;
// otherwise when the oldest thing to tell is 2 ms old.
func (r *Receiver) Step(now time.Time) (ack *wire.Ack, next time.Time) {
	if r.err != nil {
		return nil, time.Time{}
	}
	if r.moved {
		r.news(now)
	}
	if !r.due(now) {
		return nil, r.nextAck()
	}
	if r.gap {
		r.gapAckAt = now
	}
	if len(r.negatives) > 0 {
		r.repeatAt = time.Time{}
		if r.repeated < repeats {
			r.repeatAt = now.Add(doubled(minRepeat, r.repeated, maxRepeat))
			r.repeated++
		}
	}
	return r.Ack(), r.nextAck()
}

func (r *Receiver) due(now time.Time) bool {
	if r.probed || r.unacked >= min(ackFrames, max(r.cfg.MaxFrames/4, 1)) || r.credited() {
		return true
	}
	next := r.nextAck()
	return !next.IsZero() && !now.Before(next)
}

// credited reports whether the sender is short of credit and there is a fair amount to be had.
func (r *Receiver) credited() bool {
	return r.announced-r.used < r.cfg.Window/4 && r.limit()-r.announced >= r.cfg.Window/8
}

// nextAck is when an ack is due that is not due for another reason.
func (r *Receiver) nextAck() time.Time {
	next := r.repeatAt
	earlier := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	if !r.newsAt.IsZero() {
		earlier(r.newsAt.Add(ackDelay))
	}
	if r.gapNews {
		earlier(r.gapAckAt.Add(gapPause))
	}
	return next
}

// Ack returns the receiver's full state at once, due or not, and counts as having told it.
func (r *Receiver) Ack() *wire.Ack {
	a := &wire.Ack{ID: r.cfg.ID, Domain: r.cfg.Domain,
		Received: r.received, Processed: r.processed, Limit: r.limit(), Gap: r.gap}
	size := 0
	for i := range r.negatives {
		n := &r.negatives[i]
		size += len(n.Channel) + len(n.Outcome) + len(n.Reason) + 40
		if i > 0 && size > maxNegatives {
			break
		}
		a.Negatives = append(a.Negatives, *n)
		r.told = max(r.told, n.N)
	}
	r.newsAt, r.moved, r.unacked, r.probed, r.gapNews, r.announced = time.Time{}, false, 0, false, false, a.Limit
	return a
}
