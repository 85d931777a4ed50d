package link

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/getevo/rmds/engine/internal/wire"
)

func newReceiver() *Receiver {
	return NewReceiver(ReceiverConfig{ID: nonced, Domain: "s", Window: 1 << 20, MaxMessage: 1 << 10, Members: members}, epoch)
}

// data makes a frame of some records of channel a, or as edited.
func data(frame uint64, prev int64, seqs ...int64) *wire.Data {
	var recs []wire.Record
	for _, s := range seqs {
		recs = append(recs, wire.Record{Seq: s, Channel: "a"})
	}
	return packed(frame, []wire.Prev{{Member: 101, Seq: prev}}, recs)
}

func packed(frame uint64, prev []wire.Prev, recs []wire.Record) *wire.Data {
	b := wire.Pack(nil, wire.AppendBlock(nil, recs), false)
	return &wire.Data{ID: nonced, Domain: "s", Frame: frame, Prev: prev, RawLen: b.RawLen, Enc: b.Enc, Piece: b.Data}
}

// TestReceiverRefuses lists what no correct sender does. Each must be an error, and stay one.
func TestReceiverRefuses(t *testing.T) {
	edited := func(edit func(d *wire.Data)) wire.Frame {
		d := data(1, 0, 1, 2)
		edit(d)
		return d
	}
	skip := func(k ...wire.SkipRec) wire.Frame { return &wire.Skip{ID: nonced, Frame: 1, Skips: k} }
	for name, f := range map[string]wire.Frame{
		"body too large":           edited(func(d *wire.Data) { d.RawLen = 1<<10 + BodySlack + 1 }),
		"other length":             edited(func(d *wire.Data) { d.RawLen++ }),
		"unknown encoding":         edited(func(d *wire.Data) { d.Enc = 9 }),
		"not a block":              edited(func(d *wire.Data) { d.Piece[0] = 99 }),
		"first piece too long":     edited(func(d *wire.Data) { d.RawLen, d.More = 1, true }),
		"empty piece":              edited(func(d *wire.Data) { d.More, d.Piece, d.Prev = true, nil, nil }),
		"no records":               packed(1, nil, nil),
		"no prev":                  edited(func(d *wire.Data) { d.Prev = nil }),
		"prev of another member":   edited(func(d *wire.Data) { d.Prev[0].Member = 102 }),
		"prev twice":               edited(func(d *wire.Data) { d.Prev = append(d.Prev, d.Prev[0]) }),
		"prev without a record":    edited(func(d *wire.Data) { d.Prev = append(d.Prev, wire.Prev{Member: 102}) }),
		"prev negative":            edited(func(d *wire.Data) { d.Prev[0].Seq = -1 }),
		"prev not below":           edited(func(d *wire.Data) { d.Prev[0].Seq = 1 }),
		"unknown channel":          packed(1, []wire.Prev{{Member: 101}}, []wire.Record{{Seq: 1, Channel: "x"}}),
		"neither channel nor to":   packed(1, []wire.Prev{{Member: 199}}, []wire.Record{{Seq: 1}}),
		"no skips":                 skip(),
		"skip of a stranger":       skip(wire.SkipRec{Member: 5, To: 1}),
		"skip backwards":           skip(wire.SkipRec{Member: 101, Prev: 4, To: 4}),
		"skip from below zero":     skip(wire.SkipRec{Member: 101, Prev: -4, To: 4}),
		"skip of a negative count": skip(wire.SkipRec{Member: 101, To: 4, Count: -1}),
	} {
		r := newReceiver()
		out, err := r.OnFrame(epoch, f)
		if err == nil {
			t.Errorf("%s: delivered %v", name, out)
			continue
		}
		if _, again := r.OnFrame(epoch, data(2, 2, 3)); again != err {
			t.Errorf("%s: then %v", name, again)
		}
		if ack, next := r.Step(epoch); ack != nil || !next.IsZero() {
			t.Errorf("%s: acks it: %v", name, ack)
		}
	}
	if out, err := newReceiver().OnFrame(epoch, data(1, 0, 1, 2)); err != nil || len(out) != 2 {
		t.Errorf("the frame that the cases vary: %v, %v", out, err)
	}
}

func TestSkipInsideABody(t *testing.T) {
	r := newReceiver()
	d := data(1, 0, 1)
	d.More, d.Piece = true, d.Piece[:1]
	if _, err := r.OnFrame(epoch, d); err != nil {
		t.Fatal(err)
	}
	if _, err := r.OnFrame(epoch, &wire.Skip{ID: nonced, Frame: 2, Skips: []wire.SkipRec{{Member: 101, To: 4}}}); err == nil {
		t.Error("accepted")
	}
}

// TestCreditIsEnforced: a sender that ignores its credit is cut off.
func TestCreditIsEnforced(t *testing.T) {
	r := newReceiver()
	recs := make([]wire.Record, 1000)
	for frame := uint64(1); frame < 30; frame++ {
		for i := range recs {
			recs[i] = wire.Record{Seq: int64(frame)*1000 + int64(i), Channel: "a"}
		}
		_, err := r.OnFrame(epoch, packed(frame, []wire.Prev{{Member: 101, Seq: recs[0].Seq - 1}}, recs))
		if err != nil {
			if held := r.used; held > r.Credit() || held < r.Credit()-80_000 {
				t.Errorf("cut off at %d of %d: %v", held, r.Credit(), err)
			}
			return
		}
	}
	t.Error("never cut off")
}

// TestCreditAdmitsOneUnit: with nothing unprocessed here, one unit is taken whatever it costs.
func TestCreditAdmitsOneUnit(t *testing.T) {
	r := newReceiver()
	r.cfg.Window = 1000
	recs := make([]wire.Record, 100)
	for i := range recs {
		recs[i] = wire.Record{Seq: int64(i + 1), Channel: "a"}
	}
	if _, err := r.OnFrame(epoch, packed(1, []wire.Prev{{Member: 101}}, recs)); err != nil {
		t.Error(err)
	}
}

func TestForeignFramesAreIgnored(t *testing.T) {
	r := newReceiver()
	d := data(1, 0, 1)
	d.ID.Nonce++
	for _, f := range []wire.Frame{d, &wire.Skip{ID: d.ID, Frame: 1}, &wire.Probe{ID: d.ID, Want: true}, &wire.Ack{ID: nonced}, &wire.Open{ID: nonced}} {
		if out, err := r.OnFrame(epoch, f); out != nil || err != nil {
			t.Errorf("%T: %v, %v", f, out, err)
		}
	}
	if ack, next := r.Step(epoch); ack != nil || !next.IsZero() {
		t.Errorf("acks it: %v", ack)
	}
}

// TestAckTiming is when acks are due: lone news after 2 ms, the eighth frame, a probe and a gap at once.
func TestAckTiming(t *testing.T) {
	r := newReceiver()
	step := func(at time.Duration, want bool, next time.Duration) {
		t.Helper()
		ack, n := r.Step(epoch.Add(at))
		if (ack != nil) != want {
			t.Errorf("at %v: ack %v, want %v", at, ack, want)
		}
		if next < 0 && !n.IsZero() || next >= 0 && n.Sub(epoch) != next {
			t.Errorf("at %v: next at %v, want %v", at, n.Sub(epoch), next)
		}
	}
	frame := uint64(0)
	more := func(at time.Duration) {
		t.Helper()
		frame++
		if _, err := r.OnFrame(epoch.Add(at), data(frame, int64(frame-1), int64(frame))); err != nil {
			t.Fatal(err)
		}
	}
	step(0, false, -1)
	more(0)
	step(0, false, 2*ms)
	r.Processed(1)
	step(1*ms, false, 2*ms)
	step(2*ms, true, -1)
	for range 7 {
		more(3 * ms)
		step(3*ms, false, 5*ms)
	}
	more(4 * ms)
	step(4*ms, true, -1)
	_, _ = r.OnFrame(epoch, &wire.Probe{ID: nonced, Frame: frame, Want: true})
	step(5*ms, true, -1)
	_, _ = r.OnFrame(epoch, &wire.Probe{ID: nonced, Frame: frame})
	step(6*ms, false, -1)
	_, _ = r.OnFrame(epoch.Add(7*ms), data(frame+2, 20, 21))
	step(7*ms, true, -1)
	_, _ = r.OnFrame(epoch.Add(8*ms), data(frame+3, 21, 22))
	step(8*ms, false, 12*ms) // the same gap
	step(12*ms, true, -1)
	more(13 * ms)
	step(13*ms, false, 15*ms)
	_, _ = r.OnFrame(epoch.Add(14*ms), data(frame+2, 21, 22))
	step(14*ms, true, -1) // another gap
	frame--
	more(20 * ms) // sent again: its ack was lost
	step(20*ms, false, 22*ms)
}

// TestCreditIsToldAtOnce: a sender near the end of its credit does not wait for 2 ms.
func TestCreditIsToldAtOnce(t *testing.T) {
	r := NewReceiver(ReceiverConfig{ID: nonced, Window: 1, MaxMessage: 100_000, Members: members}, epoch)
	most := int(r.Credit()) - 200
	content := make([]byte, most)
	out, err := r.OnFrame(epoch, packed(1, []wire.Prev{{Member: 101}}, []wire.Record{{Seq: 1, Channel: "a", Content: content}}))
	if err != nil || len(out) != 1 {
		t.Fatal(out, err)
	}
	if ack, _ := r.Step(epoch); ack != nil {
		t.Errorf("%+v though no credit has come back", ack)
	}
	r.Processed(1)
	if ack, _ := r.Step(epoch); ack == nil || ack.Limit != r.Credit()+r.used || ack.Processed != 1 {
		t.Errorf("%+v", ack)
	}
}

// TestNegativesAreRepeated: to a sender that is not heard, some times and then no more; and from the next sign of life on.
func TestNegativesAreRepeated(t *testing.T) {
	r := newReceiver()
	if _, err := r.OnFrame(epoch, data(1, 0, 1)); err != nil {
		t.Fatal(err)
	}
	r.AddNegative(wire.Negative{Seq: 1, Reason: strings.Repeat("ä", 5000)})
	r.Processed(1)
	now, acks := epoch, 0
	for range 1000 {
		ack, next := r.Step(now)
		if ack != nil {
			acks++
			if n := ack.Negatives; len(n) != 1 || n[0].N != 1 || n[0].Reason != strings.Repeat("ä", 512) {
				t.Fatalf("negatives %v", n)
			}
		}
		if next.IsZero() {
			break
		}
		now = next
	}
	if acks != repeats+1 || now.Sub(epoch) > time.Minute {
		t.Errorf("%d acks in %v", acks, now.Sub(epoch))
	}
	_, _ = r.OnFrame(now, &wire.Probe{ID: nonced, Frame: 1})
	if _, next := r.Step(now); next.IsZero() {
		t.Error("the sender is back and is not told")
	}
	_, _ = r.OnFrame(now, &wire.Probe{ID: nonced, Frame: 1, Confirmed: 1})
	if ack, next := r.Step(now); ack != nil || !next.IsZero() {
		t.Errorf("confirmed, and told again: %v", ack)
	}
}

// TestManyNegatives do not fit into one ack; every confirmation brings the next ones at once.
func TestManyNegatives(t *testing.T) {
	r := newReceiver()
	if _, err := r.OnFrame(epoch, data(1, 0, 1)); err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		r.AddNegative(wire.Negative{Seq: int64(i), Reason: strings.Repeat("r", 100)})
	}
	confirmed, acks := uint64(0), 0
	for confirmed < 1000 {
		ack, _ := r.Step(epoch.Add(2 * ms))
		if ack == nil {
			t.Fatalf("no ack after %d were confirmed", confirmed)
		}
		if b := wire.Encode(nil, ack); len(b) > maxNegatives+1<<10 {
			t.Fatalf("ack of %d bytes", len(b))
		}
		acks++
		confirmed = ack.Negatives[len(ack.Negatives)-1].N
		_, _ = r.OnFrame(epoch, &wire.Probe{ID: nonced, Confirmed: confirmed})
	}
	if acks > 15 {
		t.Errorf("%d acks", acks)
	}
}

func TestProcessedTooMuchPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	newReceiver().Processed(1)
}

// TestManyMembers: a body of more memberships than a list is searched for.
func TestManyMembers(t *testing.T) {
	m := map[string]uint64{}
	var recs []wire.Record
	var prev []wire.Prev
	for i := range 3000 {
		channel := fmt.Sprintf("c%d", i%1500)
		if i < 1500 {
			m[channel] = uint64(i + 1)
			prev = append(prev, wire.Prev{Member: uint64(i + 1), Seq: int64(i)})
		}
		recs = append(recs, wire.Record{Seq: int64(10_000 + i), Channel: channel})
	}
	r := NewReceiver(ReceiverConfig{ID: nonced, Window: 1 << 20, MaxMessage: 1 << 20, Members: m}, epoch)
	out, err := r.OnFrame(epoch, packed(1, prev, recs))
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range out {
		want := int64(i)
		if i >= 1500 {
			want = int64(10_000 + i - 1500)
		}
		if d.Member != uint64(i%1500+1) || d.Prev != want {
			t.Fatalf("record %d: membership %d, prev %d, want %d", i, d.Member, d.Prev, want)
		}
	}
}

func BenchmarkReceiver(b *testing.B) {
	r := NewReceiver(ReceiverConfig{ID: nonced, Window: 1 << 30, Members: members, MaxMessage: 1 << 20}, epoch)
	recs := make([]wire.Record, 400)
	for i := range recs {
		recs[i] = wire.Record{Seq: int64(i + 1), Channel: "a", Content: make([]byte, 100)}
	}
	f := packed(0, []wire.Prev{{Member: 101}}, recs)
	total := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		f.Frame++
		out, err := r.OnFrame(epoch, f)
		if err != nil {
			b.Fatal(err)
		}
		total += uint64(len(out))
		r.Processed(total)
		r.Step(epoch)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/400, "ns/record")
}
