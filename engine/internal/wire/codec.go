package wire

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Encode appends f to dst as one frame and returns the extended slice.
func Encode(dst []byte, f Frame) []byte {
	start := len(dst)
	dst = append(dst, Magic, Version, f.kind(), 0)
	dst = f.appendFields(dst)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// Decode reads one frame. The checksum is verified before anything else is looked at. The frame aliases b, which must
// not be changed afterwards. Errors wrap ErrCorrupt or ErrVersion.
func Decode(b []byte) (Frame, error) {
	if len(b) < headerSize+crcSize {
		return nil, fmt.Errorf("%w: frame of %d bytes", ErrCorrupt, len(b))
	}
	body := b[:len(b)-crcSize]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(b[len(body):]) {
		return nil, fmt.Errorf("%w: checksum", ErrCorrupt)
	}
	if body[0] != Magic {
		return nil, fmt.Errorf("%w: not a frame", ErrCorrupt)
	}
	if body[1] != Version {
		return nil, fmt.Errorf("%w: version %d, this node reads %d", ErrVersion, body[1], Version)
	}
	f := newFrame(body[2])
	if f == nil {
		return nil, fmt.Errorf("%w: frame type %d", ErrVersion, body[2])
	}
	r := reader{b: body[3:]}
	if features := r.uvarint(); r.err == nil && features != 0 {
		return nil, fmt.Errorf("%w: feature bits %#x", ErrVersion, features)
	}
	f.readFields(&r)
	if r.err == nil && len(r.b) > 0 {
		r.fail("%d bytes left over", len(r.b))
	}
	if r.err != nil {
		return nil, fmt.Errorf("%w (frame type %d)", r.err, body[2])
	}
	return f, nil
}

// Fields are written in four ways: counters as minimal LEB128 (uvarint), signed numbers as zigzag LEB128 (varint), random
// 64-bit ids in 8 bytes little-endian, strings and bytes with their length before them.

func appendUvarint(b []byte, v uint64) []byte {
	if v < 0x80 {
		return append(b, byte(v))
	}
	return binary.AppendUvarint(b, v)
}

func appendVarint(b []byte, v int64) []byte { return appendUvarint(b, uint64(v)<<1^uint64(v>>63)) }

func appendID(b []byte, v uint64) []byte { return binary.LittleEndian.AppendUint64(b, v) }

func appendString(b []byte, s string) []byte { return append(appendUvarint(b, uint64(len(s))), s...) }

func appendBytes(b, s []byte) []byte { return append(appendUvarint(b, uint64(len(s))), s...) }

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// reader takes fields off the front of b. The first fault sticks; after it every read returns zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
	}
	r.b = nil
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail("truncated")
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) uvarint() uint64 {
	if len(r.b) > 0 && r.b[0] < 0x80 {
		v := r.b[0]
		r.b = r.b[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(r.b)
	if n <= 0 || r.b[n-1] == 0 { // a last byte of 0 adds nothing: not the shortest form
		r.fail("malformed number")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v := r.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

func (r *reader) id() uint64 {
	if len(r.b) < 8 {
		r.fail("truncated")
		return 0
	}
	v := binary.LittleEndian.Uint64(r.b)
	r.b = r.b[8:]
	return v
}

func (r *reader) bool() bool {
	v := r.byte()
	if v > 1 {
		r.fail("bool %d", v)
	}
	return v == 1
}

// bytes returns a length-prefixed field, aliasing the input; nil if it is empty.
func (r *reader) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.fail("field of %d bytes, %d left", n, len(r.b))
		return nil
	}
	if n == 0 {
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) string() string { return string(r.bytes()) }

// count reads the length of a list whose elements take at least size bytes each, so that a list is never allocated
// larger than the input can fill.
func (r *reader) count(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.b)/size) {
		r.fail("list of %d, %d bytes left", n, len(r.b))
		return 0
	}
	return int(n)
}

// appendList writes a count and the elements.
func appendList[T any](b []byte, list []T, one func([]byte, *T) []byte) []byte {
	b = appendUvarint(b, uint64(len(list)))
	for i := range list {
		b = one(b, &list[i])
	}
	return b
}

// readList reads what appendList wrote; nil if it is empty. size is the least size of an element.
func readList[T any](r *reader, size int, one func(*reader, *T)) []T {
	n := r.count(size)
	if n == 0 {
		return nil
	}
	list := make([]T, n)
	for i := range list {
		one(r, &list[i])
	}
	return list
}
