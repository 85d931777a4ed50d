package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/golang/snappy"

	"github.com/getevo/rmds/engine/internal/wire"
)

func TestBody(t *testing.T) {
	text := bytes.Repeat([]byte("all work and no play "), 100)
	for _, c := range []struct {
		name     string
		raw      []byte
		compress bool
		enc      uint8
	}{
		{"repetitive", text, true, wire.EncSnappy},
		{"not asked to compress", text, false, wire.EncPlain},
		{"short", []byte("abc"), true, wire.EncPlain},
		{"empty", nil, true, wire.EncPlain},
	} {
		b := wire.Pack(nil, c.raw, c.compress)
		if b.Enc != c.enc || b.RawLen != len(c.raw) {
			t.Errorf("%s: encoding %d of %d bytes", c.name, b.Enc, b.RawLen)
		}
		got, err := b.Unpack(len(c.raw))
		if err != nil || !bytes.Equal(got, c.raw) {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
		if len(c.raw) > 0 {
			if _, err := b.Unpack(len(c.raw) - 1); !errors.Is(err, wire.ErrCorrupt) {
				t.Errorf("%s: unpacked beyond the limit: %v", c.name, err)
			}
		}
	}
}

func TestPackUsesScratch(t *testing.T) {
	scratch := make([]byte, 0, 1<<16)
	b := wire.Pack(scratch, bytes.Repeat([]byte("x"), 1000), true)
	if &b.Data[0] != &scratch[:1][0] {
		t.Error("a scratch that is large enough was not used")
	}
}

func TestUnpackRefuses(t *testing.T) {
	good := snappy.Encode(nil, bytes.Repeat([]byte("x"), 1000))
	claims := append(binary.AppendUvarint(nil, 1<<30), 0, 'x') // a gigabyte in five bytes of snappy
	for name, b := range map[string]wire.Body{
		"negative":           {RawLen: -1},
		"plain, wrong size":  {RawLen: 4, Data: []byte("abc")},
		"unknown encoding":   {Enc: 2, RawLen: 3, Data: []byte("abc")},
		"snappy, wrong size": {Enc: wire.EncSnappy, RawLen: 999, Data: good},
		"snappy, no header":  {Enc: wire.EncSnappy, RawLen: 0},
		"snappy, cut":        {Enc: wire.EncSnappy, RawLen: 1000, Data: good[:len(good)-2]},
		"snappy, bomb":       {Enc: wire.EncSnappy, RawLen: 1 << 30, Data: claims},
	} {
		if raw, err := b.Unpack(1<<31 - 1); !errors.Is(err, wire.ErrCorrupt) {
			t.Errorf("%s: %d bytes, %v", name, len(raw), err)
		}
	}
}
