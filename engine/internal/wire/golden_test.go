package wire_test

import (
	"bytes"
	"encoding/hex"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/getevo/rmds/engine/internal/wire"
)

// The examples of docs/protocol.md, which states them byte by byte in fences marked "hex <name>".
var (
	goldenID     = wire.LinkID{Run: 0x1122334455667788, Number: 300, Nonce: 0xA0A1A2A3A4A5A6A7}
	goldenOpenID = wire.LinkID{Run: 0x1122334455667788, Number: 300}
	goldenMember = wire.Member{Channel: "temp", ID: 0x0101010101010101, Domain: "s", Start: wire.StartJoin, JoinedAt: 1000, HasPos: true, Pos: 41}

	goldenFrames = map[string]wire.Frame{
		"open": &wire.Open{ID: goldenOpenID, Domain: "s", StoreID: 0x51, Lineage: []wire.RunStart{{Run: 0x0F, First: 1}, {Run: 0x1122334455667788, First: 40}},
			Now: 1_000_000, LastSeq: 64},
		"accept": &wire.Accept{ID: goldenID, Domain: "s", StoreID: 0x52, Run: 0x99, Version: 2, Now: 1_000_001, MaxMessage: 8 << 20, Credit: 9 << 20, Kicks: 0x0F,
			Members: []wire.Member{goldenMember}},
		"data": &wire.Data{ID: goldenID, Domain: "s", Frame: 1, Confirmed: 0, Prev: []wire.Prev{{Member: goldenMember.ID, Seq: 41}}, RawLen: 27, Enc: wire.EncPlain,
			Piece: wire.AppendBlock(nil, goldenBlock)},
		"skip":  &wire.Skip{ID: goldenID, Domain: "s", Frame: 2, Confirmed: 0, Skips: []wire.SkipRec{{Member: goldenMember.ID, Prev: 45, To: 60, Reason: "purged", Count: 15}}},
		"probe": &wire.Probe{ID: goldenID, Domain: "s", Frame: 2, Confirmed: 1},
		"ack": &wire.Ack{ID: goldenID, Domain: "s", Received: 2, Processed: 3, Limit: 9<<20 + 219,
			Negatives: []wire.Negative{{N: 1, Run: 0x1122334455667788, Seq: 42, Channel: "temp", Outcome: "rejected", Reason: "no"}}},
		"busy":   &wire.Busy{ID: goldenOpenID, Domain: "c:temp"},
		"reset":  &wire.Reset{ID: goldenID, Domain: "s", Reason: "leave"},
		"refuse": &wire.Refuse{ID: goldenOpenID, Domain: "a", Reason: "twin"},
		"presence": &wire.Presence{Node: "till-7", StoreID: 0x52, Run: 0x99, Version: 2, Now: -1, State: "ok", Reads: []string{"temp"}, Writes: []string{"log"},
			Nonce: 0x0E, Kicks: 0x0F, Member: &goldenMember},
		"discover": &wire.Discover{Channels: []string{"temp"}},
		"command": &wire.Command{ID: 0x0C, Target: 0x52, Nonce: 0x0E, Action: wire.ActionKick, Key: "UDESK", Signature: []byte{1, 2},
			Kicks: []wire.Kick{{Node: "till-9", Channel: "temp", Stamp: 1000, By: "desk", Key: "UDESK", Signature: []byte{3, 4}}}},
		"answer":   &wire.Answer{Command: 0x0C, Outcome: wire.OutcomeDone, Count: 1, StoreID: 0x52, Nonce: 0x10},
		"kickask":  &wire.KickAsk{Digest: 0x0F},
		"kicklist": &wire.KickList{Kicks: []wire.Kick{{Node: "till-9", Channel: "*", Lifted: true, Stamp: 1001, By: "desk"}}},
	}

	goldenBlock = []wire.Record{
		{Seq: 42, Channel: "temp", Created: 1000, Content: []byte("21")},
		{Seq: 45, Channel: "temp", Created: 1003, TTL: 60, Hops: 1, Headers: []wire.Header{{Key: "k", Value: "v"}}, Content: []byte("22")},
	}
)

// goldenHex returns the bytes that the document states, by name. A line's comment begins after two spaces.
func goldenHex(t *testing.T) map[string][]byte {
	t.Helper()
	doc, err := os.ReadFile("../../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	vectors := map[string][]byte{}
	name := ""
	for line := range strings.Lines(string(doc)) {
		line = strings.TrimRight(line, "\n")
		switch {
		case name == "" && strings.HasPrefix(line, "```hex "):
			name = strings.TrimPrefix(line, "```hex ")
			vectors[name] = []byte{}
		case name != "" && line == "```":
			name = ""
		case name != "":
			digits, _, _ := strings.Cut(line, "  ")
			b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
			if err != nil {
				t.Fatalf("%s: %q: %v", name, line, err)
			}
			vectors[name] = append(vectors[name], b...)
		}
	}
	return vectors
}

func TestGolden(t *testing.T) {
	vectors := goldenHex(t)
	for name, f := range goldenFrames {
		want := vectors[name]
		delete(vectors, name)
		if got := wire.Encode(nil, f); !bytes.Equal(got, want) {
			t.Errorf("%s: document and code differ\ndocument % x\ncode     % x", name, want, got)
			continue
		}
		if got, err := wire.Decode(want); err != nil || !reflect.DeepEqual(got, f) {
			t.Errorf("%s: decoded to %+v, %v", name, got, err)
		}
	}
	block := vectors["block"]
	if got := wire.AppendBlock(nil, goldenBlock); !bytes.Equal(got, block) {
		t.Errorf("block: document and code differ\ndocument % x\ncode     % x", block, got)
	}
	if got, err := wire.DecodeBlock(block); err != nil || !reflect.DeepEqual(got, goldenBlock) {
		t.Errorf("block: decoded to %+v, %v", got, err)
	}
	body := wire.Body{Enc: wire.EncSnappy, RawLen: 27, Data: vectors["snappy"]}
	if got, err := body.Unpack(27); err != nil || !bytes.Equal(got, block) {
		t.Errorf("snappy: unpacked to % x, %v", got, err)
	}
	delete(vectors, "block")
	delete(vectors, "snappy")
	for name := range vectors {
		t.Errorf("%s: in the document and not in the test", name)
	}
}
