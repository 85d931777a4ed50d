package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"reflect"
	"testing"

	"github.com/getevo/rmds/engine/internal/wire"
)

var linkID = wire.LinkID{Run: 0x1122334455667788, Number: 300, Nonce: 0x99aabbccddeeff00}

// frames returns one of every type with every field set, and the zero value of each.
func frames() []wire.Frame {
	member := wire.Member{Channel: "temp", ID: 7, Domain: "c:temp", Start: wire.StartNew, JoinedAt: -5, Dormant: true, HasPos: true, Pos: 41}
	kick := wire.Kick{Node: "till-7", Channel: "temp", Lifted: true, Stamp: 1_700_000_000_000_000_000, By: "desk", Key: "UABC", Signature: []byte{1, 2, 3}}
	return []wire.Frame{
		&wire.Open{ID: linkID, Domain: "s", StoreID: math.MaxUint64, Lineage: []wire.RunStart{{1, 1}, {2, 500}}, Now: 1_700_000_000_000_000_000, LastSeq: 700},
		&wire.Accept{ID: linkID, Domain: "a", StoreID: 3, Run: 4, Version: 5, Now: 6, MaxMessage: 8 << 20, Credit: 9 << 20, Kicks: 7, Members: []wire.Member{member, {ID: 8}}},
		&wire.Data{ID: linkID, Domain: "s", Frame: math.MaxUint64, More: true, Confirmed: 2, Prev: []wire.Prev{{7, 41}, {8, 0}}, RawLen: math.MaxInt32, Enc: wire.EncSnappy, Piece: []byte("piece")},
		&wire.Skip{ID: linkID, Domain: "s", Frame: 2, Confirmed: 1, Skips: []wire.SkipRec{{Member: 7, Prev: 10, To: 20, Reason: "purged", Count: 9}}},
		&wire.Probe{ID: linkID, Domain: "s", Frame: 2, Confirmed: 1, Want: true},
		&wire.Ack{ID: linkID, Domain: "s", Received: 2, Processed: 77, Limit: 1 << 40, Gap: true, Negatives: []wire.Negative{{N: 1, Run: 2, Seq: 3, Channel: "temp", Outcome: "rejected", Reason: "no such valve"}}},
		&wire.Busy{ID: linkID, Domain: "s"},
		&wire.Reset{ID: linkID, Domain: "s", Reason: "membership changed"},
		&wire.Refuse{ID: linkID, Domain: "s", Reason: "identity conflict"},
		&wire.Presence{Node: "till-7", StoreID: 1, Run: 2, Version: 3, Now: 4, Leaving: true, State: "ok", Reads: []string{"a", "b"}, Writes: []string{"c"}, Nonce: 5, Kicks: 6, Member: &member},
		&wire.Discover{Channels: []string{"temp", ""}},
		&wire.Command{ID: 1, Target: 2, Nonce: 3, Action: wire.ActionKick, Kicks: []wire.Kick{kick, {}}, Key: "UABC", Signature: []byte{9, 8}},
		&wire.Answer{Command: 1, Outcome: wire.OutcomeStale, Text: "nonce", Count: -4, StoreID: 5, Nonce: 6},
		&wire.KickAsk{Digest: math.MaxUint64},
		&wire.KickList{Kicks: []wire.Kick{kick}},
		&wire.Command{}, &wire.Answer{}, &wire.KickAsk{}, &wire.KickList{},
		&wire.Open{}, &wire.Accept{}, &wire.Data{}, &wire.Skip{}, &wire.Probe{}, &wire.Ack{}, &wire.Busy{}, &wire.Reset{}, &wire.Refuse{}, &wire.Presence{}, &wire.Discover{},
	}
}

func TestFrameRoundTrip(t *testing.T) {
	for _, f := range frames() {
		b := wire.Encode([]byte("head"), f)
		got, err := wire.Decode(b[4:])
		if err != nil {
			t.Errorf("%T: %v", f, err)
			continue
		}
		if !reflect.DeepEqual(got, f) {
			t.Errorf("got  %+v\nwant %+v", got, f)
		}
	}
}

// TestFrameDamaged flips every bit of every frame and cuts it at every length: the checksum must notice.
func TestFrameDamaged(t *testing.T) {
	for _, f := range frames() {
		b := wire.Encode(nil, f)
		for i := range len(b) * 8 {
			b[i/8] ^= 1 << (i % 8)
			if g, err := wire.Decode(b); !errors.Is(err, wire.ErrCorrupt) {
				t.Fatalf("%T with bit %d flipped: %+v, %v", f, i, g, err)
			}
			b[i/8] ^= 1 << (i % 8)
		}
		for i := range b {
			if g, err := wire.Decode(b[:i]); !errors.Is(err, wire.ErrCorrupt) {
				t.Fatalf("%T cut to %d bytes: %+v, %v", f, i, g, err)
			}
		}
	}
}

// seal puts a checksum under any bytes.
func seal(b ...byte) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

// resealed is the frame with its bytes changed and a checksum that matches.
func resealed(f wire.Frame, change func(b []byte) []byte) []byte {
	b := wire.Encode(nil, f)
	return seal(change(b[:len(b)-4])...)
}

func TestFrameErrors(t *testing.T) {
	set := func(i int, v byte) func([]byte) []byte {
		return func(b []byte) []byte { b[i] = v; return b }
	}
	busy := &wire.Busy{}
	for _, c := range []struct {
		name string
		b    []byte
		want error
	}{
		{"empty", nil, wire.ErrCorrupt},
		{"stray text", []byte("hello, is anybody there?"), wire.ErrCorrupt},
		{"magic", resealed(busy, set(0, 0)), wire.ErrCorrupt},
		{"version 2", resealed(busy, set(1, 2)), wire.ErrVersion},
		{"type 0", resealed(busy, set(2, 0)), wire.ErrVersion},
		{"type 200", resealed(busy, set(2, 200)), wire.ErrVersion},
		{"feature bit", resealed(busy, set(3, 1)), wire.ErrVersion},
		{"features cut", seal(wire.Magic, wire.Version, 7, 0x80), wire.ErrCorrupt},
		{"left over", resealed(busy, func(b []byte) []byte { return append(b, 0) }), wire.ErrCorrupt},
		{"truncated inside the checksum", resealed(busy, func(b []byte) []byte { return b[:len(b)-1] }), wire.ErrCorrupt},
		{"long number", seal(wire.Magic, wire.Version, 11, 0, 0x80, 0x00), wire.ErrCorrupt},
		{"number beyond 64 bits", seal(wire.Magic, wire.Version, 11, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02), wire.ErrCorrupt},
		{"list beyond input", seal(wire.Magic, wire.Version, 11, 0, 0xff, 0x7f, 0), wire.ErrCorrupt},
		{"bool 2", resealed(&wire.Probe{}, func(b []byte) []byte { b[len(b)-1] = 2; return b }), wire.ErrCorrupt},
	} {
		if f, err := wire.Decode(c.b); !errors.Is(err, c.want) || f != nil {
			t.Errorf("%s: %+v, %v; want %v", c.name, f, err, c.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, fr := range frames() {
		b := wire.Encode(nil, fr)
		f.Add(b[:len(b)-4])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		sealed := seal(bytes.Clone(b)...) // or the checksum would keep the fuzzer out
		fr, err := wire.Decode(sealed)
		if err != nil {
			if !errors.Is(err, wire.ErrCorrupt) && !errors.Is(err, wire.ErrVersion) {
				t.Fatalf("error of no kind: %v", err)
			}
			return
		}
		if again := wire.Encode(nil, fr); !bytes.Equal(again, sealed) {
			t.Fatalf("accepted %x, writes %x", sealed, again)
		}
	})
}

func BenchmarkFrame(b *testing.B) {
	f := &wire.Data{ID: linkID, Domain: "s", Frame: 12345, Prev: []wire.Prev{{7, 41}}, RawLen: 48 << 10, Piece: make([]byte, 48<<10)}
	buf := make([]byte, 0, 64<<10)
	b.SetBytes(int64(len(f.Piece)))
	for b.Loop() {
		buf = wire.Encode(buf[:0], f)
		if _, err := wire.Decode(buf); err != nil {
			b.Fatal(err)
		}
	}
}
