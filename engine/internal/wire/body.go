package wire

import (
	"fmt"

	"github.com/golang/snappy"
)

// Encodings of a body.
const (
	EncPlain  = 0
	EncSnappy = 1 // snappy's block format
)

// snappyRatio is more than snappy can expand: its best element makes 64 bytes of 3.
const snappyRatio = 22

// Body is a block as it is stored and sent.
type Body struct {
	Enc    uint8 // EncPlain or EncSnappy
	RawLen int   // length of the block before packing, bytes
	Data   []byte
}

// Pack makes a body of a block. With compress it uses snappy where that makes it smaller; otherwise Data is raw itself.
// dst, which may be nil, is room for the compressed bytes if it is large enough.
func Pack(dst, raw []byte, compress bool) Body {
	if compress {
		if data := snappy.Encode(dst[:cap(dst)], raw); len(data) < len(raw) {
			return Body{Enc: EncSnappy, RawLen: len(raw), Data: data}
		}
	}
	return Body{Enc: EncPlain, RawLen: len(raw), Data: raw}
}

// Unpack returns the block, which for EncPlain is Data itself. A body that claims more than max bytes, or more than its
// data can hold, is refused before anything is allocated. Errors wrap ErrCorrupt.
func (b Body) Unpack(max int) ([]byte, error) {
	if b.RawLen < 0 || b.RawLen > max {
		return nil, fmt.Errorf("%w: body of %d bytes, at most %d", ErrCorrupt, b.RawLen, max)
	}
	switch b.Enc {
	case EncPlain:
		if len(b.Data) != b.RawLen {
			return nil, fmt.Errorf("%w: body of %d bytes says %d", ErrCorrupt, len(b.Data), b.RawLen)
		}
		return b.Data, nil
	case EncSnappy:
		n, err := snappy.DecodedLen(b.Data)
		if err != nil || n != b.RawLen || n/snappyRatio > len(b.Data) {
			return nil, fmt.Errorf("%w: %d compressed bytes of a body of %d", ErrCorrupt, len(b.Data), b.RawLen)
		}
		raw, err := snappy.Decode(nil, b.Data)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		return raw, nil
	}
	return nil, fmt.Errorf("%w: body encoding %d", ErrCorrupt, b.Enc)
}
