package link

import (
	"github.com/getevo/rmds/engine/internal/wire"
)

// logItem is an entry of the sender's log: a record or a skip.
type logItem struct {
	rec  wire.Record
	ref  Ref
	prev int64
	skip *wire.SkipRec
}

// makeLog fills the log of the sender's owner: four memberships, with gaps between the seqs.
func (s *sim) makeLog() {
	last := map[uint64]int64{}
	seq := int64(0)
	for range s.w.items {
		seq += 1 + s.rnd.Int64N(3)
		channel := []string{"a", "b", "c", ""}[s.rnd.IntN(4)]
		m := members[channel]
		it := logItem{ref: Ref{m, seq}, prev: last[m]}
		if s.rnd.Float64() < s.w.skips {
			it.skip = &wire.SkipRec{Member: m, Prev: last[m], To: seq, Reason: "purged", Count: 1 + s.rnd.Int64N(5)}
		} else {
			it.rec = wire.Record{Seq: seq, Channel: channel, Created: seq * 1000, Content: make([]byte, s.w.size(s.rnd))}
			if s.rnd.IntN(2) == 0 { // half of them cannot be compressed
				for i := range it.rec.Content {
					it.rec.Content[i] = byte(s.rnd.Uint32())
				}
			}
			if channel == "" {
				it.rec.Channel, it.rec.To = "replies", "me"
			}
		}
		last[m] = seq
		s.log = append(s.log, it)
	}
}

// pull is the sender's owner: it packs up to 20 records, or the skips that come next.
func (s *sim) pull(maxRaw int64) (u Unit, ok bool) {
	var recs []wire.Record
	raw := int64(1)
	for s.pulled < s.ready && len(recs)+len(u.Skips) < 20 {
		it := &s.log[s.pulled]
		if it.skip != nil {
			if len(recs) > 0 {
				break
			}
			u.Skips = append(u.Skips, *it.skip)
			s.pulled++
			continue
		}
		raw += int64(len(it.rec.Content)) + 40
		if len(u.Skips) > 0 || raw > maxRaw || len(recs) > 0 && raw > 48<<10 {
			break
		}
		known := false
		for _, p := range u.Prev {
			known = known || p.Member == it.ref.Member
		}
		if !known {
			u.Prev = append(u.Prev, wire.Prev{Member: it.ref.Member, Seq: it.prev})
		}
		recs = append(recs, it.rec)
		u.Refs = append(u.Refs, it.ref)
		s.pulled++
	}
	if len(recs) > 0 {
		u.Body = wire.Pack(nil, wire.AppendBlock(nil, recs), s.rnd.IntN(2) == 0)
	}
	return u, len(recs)+len(u.Skips) > 0
}
