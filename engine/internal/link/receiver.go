package link

import (
	"errors"
	"fmt"
	"time"

	"github.com/getevo/rmds/engine/internal/wire"
)

// ReceiverConfig is what a link is accepted with.
type ReceiverConfig struct {
	ID         wire.LinkID       // as in the Open, with a fresh nonce
	Domain     string            // as in the Open
	Window     int64             // credit: how much may be unprocessed here, bytes; raised to what one message needs
	MaxMessage int64             // the largest content that is taken, bytes
	MaxFrames  int               // frames that the sender has in flight at most; 0 means 1024
	Members    map[string]uint64 // by channel, of its broadcasts; "": of what is addressed to this node
}

// Receiver is the receiving side of a link. It is made when an Open is accepted: the first Ack.Limit is Credit, which the
// Accept must state. It takes frames in order only and holds no record back: what it delivers is the owner's, who
// reports by Processed.
type Receiver struct {
	cfg     ReceiverConfig
	members map[uint64]bool
	err     error

	received  uint64 // frames taken
	body      *partial
	delivered uint64 // items handed to the owner
	processed uint64
	taken     []taken // units delivered and not processed entirely, oldest first
	used      int64   // credit that the sender has used
	freed     int64   // and got back

	negatives []wire.Negative // not confirmed, numbers rising by 1
	numbered  uint64          // number of the last negative
	ackState
}

// partial is a body of which some pieces are missing.
type partial struct {
	rawLen int
	enc    uint8
	prev   []wire.Prev
	data   []byte
}

// taken is the credit of one unit, given back when the item with the number end is processed.
type taken struct {
	end  uint64
	cost int64
}

// Delivered is one record, or skip record, in the order of the sender's log.
type Delivered struct {
	Member uint64
	Record wire.Record
	Prev   int64         // the seq before it in this membership; whoever keeps the position compares
	Skip   *wire.SkipRec // instead of a record
}

// Seq is where the membership's position stands once this has been dealt with.
func (d *Delivered) Seq() int64 {
	if d.Skip != nil {
		return d.Skip.To
	}
	return d.Record.Seq
}

// NewReceiver returns a receiver for a link that its owner is about to accept.
func NewReceiver(cfg ReceiverConfig, now time.Time) *Receiver {
	cfg.Window = max(cfg.Window, cfg.MaxMessage+BodySlack)
	if cfg.MaxFrames <= 0 {
		cfg.MaxFrames = windowFrames
	}
	r := &Receiver{cfg: cfg, members: make(map[uint64]bool, len(cfg.Members))}
	for _, id := range cfg.Members {
		r.members[id] = true
	}
	r.announced = cfg.Window
	return r
}

// Credit is the first limit, for the Accept.
func (r *Receiver) Credit() int64 { return r.cfg.Window }

// OnFrame takes a Data, Skip or Probe frame of this link; others are ignored. It returns what the frame completes; the
// owner calls Step afterwards, and Processed as the outcomes are committed. An error means that the sender breaks the
// protocol: the owner resets the link. Every later call returns it again.
func (r *Receiver) OnFrame(now time.Time, f wire.Frame) (out []Delivered, err error) {
	if r.err != nil {
		return nil, r.err
	}
	switch f := f.(type) {
	case *wire.Data:
		if f.ID == r.cfg.ID && r.arrived(now, f.Frame, f.Confirmed) {
			out, err = r.onData(f)
		}
	case *wire.Skip:
		if f.ID == r.cfg.ID && r.arrived(now, f.Frame, f.Confirmed) {
			out, err = r.onSkip(f)
		}
	case *wire.Probe:
		if f.ID == r.cfg.ID {
			r.heard(now, f.Confirmed)
			r.onProbe(f)
		}
	}
	if err != nil {
		r.err = fmt.Errorf("link: %w", err)
		return nil, r.err
	}
	return out, nil
}

// arrived counts a numbered frame and reports whether it is the next one.
func (r *Receiver) arrived(now time.Time, n, confirmed uint64) bool {
	r.heard(now, confirmed)
	switch {
	case n <= r.received: // sent again: the acks of it were lost
		r.news(now)
		return false
	case n > r.received+1:
		r.gap, r.gapNews = true, true
		return false
	}
	r.received++
	r.unacked++
	r.gap, r.gapNews, r.gapAckAt = false, false, time.Time{}
	r.news(now)
	return true
}

func (r *Receiver) onData(f *wire.Data) ([]Delivered, error) {
	if r.body == nil {
		if err := r.admit(f.RawLen, 0); err != nil {
			return nil, err
		}
		if !f.More {
			return r.unpack(f.Prev, wire.Body{Enc: f.Enc, RawLen: f.RawLen, Data: f.Piece})
		}
		r.body = &partial{rawLen: f.RawLen, enc: f.Enc}
	}
	b := r.body
	switch {
	case len(f.Piece)+len(f.Prev) == 0:
		return nil, errors.New("empty piece of a body")
	case len(b.data)+len(f.Piece) > b.rawLen:
		return nil, fmt.Errorf("piece of %d bytes after %d of a body of %d", len(f.Piece), len(b.data), b.rawLen)
	case len(b.prev)+len(f.Prev) > len(r.cfg.Members):
		return nil, fmt.Errorf("body of more than %d memberships", len(r.cfg.Members))
	}
	b.prev = append(b.prev, f.Prev...)
	b.data = append(b.data, f.Piece...)
	if f.More {
		return nil, nil
	}
	r.body = nil
	return r.unpack(b.prev, wire.Body{Enc: b.enc, RawLen: b.rawLen, Data: b.data})
}

// admit refuses what exceeds the credit, or the largest message. With nothing unprocessed the credit does not matter.
func (r *Receiver) admit(rawLen, items int) error {
	if most := r.cfg.MaxMessage + BodySlack; int64(rawLen) > most {
		return fmt.Errorf("body of %d bytes, at most %d", rawLen, most)
	}
	if used := r.used + cost(rawLen, items); used > r.limit() && r.delivered > r.processed {
		return fmt.Errorf("credit of %d exceeded by %d", r.limit(), used-r.limit())
	}
	return nil
}

// unpack turns a complete body into what it delivers.
func (r *Receiver) unpack(prev []wire.Prev, b wire.Body) ([]Delivered, error) {
	raw, err := b.Unpack(b.RawLen)
	if err != nil {
		return nil, err
	}
	recs, err := wire.DecodeBlock(raw)
	if err != nil {
		return nil, err
	}
	if len(recs) == 0 {
		return nil, errors.New("body without records")
	}
	if err := r.admit(b.RawLen, len(recs)); err != nil {
		return nil, err
	}
	c, err := newChain(r.cfg.Members, prev)
	if err != nil {
		return nil, err
	}
	out := make([]Delivered, len(recs))
	for i := range recs {
		out[i].Record = recs[i]
		if err := c.link(&out[i]); err != nil {
			return nil, err
		}
	}
	if err := c.complete(); err != nil {
		return nil, err
	}
	r.take(len(out), cost(b.RawLen, len(out)))
	return out, nil
}

func (r *Receiver) onSkip(f *wire.Skip) ([]Delivered, error) {
	switch {
	case r.body != nil:
		return nil, errors.New("skip between the pieces of a body")
	case len(f.Skips) == 0:
		return nil, errors.New("skip frame without skips")
	}
	if err := r.admit(0, len(f.Skips)); err != nil {
		return nil, err
	}
	out := make([]Delivered, len(f.Skips))
	for i := range f.Skips {
		k := &f.Skips[i]
		if !r.members[k.Member] || k.Prev < 0 || k.To <= k.Prev || k.Count < 0 {
			return nil, fmt.Errorf("skip from %d to %d of %d messages for membership %x", k.Prev, k.To, k.Count, k.Member)
		}
		out[i] = Delivered{Member: k.Member, Prev: k.Prev, Skip: k}
	}
	r.take(len(out), cost(0, len(out)))
	return out, nil
}

func (r *Receiver) take(items int, cost int64) {
	r.delivered += uint64(items)
	r.used += cost
	r.taken = append(r.taken, taken{r.delivered, cost})
}

// limit is the credit given since the link was opened.
func (r *Receiver) limit() int64 { return r.freed + r.cfg.Window }

// Processed says how many of the delivered items, counted from the first, have their outcome on disk. It gives credit
// back; the owner calls Step afterwards. Lower totals than before are ignored; a total above what was delivered is a
// fault of the owner that would lose messages, and panics.
func (r *Receiver) Processed(total uint64) {
	if total > r.delivered {
		panic(fmt.Sprintf("link: %d items processed, %d delivered", total, r.delivered))
	}
	if total <= r.processed {
		return
	}
	r.processed = total
	n := 0
	for ; n < len(r.taken) && r.taken[n].end <= total; n++ {
		r.freed += r.taken[n].cost
	}
	r.taken = r.taken[n:]
	r.moved = true
}
