package link

import (
	"time"

	"github.com/getevo/rmds/engine/internal/wire"
)

// SenderConfig is what a link is opened with.
type SenderConfig struct {
	ID       wire.LinkID // the sender's run and a link number that is higher than any before to this node; no nonce
	Open     wire.Open   // ID is filled in; Now is kept up with the time that passes
	MaxFrame int         // bytes of a whole frame, at least 512
}

// Sender is the sending side of a link.
//
//	opening ──Accept──► open ──Reset, nonsense──► broken
//	   │ Open, again and again; Busy: soon again     ▲
//	   └──────────────────────────Refuse, Reset──────┘
//
// While open, queue holds the frames of the units pulled and not known to be received:
//
//	received │ sent: in flight │ to be sent │
//	         └ queue[0]        └ queue[next]└ len(queue): Pull for more
//
// A gap or a timeout moves next back to 0.
type Sender struct {
	cfg   SenderConfig
	start time.Time
	state senderState

	openAt     time.Time // when the next Open is due
	openSentAt time.Time
	opens      int // sent since the last Kick
	busy       int // Busy answers in a row

	id         wire.LinkID // with the nonce
	credit     int64       // the first limit
	maxMessage int64

	queue     []flight
	next      int    // index in queue of the next frame to transmit
	high      int    // index after the last frame ever transmitted
	inFlight  int    // bytes of queue[:next]
	window    int    // frames that may be in flight now: windowFrames, less after a loss
	received  uint64 // frames that the receiver has
	rewoundAt time.Time
	rewoundTo uint64 // received at the last rewind

	units     []Unit // pulled and not processed entirely
	headDone  int    // items of units[0] that are processed
	held      *Unit  // pulled, but the credit does not cover its records yet
	pulled    uint64 // items in all units
	processed uint64
	raw       int64 // bytes of the bodies in units
	used      int64 // credit taken
	limit     int64

	negative uint64 // highest number of a negative reported
	confirm  bool   // negatives have come and no frame with their number has gone out yet
	probe    bool   // a probe is due

	rtt     rtt
	backoff int       // timeouts in a row
	timer   time.Time // zero: nothing to wait for
	out     []wire.Frame
}

type senderState uint8

const (
	opening senderState = iota
	open
	broken
)

// flight is a frame that the receiver may not have yet.
type flight struct {
	frame  wire.Frame
	size   int
	sentAt time.Time
	resent bool
}

// NewSender returns a sender that opens its link with the first Step.
func NewSender(cfg SenderConfig, now time.Time) *Sender {
	cfg.ID.Nonce = 0
	cfg.Open.ID = cfg.ID
	return &Sender{cfg: cfg, start: now, openAt: now, window: windowFrames}
}

// Opened reports whether the receiver has accepted the link and it is not broken.
func (s *Sender) Opened() bool { return s.state == open }

// RTT returns the estimated round trip, or 0 before the first estimate.
func (s *Sender) RTT() time.Duration { return s.rtt.smooth }

// Outstanding returns the frames that the receiver is not known to have, and the raw bytes of bodies that it is not known
// to have processed.
func (s *Sender) Outstanding() (frames int, rawBytes int64) { return len(s.queue), s.raw }

// Kick makes the next Step open, send again or probe at once, with all back-off forgotten. The owner calls it when the
// bus has reconnected: what was sent meanwhile went nowhere.
func (s *Sender) Kick(now time.Time) {
	switch s.state {
	case opening:
		s.openAt, s.opens, s.busy = now, 0, 0
	case open:
		s.backoff, s.timer = 0, time.Time{} // the timer may be seconds away
		if s.next > 0 {
			s.rewind(now, max(s.window/2, 16))
		}
		s.probe = true
	}
}

// Step returns the frames to publish now, in order, and when to call it again at the latest: zero means only after an
// event (a frame, a Kick, or something new to pull). The slice is valid until the next Step.
func (s *Sender) Step(now time.Time, pull Pull) (frames []wire.Frame, next time.Time) {
	clear(s.out)
	s.out = s.out[:0]
	switch s.state {
	case opening:
		s.stepOpening(now)
		return s.out, s.openAt
	case broken:
		return nil, time.Time{}
	}
	if !s.timer.IsZero() && !now.Before(s.timer) {
		s.timeout(now)
	}
	for s.transmit(now) && s.pull(pull) {
	}
	if s.probe || s.confirm {
		s.out = append(s.out, &wire.Probe{ID: s.id, Domain: s.cfg.Open.Domain,
			Frame: s.highest(), Confirmed: s.negative, Want: s.probe})
	}
	s.probe, s.confirm = false, false
	s.arm(now)
	return s.out, s.timer
}

func (s *Sender) stepOpening(now time.Time) {
	if now.Before(s.openAt) {
		return
	}
	o := s.cfg.Open
	o.Now += now.Sub(s.start).Nanoseconds()
	s.out = append(s.out, &o)
	s.openSentAt = now
	s.openAt = now.Add(doubled(minOpen, s.opens, maxRTO))
	s.opens++
}

// timeout deals with silence: what is in flight goes again, or the receiver is asked for its state. A receiver that stays
// silent is only asked: it may be away for days, and data would go nowhere.
func (s *Sender) timeout(now time.Time) {
	s.timer = time.Time{}
	s.backoff++
	if s.next > 0 && s.backoff <= resendings {
		s.rewind(now, 2)
		return
	}
	s.probe = true
}

// rewind makes everything not received due again, with at most window frames in flight until acks let it grow.
func (s *Sender) rewind(now time.Time, window int) {
	s.next, s.inFlight = 0, 0
	s.window = min(window, windowFrames)
	s.rewoundAt, s.rewoundTo = now, s.received
}

// transmit sends what the window allows; true means that it allows more than there is.
func (s *Sender) transmit(now time.Time) bool {
	for s.next < s.window && (s.inFlight < windowBytes || s.next == 0) {
		if s.next == len(s.queue) {
			return true
		}
		f := &s.queue[s.next]
		if s.next < s.high {
			f.resent = true
		}
		f.sentAt = now
		s.out = append(s.out, f.frame)
		s.inFlight += f.size
		s.next++
		s.high = max(s.high, s.next)
	}
	return false
}

// pull takes the next unit into the queue, if the credit allows and there is one.
func (s *Sender) pull(pull Pull) bool {
	u := s.held
	if u == nil {
		room := s.limit - s.used
		switch {
		case s.pulled == s.processed: // the receiver takes one message of its largest size whatever it holds
			room = max(room, s.maxMessage+BodySlack)
		case room < min(64<<10, s.credit/4): // wait for room worth a frame
			return false
		}
		got, ok := pull(room)
		if !ok {
			return false
		}
		if got.items() == 0 {
			panic("link: unit without records")
		}
		u = &got
	}
	if s.pulled != s.processed && s.used+u.cost() > s.limit {
		s.held = u
		return false
	}
	s.held = nil
	s.used += u.cost()
	s.pulled += uint64(u.items())
	s.raw += int64(u.Body.RawLen)
	s.cut(u)
	s.confirm = false // the frames say what is confirmed
	s.units = append(s.units, Unit{Body: wire.Body{RawLen: u.Body.RawLen}, Refs: u.Refs, Skips: u.Skips})
	return true
}

// highest is the number of the last frame transmitted.
func (s *Sender) highest() uint64 { return s.received + uint64(s.high) }

// arm sets the timer while anything is unanswered, and stops it otherwise: an idle link is silent.
func (s *Sender) arm(now time.Time) {
	switch {
	case len(s.queue) == 0 && s.pulled == s.processed:
		s.timer, s.backoff = time.Time{}, 0
	case !s.timer.IsZero():
	case len(s.queue) > 0:
		s.timer = now.Add(s.rtt.timeout(s.backoff))
	default:
		s.timer = now.Add(min(max(s.rtt.timeout(0), minProbe)<<min(s.backoff, 8), maxRTO))
	}
}
