package link

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/getevo/rmds/engine/internal/wire"
)

// some returns a number of the kind that breaks arithmetic, or a small one.
func some(r *rand.Rand) uint64 {
	switch r.IntN(8) {
	case 0:
		return r.Uint64()
	case 1:
		return 1<<63 - 1
	case 2:
		return 1 << 63
	default:
		return r.Uint64N(8)
	}
}

// TestHostilePeers lets both sides talk to somebody who knows the link's ids and says anything at all. Neither may panic,
// deliver out of order, or hold more than its credit.
func TestHostilePeers(t *testing.T) {
	ids := []wire.LinkID{nonced, nonced, nonced, nonced, simID}
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		n := func() uint64 { return some(rnd) }
		s, units := newSender(), feed(1000)
		r, frame := newReceiver(), uint64(1)
		now, last := epoch, int64(0)
		for range 200 {
			now = now.Add(time.Duration(rnd.Int64N(int64(time.Second))))
			id := ids[rnd.IntN(len(ids))]
			s.OnFrame(now, []wire.Frame{
				&wire.Accept{ID: id, Credit: int64(n()), MaxMessage: int64(n())},
				&wire.Ack{ID: id, Received: n(), Processed: n(), Limit: int64(n()), Gap: rnd.IntN(2) == 0, Negatives: []wire.Negative{{N: n()}}},
				&wire.Ack{ID: id, Received: s.received + rnd.Uint64N(3), Processed: s.processed + rnd.Uint64N(2), Gap: rnd.IntN(2) == 0},
				&wire.Busy{ID: id},
			}[rnd.IntN(4)])
			s.Step(now, units)
			if f, _ := s.Outstanding(); f > windowFrames+1 {
				t.Fatalf("seed %d: %d frames outstanding", seed, f)
			}

			if rnd.IntN(2) == 0 {
				frame = r.received + 1
			} else {
				frame = n()
			}
			d := data(frame, last, last+1)
			d.ID, d.More, d.Confirmed = id, rnd.IntN(3) == 0, n()
			if rnd.IntN(20) == 0 {
				d.RawLen = int(n() & (1<<31 - 1))
			}
			out, err := r.OnFrame(now, []wire.Frame{
				d, d, d,
				&wire.Skip{ID: id, Frame: frame, Skips: []wire.SkipRec{{Member: 101, Prev: last, To: last + int64(rnd.IntN(3)), Count: int64(n())}}},
				&wire.Probe{ID: id, Frame: n(), Confirmed: n(), Want: true},
			}[rnd.IntN(5)])
			for i := range out {
				if out[i].Seq() <= last {
					t.Fatalf("seed %d: %d after %d", seed, out[i].Seq(), last)
				}
				last = out[i].Seq()
			}
			r.Step(now)
			if held := r.used - r.freed; held > r.Credit() {
				t.Fatalf("seed %d: %d held of a credit of %d", seed, held, r.Credit())
			}
			if err != nil {
				r, last = newReceiver(), 0
			}
		}
	}
}

// BenchmarkLink is a record's whole way over a clean channel: pulled, framed, decoded, delivered, processed, acknowledged.
func BenchmarkLink(b *testing.B) {
	const perBody = 400
	var recs []wire.Record
	u := Unit{Prev: []wire.Prev{{Member: 101}}}
	for i := range perBody {
		recs = append(recs, wire.Record{Seq: int64(i + 1), Channel: "a", Created: int64(i) * 5000, Content: make([]byte, 100)})
		u.Refs = append(u.Refs, Ref{101, int64(i + 1)})
	}
	u.Body = wire.Pack(nil, wire.AppendBlock(nil, recs), true)
	r := NewReceiver(ReceiverConfig{ID: nonced, Domain: "s", Window: 8 << 20, MaxMessage: 1 << 20, Members: members}, epoch)
	s := NewSender(SenderConfig{ID: simID, Open: wire.Open{Domain: "s"}, MaxFrame: 128 << 10}, epoch)
	s.Step(epoch, nothing)
	s.OnFrame(epoch, &wire.Accept{ID: nonced, Domain: "s", Credit: r.Credit(), MaxMessage: 1 << 20})
	ready, total, acks := 0, uint64(0), 0
	pull := func(int64) (Unit, bool) { ready--; return u, ready >= 0 }
	b.ReportAllocs()
	for b.Loop() {
		ready = 1
		frames, _ := s.Step(epoch, pull)
		for _, f := range frames {
			f, err := wire.Decode(wire.Encode(nil, f))
			if err != nil {
				b.Fatal(err)
			}
			out, err := r.OnFrame(epoch, f)
			if err != nil {
				b.Fatal(err)
			}
			total += uint64(len(out))
		}
		r.Processed(total)
		if ack, _ := r.Step(epoch); ack != nil {
			acks++
			s.OnFrame(epoch, ack)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(total), "ns/record")
	b.ReportMetric(float64(acks)/float64(total/perBody), "acks/frame")
}
