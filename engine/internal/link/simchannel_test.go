package link

import (
	"bytes"
	"time"

	"github.com/getevo/rmds/engine/internal/wire"
)

// carry publishes a frame: it arrives late, twice, damaged or never, as the faults have it.
func (s *sim) carry(f wire.Frame, fl faults, arrive func(wire.Frame)) {
	s.frames++
	b := wire.Encode(nil, f)
	if len(b) > s.w.maxFrame {
		if _, ack := f.(*wire.Ack); !ack {
			s.t.Fatalf("seed %d: frame of %d bytes, at most %d", s.w.seed, len(b), s.w.maxFrame)
		}
	}
	since := s.now.Sub(epoch)
	down := since >= s.w.outage[0] && since < s.w.outage[1]
	if down || s.w.drop != nil && s.w.drop(s.frames, f) {
		return
	}
	copies := 1
	if s.rnd.Float64() < fl.duplicate {
		copies = 2
	}
	for range copies {
		if s.rnd.Float64() < fl.loss {
			continue
		}
		c := bytes.Clone(b)
		if s.rnd.Float64() < fl.corrupt {
			c[s.rnd.IntN(len(c))] ^= 1 << s.rnd.IntN(8)
		}
		d := s.w.delay
		if s.rnd.Float64() < fl.reorder {
			d += time.Duration(s.rnd.Int64N(int64(3*s.w.delay) + 1))
		}
		s.at(d, func() {
			if f, err := wire.Decode(c); err == nil {
				arrive(f)
			}
		})
	}
}
