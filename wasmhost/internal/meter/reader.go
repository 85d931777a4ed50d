package meter

import (
	"fmt"
	"unicode/utf8"
)

// reader reads the binary format. The first error sticks and makes every further read return zero, so callers check
// err once, after what they read.
type reader struct {
	b    []byte
	pos  int
	base int // of b in the module, for messages
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("at byte %d: %s", r.base+r.pos, fmt.Sprintf(format, args...))
		r.pos = len(r.b)
	}
}

func (r *reader) done() bool { return r.pos >= len(r.b) }

func (r *reader) byte() byte {
	if r.done() {
		r.fail("unexpected end")
		return 0
	}
	c := r.b[r.pos]
	r.pos++
	return c
}

// take returns the next n bytes, which alias the module.
func (r *reader) take(n uint32) []byte {
	if uint64(n) > uint64(len(r.b)-r.pos) {
		r.fail("unexpected end: %d bytes wanted, %d left", n, len(r.b)-r.pos)
		return nil
	}
	s := r.b[r.pos : r.pos+int(n)]
	r.pos += int(n)
	return s
}

func (r *reader) u32() uint32 {
	var v uint32
	for shift := 0; shift < 35; shift += 7 {
		c := r.byte()
		if shift == 28 && c > 0x0f {
			break
		}
		v |= uint32(c&0x7f) << shift
		if c < 0x80 {
			return v
		}
	}
	r.fail("malformed 32-bit number")
	return 0
}

// skipSigned skips a signed number of at most bits bits, whose value nobody needs.
func (r *reader) skipSigned(bits int) {
	for shift := 0; shift < bits; shift += 7 {
		c := r.byte()
		if c >= 0x80 {
			continue
		}
		if rest := bits - shift; rest < 7 { // the last byte: what is beyond the sign must repeat it
			sign := int8(c<<1) >> 1 // sign-extended 7 bits
			if top := sign >> (rest - 1); top != 0 && top != -1 {
				break
			}
		}
		return
	}
	r.fail("malformed %d-bit number", bits)
}

// count reads the length of a vector whose elements take at least one byte each.
func (r *reader) count() int {
	n := r.u32()
	if uint64(n) > uint64(len(r.b)-r.pos) {
		r.fail("a vector of %d elements in %d bytes", n, len(r.b)-r.pos)
		return 0
	}
	return int(n)
}

func (r *reader) name() string {
	s := r.take(r.u32())
	if r.err == nil && !utf8.Valid(s) {
		r.fail("a name that is not UTF-8")
	}
	return string(s)
}

func (r *reader) valType() byte {
	t := r.byte()
	switch t {
	case typeI32, typeI64, typeF32, typeF64, typeV128, typeFuncref, typeExternref:
	default:
		r.fail("value type 0x%02x is not part of WebAssembly 2.0", t)
	}
	return t
}

func (r *reader) refType() byte {
	t := r.byte()
	if t != typeFuncref && t != typeExternref {
		r.fail("reference type 0x%02x is not part of WebAssembly 2.0", t)
	}
	return t
}

func appendU32(b []byte, v uint32) []byte {
	for ; v >= 0x80; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v))
}

func appendS64(b []byte, v int64) []byte {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

func appendName(b []byte, s string) []byte {
	return append(appendU32(b, uint32(len(s))), s...)
}
