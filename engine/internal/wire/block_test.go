package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/getevo/rmds/engine/internal/wire"
)

// sample returns n records such as a node's log holds: some channels, an address now and then, headers on some.
func sample(n int, seed uint64) []wire.Record {
	rnd := rand.New(rand.NewPCG(seed, 1))
	recs := make([]wire.Record, n)
	seq, created := int64(rnd.IntN(1000)), int64(1_700_000_000_000_000_000)
	for i := range recs {
		seq++
		if rnd.IntN(10) == 0 {
			seq += rnd.Int64N(1 << 40)
		}
		created += rnd.Int64N(1_000_000) - 1000
		r := wire.Record{Seq: seq, Created: created, Channel: fmt.Sprintf("plant.line%d", rnd.IntN(20))}
		if rnd.IntN(4) == 0 {
			r.To = fmt.Sprintf("node-%d", rnd.IntN(3))
		}
		if rnd.IntN(3) == 0 {
			r.TTL = int64(rnd.IntN(3)) * 3_600_000_000_000
		}
		if rnd.IntN(8) == 0 {
			r.Hops = uint8(rnd.IntN(17))
		}
		for range rnd.IntN(3) {
			r.Headers = append(r.Headers, wire.Header{Key: []string{"a", "in-reply-to", ""}[rnd.IntN(3)], Value: fmt.Sprint(rnd.Uint32())})
		}
		if size := rnd.IntN(300); size > 0 {
			r.Content = make([]byte, size)
			for j := range r.Content {
				r.Content[j] = byte('a' + rnd.IntN(4))
			}
		}
		recs[i] = r
	}
	return recs
}

func TestBlockRoundTrip(t *testing.T) {
	extremes := []wire.Record{
		{Seq: 1, Channel: "c", Created: math.MinInt64, TTL: math.MaxInt64},
		{Seq: 2, Channel: "c", Created: math.MaxInt64, TTL: math.MinInt64, Hops: 255},
		{Seq: math.MaxInt64, Channel: "", To: "", Created: 0},
	}
	blocks := [][]wire.Record{nil, extremes, {{Seq: 7}}}
	for seed := range uint64(50) {
		blocks = append(blocks, sample(int(seed*7%100)+1, seed))
	}
	for i, recs := range blocks {
		raw := wire.AppendBlock([]byte("head"), recs)
		if !bytes.HasPrefix(raw, []byte("head")) {
			t.Fatalf("block %d: AppendBlock overwrote dst", i)
		}
		got, err := wire.DecodeBlock(raw[4:])
		if err != nil {
			t.Fatalf("block %d: %v", i, err)
		}
		if len(got) != len(recs) || len(got) > 0 && !reflect.DeepEqual(got, recs) {
			t.Fatalf("block %d: got %+v, want %+v", i, got, recs)
		}
	}
}

func TestBlockIsSmall(t *testing.T) {
	recs := make([]wire.Record, 100)
	for i := range recs {
		recs[i] = wire.Record{Seq: int64(1000 + i), Channel: "temperature", Created: 1_700_000_000_000_000_000 + int64(i)*1000, TTL: 1e9, Content: []byte("x")}
	}
	if raw := wire.AppendBlock(nil, recs); len(raw) > 100*5+40 {
		t.Errorf("100 records of 1 byte take %d bytes, want about 5 each", len(raw))
	}
}

func TestAppendBlockPanics(t *testing.T) {
	for name, recs := range map[string][]wire.Record{
		"seq 0":    {{Seq: 0}},
		"same seq": {{Seq: 5}, {Seq: 5}},
		"falling":  {{Seq: 5}, {Seq: 4}},
		"too many": make([]wire.Record, wire.MaxRecords+1),
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			wire.AppendBlock(nil, recs)
		}()
	}
}

// TestBlockCanonical feeds encodings that say the right thing the wrong way, and nonsense.
func TestBlockCanonical(t *testing.T) {
	for name, raw := range map[string][]byte{
		"empty":                    {},
		"long count":               {0x81, 0x00, 0x04, 1, 'c', 0, 0, 0},
		"count beyond input":       {0xff, 0x01, 0x04, 1, 'c', 0, 0, 0},
		"left over":                {1, 0x04, 1, 'c', 0, 0, 0, 9},
		"no pair in first record":  {1, 0x00, 0, 0},
		"rise of 1 written":        {1, 0x05, 1, 1, 'c', 0, 0, 0},
		"rise of 0":                {1, 0x05, 0, 1, 'c', 0, 0, 0},
		"seq overflows":            {1, 0x05, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1, 1, 'c', 0, 0, 0},
		"index of the pair in use": {2, 0x04, 1, 'c', 0, 0, 0, 0x02, 0, 0, 0},
		"index unknown":            {2, 0x04, 1, 'c', 0, 0, 0, 0x02, 1, 0, 0},
		"pair repeated":            {2, 0x04, 1, 'c', 0, 0, 0, 0x04, 1, 'c', 0, 0, 0},
		"pair and index":           {2, 0x04, 1, 'c', 0, 0, 0, 0x06, 0, 1, 'd', 0, 0, 0},
		"ttl repeated":             {1, 0x0c, 1, 'c', 0, 0, 0, 0},
		"hops 0 written":           {1, 0x14, 1, 'c', 0, 0, 0, 0},
		"no headers written":       {1, 0x24, 1, 'c', 0, 0, 0, 0},
		"unknown flag":             {1, 0x44, 1, 'c', 0, 0, 0},
		"content beyond input":     {1, 0x04, 1, 'c', 0, 0, 5},
	} {
		if recs, err := wire.DecodeBlock(raw); !errors.Is(err, wire.ErrCorrupt) {
			t.Errorf("%s: %+v, %v; want ErrCorrupt", name, recs, err)
		}
	}
	if _, err := wire.DecodeBlock([]byte{1, 0x04, 1, 'c', 0, 0, 0}); err != nil {
		t.Errorf("the form that the cases vary: %v", err)
	}
}

func TestDecodeBlockAllocation(t *testing.T) {
	recs := make([]wire.Record, 100)
	for i := range recs {
		recs[i] = wire.Record{Seq: int64(i + 1), Channel: []string{"temperature", "pressure"}[i%2], Content: make([]byte, 100)}
	}
	raw := wire.AppendBlock(nil, recs)
	n := testing.AllocsPerRun(10, func() {
		if _, err := wire.DecodeBlock(raw); err != nil {
			t.Fatal(err)
		}
	})
	if n > 6 { // the records, two channel names, the dictionary as it grows
		t.Errorf("decoding 100 records makes %v allocations", n)
	}
}

func FuzzDecodeBlock(f *testing.F) {
	for seed := range uint64(5) {
		f.Add(wire.AppendBlock(nil, sample(int(seed)*4, seed)))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		recs, err := wire.DecodeBlock(raw)
		if err != nil {
			if !errors.Is(err, wire.ErrCorrupt) {
				t.Fatalf("error of no kind: %v", err)
			}
			return
		}
		if again := wire.AppendBlock(nil, recs); !bytes.Equal(again, raw) {
			t.Fatalf("accepted %x, writes %x", raw, again)
		}
	})
}

func benchRecords() []wire.Record {
	recs := make([]wire.Record, 400)
	for i := range recs {
		recs[i] = wire.Record{Seq: int64(i + 1), Channel: "temperature", Created: 1_700_000_000_000_000_000 + int64(i)*5000,
			Content: fmt.Appendf(nil, `{"sensor":%d,"value":%d.%d,"unit":"celsius","quality":"good","line":"north"}`, i%10, i%40, i%7)}
	}
	return recs
}

func perRecord(b *testing.B, n int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/record")
}

func BenchmarkAppendBlock(b *testing.B) {
	recs := benchRecords()
	buf := make([]byte, 0, 64<<10)
	b.ReportAllocs()
	for b.Loop() {
		buf = wire.AppendBlock(buf[:0], recs)
	}
	perRecord(b, len(recs))
}

func BenchmarkDecodeBlock(b *testing.B) {
	recs := benchRecords()
	raw := wire.AppendBlock(nil, recs)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.DecodeBlock(raw); err != nil {
			b.Fatal(err)
		}
	}
	perRecord(b, len(recs))
}

func BenchmarkPack(b *testing.B) {
	recs := benchRecords()
	raw := wire.AppendBlock(nil, recs)
	for b.Loop() {
		wire.Pack(nil, raw, true)
	}
	perRecord(b, len(recs))
}

func BenchmarkUnpack(b *testing.B) {
	recs := benchRecords()
	body := wire.Pack(nil, wire.AppendBlock(nil, recs), true)
	for b.Loop() {
		if _, err := body.Unpack(1 << 20); err != nil {
			b.Fatal(err)
		}
	}
	perRecord(b, len(recs))
}
