package link

import (
	"math/rand/v2"
	"testing"
	"time"
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
					t.Logf("%d items, %v: %d frames with data, %d of them again; %d probes, %d opens, %d acks", len(s.log), s.now.Sub(epoch), s.data, s.data-len(s.bytesOf), s.probes, s.opens, s.acks)
				}
			}
		})
	}
}
