package link

import (
	"bytes"
	"container/heap"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/getevo/rmds/engine/internal/wire"
)

// faults of one direction of the fake channel, as probabilities.
type faults struct{ loss, duplicate, reorder, corrupt float64 }

// world is what a simulation runs in.
type world struct {
	seed       uint64
	items      int // records and skips in the sender's log
	there      faults
	back       faults
	delay      time.Duration                    // one way
	size       func(r *rand.Rand) int           // of contents
	handle     func(r *rand.Rand) time.Duration // a handler's time for one item
	skips      float64                          // share of skip records
	negatives  float64                          // share of items set aside by the receiver
	busy       int                              // Busy answers before the link is accepted
	window     int64
	maxMessage int64
	maxFrame   int
	burst      int           // items that appear in the log at a time; 0: all at once
	every      time.Duration // between bursts
	outage     [2]time.Duration
	drop       func(n int, f wire.Frame) bool // further frames to lose; n counts frames of both directions
	maxTime    time.Duration
}

// sim joins a Sender, a Receiver and their owners through a lossy channel in virtual time. Everything random comes from
// one seed; nothing waits.
type sim struct {
	t   testing.TB
	w   world
	rnd *rand.Rand
	now time.Time
	evs events
	n   int // events so far: ties in time go in order

	log    []logItem
	ready  int // items that the log has so far
	pulled int

	snd      *Sender
	sndWake  time.Time
	opened   int
	rcv      *Receiver
	accept   *wire.Accept
	rcvWake  time.Time
	busyLeft int

	doneAt   time.Time // of the last progress
	got      int       // items delivered
	handled  int
	running  bool
	position map[uint64]int64
	moved    map[uint64]Moved
	negGiven []wire.Negative
	negHeard []wire.Negative
	bytesOf  map[uint64][]byte // of frames by number: sent again, they must be the same
	frames   int               // published by either side
	data     int               // Data and Skip frames published
	probes   int
	opens    int
	acks     int
	maxHeld  int64 // most credit in use at the receiver
}

var (
	epoch   = time.Unix(1_700_000_000, 0)
	simID   = wire.LinkID{Run: 77, Number: 3}
	members = map[string]uint64{"a": 101, "b": 102, "c": 103, "": 199}
)

type event struct {
	at time.Time
	n  int
	fn func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || e[i].at.Equal(e[j].at) && e[i].n < e[j].n
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func newSim(t testing.TB, w world) *sim {
	if w.size == nil {
		w.size = func(r *rand.Rand) int { return r.IntN(200) }
	}
	if w.maxFrame == 0 {
		w.maxFrame = 64 << 10
	}
	if w.maxMessage == 0 {
		w.maxMessage = 1 << 20
	}
	if w.maxTime == 0 {
		w.maxTime = 4 * time.Hour
	}
	s := &sim{t: t, w: w, rnd: rand.New(rand.NewPCG(w.seed, 99)), now: epoch, busyLeft: w.busy,
		position: map[uint64]int64{}, moved: map[uint64]Moved{}, bytesOf: map[uint64][]byte{}}
	s.makeLog()
	s.snd = NewSender(SenderConfig{ID: simID, Open: wire.Open{Domain: "s", StoreID: 5, Now: s.now.UnixNano()}, MaxFrame: w.maxFrame}, s.now)
	return s
}

func (s *sim) at(d time.Duration, fn func()) {
	s.n++
	heap.Push(&s.evs, event{s.now.Add(d), s.n, fn})
}

func (s *sim) stepSender() {
	frames, next := s.snd.Step(s.now, s.pull)
	for _, f := range frames {
		switch f := f.(type) {
		case *wire.Data:
			s.data++
			s.sameBytes(f.Frame, f)
		case *wire.Skip:
			s.data++
			s.sameBytes(f.Frame, f)
		case *wire.Probe:
			s.probes++
		case *wire.Open:
			s.opens++
		}
		s.carry(f, s.w.there, s.atReceiver)
	}
	s.sndWake = next
	s.wake(next, &s.sndWake, s.stepSender)
}

func (s *sim) sameBytes(n uint64, f wire.Frame) {
	b := wire.Encode(nil, f)
	if old, ok := s.bytesOf[n]; ok && !bytes.Equal(old, b) {
		s.t.Fatalf("seed %d: frame %d sent again with other bytes", s.w.seed, n)
	}
	s.bytesOf[n] = b
}

// wake calls step at the time, unless another one was named meanwhile.
func (s *sim) wake(at time.Time, current *time.Time, step func()) {
	if at.IsZero() {
		return
	}
	s.at(max(at.Sub(s.now), 0), func() {
		if current.Equal(at) {
			step()
		}
	})
}

func (s *sim) atReceiver(f wire.Frame) {
	if o, ok := f.(*wire.Open); ok {
		s.onOpen(o)
		return
	}
	if s.rcv == nil {
		return
	}
	out, err := s.rcv.OnFrame(s.now, f)
	if err != nil {
		s.t.Fatalf("seed %d: %v", s.w.seed, err)
	}
	for i := range out {
		s.deliver(&out[i])
	}
	s.maxHeld = max(s.maxHeld, s.rcv.used-s.rcv.freed)
	s.stepReceiver()
	s.runHandler()
}

func (s *sim) onOpen(o *wire.Open) {
	if want := s.now.Add(-s.w.delay).UnixNano(); o.Now > want || o.Now < want-int64(4*s.w.delay) {
		s.t.Fatalf("seed %d: open says it is %d, sent about %d", s.w.seed, o.Now, want)
	}
	if s.busyLeft > 0 {
		s.busyLeft--
		s.carry(&wire.Busy{ID: o.ID, Domain: o.Domain}, s.w.back, s.atSender)
		return
	}
	if s.rcv == nil {
		id := o.ID
		id.Nonce = 4711
		s.rcv = NewReceiver(ReceiverConfig{ID: id, Domain: o.Domain, Window: s.w.window, MaxMessage: s.w.maxMessage, Members: members}, s.now)
		s.accept = &wire.Accept{ID: id, Domain: o.Domain, MaxMessage: s.w.maxMessage, Credit: s.rcv.Credit()}
	}
	s.carry(s.accept, s.w.back, s.atSender)
}

// deliver checks that what arrives is exactly the next item of the log.
func (s *sim) deliver(d *Delivered) {
	if s.got == len(s.log) {
		s.t.Fatalf("seed %d: delivered %d more than there is", s.w.seed, d.Seq())
	}
	it := &s.log[s.got]
	s.got++
	switch {
	case d.Member != it.ref.Member || d.Seq() != it.ref.Seq || (d.Skip != nil) != (it.skip != nil):
		s.t.Fatalf("seed %d: item %d is %x/%d, delivered %x/%d", s.w.seed, s.got, it.ref.Member, it.ref.Seq, d.Member, d.Seq())
	case d.Prev != s.position[d.Member]:
		s.t.Fatalf("seed %d: item %d says prev %d, position is %d", s.w.seed, s.got, d.Prev, s.position[d.Member])
	case d.Skip != nil && *d.Skip != *it.skip:
		s.t.Fatalf("seed %d: skip %+v, want %+v", s.w.seed, *d.Skip, *it.skip)
	case !bytes.Equal(d.Record.Content, it.rec.Content):
		s.t.Fatalf("seed %d: item %d has other content", s.w.seed, s.got)
	}
	s.position[d.Member] = d.Seq()
}

// runHandler is the receiver's owner: one item at a time, each in its time, then committed.
func (s *sim) runHandler() {
	if s.running || s.handled == s.got {
		return
	}
	if s.w.handle == nil { // what has come is committed together
		s.finish(s.got)
		return
	}
	s.running = true
	s.at(s.w.handle(s.rnd), func() {
		s.running = false
		s.finish(s.handled + 1)
		s.runHandler()
	})
}

func (s *sim) finish(through int) {
	for ; s.handled < through; s.handled++ {
		if it := &s.log[s.handled]; s.rnd.Float64() < s.w.negatives {
			n := wire.Negative{Run: 77, Seq: it.ref.Seq, Channel: "a", Outcome: "rejected", Reason: fmt.Sprint("no ", it.ref.Seq)}
			s.rcv.AddNegative(n)
			s.negGiven = append(s.negGiven, n)
		}
	}
	s.rcv.Processed(uint64(s.handled))
	s.stepReceiver()
}

func (s *sim) stepReceiver() {
	ack, next := s.rcv.Step(s.now)
	if ack != nil {
		s.acks++
		s.carry(ack, s.w.back, s.atSender)
	}
	s.rcvWake = next
	s.wake(next, &s.rcvWake, s.stepReceiver)
}

func (s *sim) atSender(f wire.Frame) {
	for _, e := range s.snd.OnFrame(s.now, f) {
		switch e := e.(type) {
		case Opened:
			s.opened++
		case Progress:
			s.doneAt = s.now
			for _, m := range e.Moved {
				old := s.moved[m.Member]
				if m.Seq <= old.Seq || m.Seq > s.position[m.Member] {
					s.t.Fatalf("seed %d: cursor moves from %d to %d, position is %d", s.w.seed, old.Seq, m.Seq, s.position[m.Member])
				}
				s.moved[m.Member] = Moved{m.Member, m.Seq, old.Count + m.Count}
			}
		case Negatives:
			s.negHeard = append(s.negHeard, e.List...)
		case Broken:
			s.t.Fatalf("seed %d: broken: %s", s.w.seed, e.Reason)
		}
	}
	if f, _ := s.snd.Outstanding(); f > 2*windowFrames+64 {
		s.t.Fatalf("seed %d: %d frames outstanding", s.w.seed, f)
	}
	s.stepSender()
}

// run goes on until nothing is left to happen, which is itself what most tests want to see: an idle link is silent.
func (s *sim) run() {
	s.grow()
	s.stepSender()
	for len(s.evs) > 0 {
		e := heap.Pop(&s.evs).(event)
		s.now = e.at
		if s.now.Sub(epoch) > s.w.maxTime {
			s.t.Fatalf("seed %d: no end after %v: %d of %d delivered, %d handled, sender waits for %v, receiver for %v",
				s.w.seed, s.w.maxTime, s.got, len(s.log), s.handled, s.sndWake.Sub(s.now), s.rcvWake.Sub(s.now))
		}
		e.fn()
	}
}

func (s *sim) grow() {
	if s.ready == len(s.log) {
		return
	}
	if s.w.burst == 0 {
		s.ready = len(s.log)
		return
	}
	s.ready = min(s.ready+s.w.burst, len(s.log))
	s.stepSender()
	s.at(s.w.every, s.grow)
}
