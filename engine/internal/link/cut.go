package link

import "github.com/getevo/rmds/engine/internal/wire"

// What the fields of frames take at most, besides the domain's name.
const (
	frameOverhead = 96 // all fixed fields of a Data or Skip frame, header and checksum
	prevSize      = 18
	skipSize      = 40 // without the reason
)

// cut turns a unit into frames of at most MaxFrame bytes at the end of the queue. Pieces alias the body.
func (s *Sender) cut(u *Unit) {
	room := max(s.cfg.MaxFrame-frameOverhead-len(s.cfg.Open.Domain), 256)
	if len(u.Skips) > 0 {
		s.cutSkips(u.Skips, room)
		return
	}
	prev, data := u.Prev, u.Body.Data
	for first := true; first || len(prev) > 0 || len(data) > 0; first = false {
		f := &wire.Data{ID: s.id, Domain: s.cfg.Open.Domain, Frame: s.number(), Confirmed: s.negative}
		if first {
			f.RawLen, f.Enc = u.Body.RawLen, u.Body.Enc
		}
		n := min(len(prev), room/2/prevSize)
		f.Prev, prev = prev[:n:n], prev[n:]
		n = min(len(data), room-n*prevSize)
		f.Piece, data = data[:n:n], data[n:]
		f.More = len(prev) > 0 || len(data) > 0
		s.queue = append(s.queue, flight{frame: f, size: n + frameOverhead})
	}
}

func (s *Sender) cutSkips(skips []wire.SkipRec, room int) {
	for len(skips) > 0 {
		n, size := 0, 0
		for n < len(skips) && (n == 0 || size+skipSize+len(skips[n].Reason) <= room) {
			size += skipSize + len(skips[n].Reason)
			n++
		}
		f := &wire.Skip{ID: s.id, Domain: s.cfg.Open.Domain, Frame: s.number(), Confirmed: s.negative, Skips: skips[:n:n]}
		s.queue = append(s.queue, flight{frame: f, size: size + frameOverhead})
		skips = skips[n:]
	}
}

// number is the number of the next frame to join the queue.
func (s *Sender) number() uint64 { return s.received + uint64(len(s.queue)) + 1 }
