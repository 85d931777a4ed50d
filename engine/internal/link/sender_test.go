package link

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/getevo/rmds/engine/internal/wire"
)

const ms = time.Millisecond

var nonced = wire.LinkID{Run: 77, Number: 3, Nonce: 9}

func nothing(int64) (Unit, bool) { return Unit{}, false }

// feed pulls units of one record of 100 bytes for membership 101, n of them.
func feed(n int) Pull {
	seq := int64(0)
	return func(int64) (Unit, bool) {
		if seq == int64(n) {
			return Unit{}, false
		}
		seq++
		return record(seq, make([]byte, 100)), true
	}
}

func record(seq int64, content []byte) Unit {
	raw := wire.AppendBlock(nil, []wire.Record{{Seq: seq, Channel: "a", Content: content}})
	return Unit{Body: wire.Pack(nil, raw, false), Prev: []wire.Prev{{Member: 101, Seq: seq - 1}}, Refs: []Ref{{101, seq}}}
}

func newSender() *Sender {
	return NewSender(SenderConfig{ID: simID, Open: wire.Open{Domain: "s"}, MaxFrame: 64 << 10}, epoch)
}

// openSender returns a sender that was accepted at epoch, with a measured round trip of 0.
func openSender(t *testing.T, credit int64) *Sender {
	t.Helper()
	s := newSender()
	s.Step(epoch, nothing)
	ev := s.OnFrame(epoch, &wire.Accept{ID: nonced, Domain: "s", Credit: credit, MaxMessage: 1 << 20})
	if len(ev) != 1 || !s.Opened() {
		t.Fatalf("accept: %v", ev)
	}
	return s
}

func TestOpenBacksOff(t *testing.T) {
	s := newSender()
	now, sent := epoch, []time.Duration{}
	for range 10 {
		frames, next := s.Step(now, nothing)
		if len(frames) != 1 {
			t.Fatalf("%d frames after %v", len(frames), now.Sub(epoch))
		}
		sent = append(sent, now.Sub(epoch))
		if early, _ := s.Step(next.Add(-1), nothing); len(early) != 0 {
			t.Fatalf("open sent before its time, %v", next.Sub(epoch))
		}
		now = next
	}
	want := []time.Duration{0, 50 * ms, 150 * ms, 350 * ms, 750 * ms, 1550 * ms, 3150 * ms, 6350 * ms, 11350 * ms, 16350 * ms}
	if !reflect.DeepEqual(sent, want) {
		t.Errorf("opens at %v, want %v", sent, want)
	}
	s.Kick(now.Add(-ms))
	if frames, _ := s.Step(now.Add(-ms), nothing); len(frames) != 1 {
		t.Error("no open after Kick")
	}
}

func TestBusyAsksAgainSoon(t *testing.T) {
	s := newSender()
	now := epoch
	for _, want := range []time.Duration{10 * ms, 20 * ms, 40 * ms} {
		s.Step(now, nothing)
		s.OnFrame(now, &wire.Busy{ID: simID, Domain: "s"})
		_, next := s.Step(now, nothing)
		if d := next.Sub(now); d != want {
			t.Errorf("asks again after %v, want %v", d, want)
		}
		now = next
	}
}

func TestSenderEvents(t *testing.T) {
	other := nonced
	other.Nonce++
	older := simID
	older.Number--
	accept := &wire.Accept{ID: nonced, Credit: 1 << 20}
	for _, c := range []struct {
		name   string
		opened bool
		f      wire.Frame
		want   []SenderEvent
	}{
		{"accept", false, accept, []SenderEvent{Opened{accept}}},
		{"accept again", true, accept, nil},
		{"accept of another receiver's start", true, &wire.Accept{ID: other}, nil},
		{"accept of an older link", false, &wire.Accept{ID: older}, nil},
		{"refuse", false, &wire.Refuse{ID: simID, Reason: "no"}, []SenderEvent{Broken{"no", true}}},
		{"late refuse", true, &wire.Refuse{ID: simID, Reason: "no"}, nil},
		{"refuse of an older link", false, &wire.Refuse{ID: older}, nil},
		{"reset", true, &wire.Reset{ID: nonced, Reason: "leave"}, []SenderEvent{Broken{"leave", false}}},
		{"reset while opening", false, &wire.Reset{ID: nonced, Reason: "leave"}, []SenderEvent{Broken{"leave", false}}},
		{"reset with another nonce", true, &wire.Reset{ID: other}, nil},
		{"late busy", true, &wire.Busy{ID: simID}, nil},
		{"ack with another nonce", true, &wire.Ack{ID: other, Received: 1, Processed: 1}, nil},
		{"ack before accept", false, &wire.Ack{ID: nonced, Received: 1}, nil},
		{"ack of what was not sent", true, &wire.Ack{ID: nonced, Received: 3}, []SenderEvent{Broken{"ack of frame 3, sent were 2", false}}},
		{"outcome of what was not sent", true, &wire.Ack{ID: nonced, Received: 2, Processed: 3}, []SenderEvent{Broken{"ack of 3 records, sent were 2", false}}},
		{"progress", true, &wire.Ack{ID: nonced, Received: 2, Processed: 2, Limit: 1}, []SenderEvent{Progress{[]Moved{{101, 2, 2}}}}},
		{"received only", true, &wire.Ack{ID: nonced, Received: 2}, nil},
	} {
		s := newSender()
		s.Step(epoch, nothing)
		if c.opened {
			s = openSender(t, 1<<20)
			s.Step(epoch, feed(2))
		}
		if got := s.OnFrame(epoch, c.f); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		if len(c.want) > 0 {
			if _, dead := c.want[0].(Broken); dead {
				frames, next := s.Step(epoch.Add(time.Hour), feed(1))
				if s.Opened() || len(frames) > 0 || !next.IsZero() {
					t.Errorf("%s: a broken sender goes on", c.name)
				}
			}
		}
	}
}

// TestStaleAck: acks overtake each other; the older one must not take anything back.
func TestStaleAck(t *testing.T) {
	s := openSender(t, 1<<20)
	s.Step(epoch, feed(5))
	s.OnFrame(epoch, &wire.Ack{ID: nonced, Received: 5, Processed: 5, Limit: 2 << 20})
	if ev := s.OnFrame(epoch, &wire.Ack{ID: nonced, Received: 2, Processed: 1, Limit: 1 << 20, Gap: true}); ev != nil {
		t.Errorf("stale ack: %v", ev)
	}
	if frames, next := s.Step(epoch, nothing); len(frames) > 0 || !next.IsZero() || s.limit != 2<<20 {
		t.Errorf("stale ack: %d frames, limit %d", len(frames), s.limit)
	}
	s.Step(epoch, feed(5))
	s.OnFrame(epoch, &wire.Ack{ID: nonced, Received: 4, Gap: true})
	if frames, _ := s.Step(epoch, nothing); len(frames) > 0 {
		t.Errorf("the gap of a stale ack: %d frames sent again", len(frames))
	}
}

// TestKarn: an ack of a frame that was sent twice says nothing about the round trip.
func TestKarn(t *testing.T) {
	s := openSender(t, 1<<20)
	_, next := s.Step(epoch, feed(1))
	if frames, _ := s.Step(next, nothing); len(frames) != 1 {
		t.Fatal("not sent again")
	}
	before := s.rtt
	s.OnFrame(next.Add(ms), &wire.Ack{ID: nonced, Received: 1})
	if s.rtt != before {
		t.Errorf("estimate went from %v to %v", before, s.rtt)
	}
	s.Step(next, feed(1))
	s.OnFrame(next.Add(8*ms), &wire.Ack{ID: nonced, Received: 2})
	if s.rtt.smooth != 1*ms {
		t.Errorf("a sample of 8 ms makes the estimate %v", s.rtt.smooth)
	}
}

// TestPullIsToldTheCredit: a fair part of it or nothing while something is outstanding; room for the largest message
// otherwise.
func TestPullIsToldTheCredit(t *testing.T) {
	s := openSender(t, 1000)
	units, rooms := feed(100), []int64{}
	s.Step(epoch, func(room int64) (Unit, bool) { rooms = append(rooms, room); return units(room) })
	if len(rooms) < 4 || rooms[0] != 1<<20+BodySlack {
		t.Fatalf("rooms %v", rooms)
	}
	for _, r := range rooms[1:] {
		if r < 250 || r > 1000 {
			t.Errorf("pulled for %d of a credit of 1000", r)
		}
	}
}

// TestDataConfirms: a frame that goes out anyway confirms the negatives, without a probe.
func TestDataConfirms(t *testing.T) {
	s := openSender(t, 1<<20)
	s.Step(epoch, feed(1))
	s.OnFrame(epoch, &wire.Ack{ID: nonced, Received: 1, Processed: 1, Negatives: []wire.Negative{{N: 1, Seq: 1}}})
	frames, _ := s.Step(epoch, feed(1))
	if len(frames) != 1 || frames[0].(*wire.Data).Confirmed != 1 {
		t.Errorf("%+v", frames)
	}
}

// TestManyMembersInSmallFrames: what states the memberships does not fit one frame, nor do many skips.
func TestManyMembersInSmallFrames(t *testing.T) {
	u := Unit{}
	k := Unit{}
	var recs []wire.Record
	known := map[string]uint64{}
	for i := range 100 {
		id, channel := uint64(i+1), strings.Repeat("c", i+1)
		known[channel] = id
		recs = append(recs, wire.Record{Seq: int64(1000 + i), Channel: channel})
		u.Prev = append(u.Prev, wire.Prev{Member: id, Seq: int64(900 + i)})
		u.Refs = append(u.Refs, Ref{id, int64(1000 + i)})
		k.Skips = append(k.Skips, wire.SkipRec{Member: id, Prev: int64(1000 + i), To: 5000, Reason: "purged", Count: 9})
	}
	u.Body = wire.Pack(nil, wire.AppendBlock(nil, recs), true)
	s := NewSender(SenderConfig{ID: simID, Open: wire.Open{Domain: "s"}, MaxFrame: 512}, epoch)
	s.Step(epoch, nothing)
	s.OnFrame(epoch, &wire.Accept{ID: nonced, Domain: "s", Credit: 1 << 20})
	units := []Unit{u, k}
	frames, _ := s.Step(epoch, func(int64) (u Unit, ok bool) {
		if len(units) > 0 {
			u, ok = units[0], true
			units = units[1:]
		}
		return u, ok
	})
	r := NewReceiver(ReceiverConfig{ID: nonced, Members: known}, epoch)
	var out []Delivered
	for _, f := range frames {
		if b := wire.Encode(nil, f); len(b) > 512 {
			t.Errorf("frame of %d bytes", len(b))
		}
		d, err := r.OnFrame(epoch, f)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, d...)
	}
	if len(out) != 200 {
		t.Fatalf("%d delivered", len(out))
	}
	for i, d := range out[:100] {
		if d.Prev != int64(900+i) || out[100+i].Prev != d.Seq() {
			t.Errorf("record %d: prev %d", i, d.Prev)
		}
	}
}

// TestCreditHolds: with nothing coming back the sender takes no more than its credit, however often it is stepped.
func TestCreditHolds(t *testing.T) {
	s := openSender(t, 10_000)
	for i := range 100 {
		s.Step(epoch.Add(time.Duration(i)*ms), feed(1000))
	}
	if s.used > 10_000 || s.used < 7000 {
		t.Errorf("used %d of a credit of 10000", s.used)
	}
}

// TestCreditCountsRecords: a unit whose bytes fit but whose records do not is held until credit comes.
func TestCreditCountsRecords(t *testing.T) {
	recs := make([]wire.Record, 100)
	u := Unit{Prev: []wire.Prev{{Member: 101}}}
	for i := range recs {
		recs[i] = wire.Record{Seq: int64(i + 2), Channel: "a"}
		u.Refs = append(u.Refs, Ref{101, int64(i + 2)})
	}
	u.Body = wire.Pack(nil, wire.AppendBlock(nil, recs), false)
	units := []Unit{record(1, nil), u}
	pull := func(int64) (u Unit, ok bool) {
		if len(units) > 0 {
			u, ok = units[0], true
			units = units[1:]
		}
		return u, ok
	}
	s := openSender(t, 2000)
	if frames, _ := s.Step(epoch, pull); len(frames) != 1 || len(units) != 0 {
		t.Fatalf("%d frames, %d units not pulled", len(frames), len(units))
	}
	s.OnFrame(epoch, &wire.Ack{ID: nonced, Received: 1, Limit: 9000})
	if frames, _ := s.Step(epoch, pull); len(frames) != 1 {
		t.Errorf("%d frames after credit came", len(frames))
	}
}

// TestWindow: no more than 1024 frames and 4 MiB are in flight.
func TestWindow(t *testing.T) {
	s := openSender(t, 1<<30)
	if frames, _ := s.Step(epoch, feed(5000)); len(frames) != windowFrames {
		t.Errorf("%d frames in flight", len(frames))
	}
	s = openSender(t, 1<<30)
	seq := int64(0)
	frames, _ := s.Step(epoch, func(int64) (Unit, bool) { seq++; return record(seq, make([]byte, 60_000)), true })
	if n := len(frames) * 60_000; n < windowBytes || n > windowBytes+60_000 {
		t.Errorf("%d bytes in flight", n)
	}
}

// TestRetransmissionTimer follows one frame that is never acknowledged: twice again with data, then probes, to 5 s.
func TestRetransmissionTimer(t *testing.T) {
	s := openSender(t, 1<<20)
	frames, next := s.Step(epoch, feed(1))
	now, kinds, gaps := epoch, "", []time.Duration{}
	for range 10 {
		for _, f := range frames {
			if _, ok := f.(*wire.Data); ok {
				kinds += "d"
			} else {
				kinds += "p"
			}
		}
		gaps = append(gaps, next.Sub(now))
		now = next
		frames, next = s.Step(now, nothing)
	}
	want := []time.Duration{20 * ms, 40 * ms, 80 * ms, 160 * ms, 320 * ms, 640 * ms, 1280 * ms, 2560 * ms, 5000 * ms, 5000 * ms}
	if kinds != "dddppppppp" || !reflect.DeepEqual(gaps, want) {
		t.Errorf("sent %s, waited %v", kinds, gaps)
	}
	s.OnFrame(now, &wire.Ack{ID: nonced, Gap: true})
	if frames, next = s.Step(now, nothing); len(frames) != 1 || next.Sub(now) != 20*ms {
		t.Errorf("heard again: %d frames, waits %v", len(frames), next.Sub(now))
	}
}

// TestGapOncePerRoundTrip: a hundred acks of one gap cause one retransmission.
func TestGapOncePerRoundTrip(t *testing.T) {
	s := openSender(t, 1<<20)
	s.rtt.smooth = 50 * ms
	sent, _ := s.Step(epoch, feed(8))
	total := len(sent)
	for i := range 100 {
		now := epoch.Add(10*ms + time.Duration(i)*100*time.Microsecond)
		s.OnFrame(now, &wire.Ack{ID: nonced, Received: 2, Gap: true})
		frames, _ := s.Step(now, nothing)
		total += len(frames)
	}
	if total != 8+4 {
		t.Errorf("%d frames, want 8 and 4 again", total)
	}
}

func TestKickAsksAlsoWhenIdle(t *testing.T) {
	s := openSender(t, 1<<20)
	s.Kick(epoch)
	frames, next := s.Step(epoch, nothing)
	if len(frames) != 1 || !frames[0].(*wire.Probe).Want || !next.IsZero() {
		t.Errorf("%v, next %v", frames, next)
	}
}

// TestNegativesOnce: acks repeat negatives; each is reported once, and confirmed though there is nothing to send.
func TestNegativesOnce(t *testing.T) {
	s := openSender(t, 1<<20)
	s.Step(epoch, feed(1))
	a := &wire.Ack{ID: nonced, Received: 1, Processed: 1, Negatives: []wire.Negative{{N: 1, Seq: 1}, {N: 2, Seq: 1}}}
	if ev := s.OnFrame(epoch, a); len(ev) != 2 || len(ev[1].(Negatives).List) != 2 {
		t.Fatalf("first: %v", ev)
	}
	for range 2 { // the second time the confirmation was lost
		frames, _ := s.Step(epoch, nothing)
		if len(frames) != 1 {
			t.Fatalf("%d frames", len(frames))
		}
		if p, ok := frames[0].(*wire.Probe); !ok || p.Confirmed != 2 || p.Want {
			t.Fatalf("%+v, want a probe that confirms", frames[0])
		}
		if ev := s.OnFrame(epoch, a); ev != nil {
			t.Fatalf("again: %v", ev)
		}
	}
}

func BenchmarkSender(b *testing.B) {
	s := NewSender(SenderConfig{ID: simID, Open: wire.Open{Domain: "s"}, MaxFrame: 128 << 10}, epoch)
	s.Step(epoch, nothing)
	s.OnFrame(epoch, &wire.Accept{ID: nonced, Credit: 1 << 60})
	body := wire.Body{RawLen: 48 << 10, Data: make([]byte, 48<<10)}
	prev, refs := []wire.Prev{{Member: 1}}, make([]Ref, 400)
	ack := &wire.Ack{ID: nonced, Limit: 1 << 60}
	ready := 0
	pull := func(int64) (Unit, bool) {
		ready--
		return Unit{Body: body, Prev: prev, Refs: refs}, ready >= 0
	}
	b.ReportAllocs()
	for b.Loop() {
		ready = 8
		s.Step(epoch, pull)
		ack.Received += 8
		ack.Processed += 8 * 400
		s.OnFrame(epoch, ack)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/3200, "ns/record")
}
