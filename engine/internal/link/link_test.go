package link

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/getevo/rmds/engine/internal/wire"
)

var (
	storm = faults{loss: 0.15, duplicate: 0.1, reorder: 0.1, corrupt: 0.05}
	tail  = func(r *rand.Rand) time.Duration { return time.Duration(r.Int64N(int64(2 * time.Millisecond))) }
)

// TestDelivery runs every kind of weather with many seeds: everything arrives exactly once, in order, the cursors end
// where the positions are, every negative is reported once, and then the link is silent.
func TestDelivery(t *testing.T) {
	seeds := uint64(40)
	if testing.Short() {
		seeds = 5
	}
	big := func(r *rand.Rand) int {
		if r.IntN(10) == 0 {
			return r.IntN(900 << 10)
		}
		return r.IntN(2000)
	}
	for _, c := range []struct {
		name string
		w    world
	}{
		{"clean", world{items: 500}},
		{"storm", world{items: 500, there: storm, back: storm, skips: 0.1, negatives: 0.1, busy: 3}},
		{"acks lost", world{items: 500, back: faults{loss: 0.6}, negatives: 0.3}},
		{"bodies in pieces", world{items: 60, there: storm, back: storm, size: big, maxFrame: 16 << 10, window: 2 << 20}},
		{"tiny frames", world{items: 60, there: storm, back: storm, size: func(r *rand.Rand) int { return r.IntN(3000) }, maxFrame: 512}},
		{"no credit", world{items: 100, there: storm, back: storm, size: big, handle: tail}},
		{"slow handler", world{items: 60, there: storm, back: storm, negatives: 0.2, handle: func(r *rand.Rand) time.Duration { return time.Duration(r.Int64N(int64(20 * time.Second))) }}},
		{"skips between data", world{items: 300, there: storm, back: storm, skips: 0.5}},
		{"bursts", world{items: 300, there: storm, back: storm, skips: 0.1, negatives: 0.1, burst: 7, every: 300 * time.Millisecond}},
		{"outage", world{items: 300, outage: [2]time.Duration{200 * time.Millisecond, 10 * time.Minute}, burst: 10, every: 30 * time.Millisecond, negatives: 0.1}},
		{"far away", world{items: 300, there: storm, back: storm, delay: 700 * time.Millisecond}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := range seeds {
				w := c.w
				w.seed = seed
				if w.delay == 0 {
					w.delay = 4 * time.Millisecond
				}
				s := newSim(t, w)
				s.run()
				s.check()
				if seed == 0 {
					t.Logf("%d items, %v: %d frames with data, %d of them again; %d probes, %d opens, %d acks", len(s.log), s.doneAt.Sub(epoch), s.data, s.data-len(s.bytesOf), s.probes, s.opens, s.acks)
				}
			}
		})
	}
}

// TestCleanStream wants a steady stream over a good network to cost nothing but its frames and an ack for eight of them.
func TestCleanStream(t *testing.T) {
	s := newSim(t, world{items: 20_000, delay: time.Millisecond, burst: 20, every: 100 * time.Microsecond})
	s.run()
	s.check()
	if again := s.data - len(s.bytesOf); again > 0 || s.probes > 0 || s.opens != 1 {
		t.Errorf("%d frames sent again, %d probes, %d opens", again, s.probes, s.opens)
	}
	if s.acks > s.data/8+10 {
		t.Errorf("%d acks for %d frames", s.acks, s.data)
	}
}

// TestLoneFrames wants no more than one ack for a frame that comes alone, its outcome included.
func TestLoneFrames(t *testing.T) {
	s := newSim(t, world{items: 100, delay: time.Millisecond, burst: 1, every: time.Second})
	s.run()
	s.check()
	if s.data != 100 || s.acks != 100 || s.probes > 0 {
		t.Errorf("%d frames, %d acks, %d probes for 100 messages", s.data, s.acks, s.probes)
	}
}

// TestHourLongHandler: what is received but not processed is not sent again; the sender asks every 5 s.
func TestHourLongHandler(t *testing.T) {
	s := newSim(t, world{items: 2, delay: time.Millisecond, handle: func(*rand.Rand) time.Duration { return time.Hour }})
	s.run()
	s.check()
	if again := s.data - len(s.bytesOf); again > 0 {
		t.Errorf("%d frames sent again", again)
	}
	if s.probes < 2*700 || s.probes > 2*740 {
		t.Errorf("%d probes in 2 hours, want one in 5 s", s.probes)
	}
}

// TestLostLast loses one frame at each place of a short exchange, and each pair of neighbours.
func TestLostLast(t *testing.T) {
	for width := 1; width <= 2; width++ {
		for lost := 1; lost < 20; lost++ {
			s := newSim(t, world{items: 30, delay: time.Millisecond, negatives: 0.2, burst: 10, every: 20 * time.Millisecond,
				drop: func(n int, _ wire.Frame) bool { return n >= lost && n < lost+width }})
			s.run()
			s.check()
			if d := s.doneAt.Sub(epoch); d > 2*time.Second {
				t.Errorf("frames %d..%d lost: repaired after %v", lost, lost+width-1, d)
			}
		}
	}
}

// TestGapIsRepairedWithinARoundTrip: a frame lost from the middle of a stream does not wait for a timer.
func TestGapIsRepairedWithinARoundTrip(t *testing.T) {
	done := false
	s := newSim(t, world{items: 400, delay: 10 * time.Millisecond, drop: func(_ int, f wire.Frame) bool {
		d, ok := f.(*wire.Data)
		lose := ok && d.Frame == 5 && !done
		done = done || lose
		return lose
	}})
	s.run()
	s.check()
	if d := s.doneAt.Sub(epoch); d > 85*time.Millisecond { // eight trips one way, and the delay of the last ack
		t.Errorf("took %v", d)
	}
	if again := s.data - len(s.bytesOf); again != len(s.bytesOf)-4 {
		t.Errorf("%d of %d frames sent again, want those from the 5th once", again, len(s.bytesOf))
	}
}

// TestAbsentReceiver: nothing but a probe every 5 s goes to a receiver that is away, and a Kick finds it at once.
func TestAbsentReceiver(t *testing.T) {
	s := newSim(t, world{items: 2000, delay: time.Millisecond, size: func(*rand.Rand) int { return 1000 },
		outage: [2]time.Duration{3 * time.Millisecond, time.Hour}})
	s.at(time.Hour+time.Second, func() {
		if unsent := s.data - len(s.bytesOf); unsent > 4 || s.probes > 730 {
			t.Errorf("%d frames sent again and %d probes to a receiver that is away", unsent, s.probes)
		}
		s.snd.Kick(s.now)
		s.stepSender()
	})
	s.run()
	s.check()
	if d := s.doneAt.Sub(epoch) - time.Hour; d > 2*time.Second {
		t.Errorf("done %v after the outage", d)
	}
}

// TestLargeBody: a message of the largest size passes though window and credit are smaller.
func TestLargeBody(t *testing.T) {
	s := newSim(t, world{items: 3, delay: time.Millisecond, window: 1, maxMessage: 8 << 20, maxFrame: 8 << 10,
		size: func(*rand.Rand) int { return 8 << 20 }})
	s.run()
	s.check()
	if s.data < 1000 {
		t.Errorf("%d frames: the bodies were meant to be in many pieces", s.data)
	}
}
