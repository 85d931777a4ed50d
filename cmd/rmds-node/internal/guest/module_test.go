package guest

import "fmt"

// program builds a module for a test: an rmds_handle of calls to rmds_v1 with constant arguments and raw code between.
// Its memory of one page starts with the texts that it was given.
type program struct {
	imports []string
	texts   []byte
	code    []byte
}

var parameters = map[string]int{"msg_get": 4, "kv_get": 4, "kv_set": 4, "kv_del": 2, "kv_next": 4, "reply": 2, "send": 4, "head": 4, "note": 4}

// Instructions.
const (
	opUnreachable = 0x00
	opLoop        = 0x03
	opIf          = 0x04
	opEnd         = 0x0b
	opBranch      = 0x0c
	opReturn      = 0x0f
	opCall        = 0x10
	opDrop        = 0x1a
	opLoad8       = 0x2d
	opStore8      = 0x3a
	opConst       = 0x41
	opEqual       = 0x46
	opAdd         = 0x6a
	blockEmpty    = 0x40
)

// text puts a text into memory and returns its place and length.
func (p *program) text(s string) (ptr, n int) {
	p.texts = append(p.texts, s...)
	return len(p.texts) - len(s), len(s)
}

// call calls a function of rmds_v1 with texts (a pointer and a length each) and numbers, and leaves its result.
func (p *program) call(name string, args ...any) *program {
	n := 0
	for _, a := range args {
		switch a := a.(type) {
		case string:
			ptr, size := p.text(a)
			p.number(ptr).number(size)
			n += 2
		case int:
			p.number(a)
			n++
		}
	}
	if n != parameters[name] {
		panic(fmt.Sprintf("%s takes %d parameters, not %d", name, parameters[name], n))
	}
	index := len(p.imports)
	for i, other := range p.imports {
		if other == name {
			index = i
		}
	}
	if index == len(p.imports) {
		p.imports = append(p.imports, name)
	}
	return p.raw(opCall, byte(index))
}

// do is call with the result dropped.
func (p *program) do(name string, args ...any) *program { return p.call(name, args...).raw(opDrop) }

func (p *program) number(n int) *program { return p.raw(append([]byte{opConst}, signed(n)...)...) }

func (p *program) raw(code ...byte) *program {
	p.code = append(p.code, code...)
	return p
}

// module returns the binary. The code must leave an i32: what rmds_handle returns.
func (p *program) module() []byte {
	types, imports := []byte{}, []byte{}
	for i, name := range p.imports {
		f := append([]byte{0x60}, unsigned(parameters[name])...)
		for range parameters[name] {
			f = append(f, 0x7f)
		}
		types = append(types, append(f, 1, 0x7f)...)
		imports = append(imports, named("rmds_v1")...)
		imports = append(imports, append(named(name), 0, byte(i))...)
	}
	n := len(p.imports)
	types = append(types, 0x60, 0, 1, 0x7f)
	exports := append(named("memory"), 2, 0)
	exports = append(append(exports, named("rmds_handle")...), 0, byte(n))
	body := append([]byte{0}, append(p.code, opEnd)...)
	data := append([]byte{0, opConst, 0, opEnd}, append(unsigned(len(p.texts)), p.texts...)...)

	out := []byte("\x00asm\x01\x00\x00\x00")
	for _, s := range []struct {
		id    byte
		count int
		body  []byte
	}{
		{1, n + 1, types}, {2, n, imports}, {3, 1, []byte{byte(n)}}, {5, 1, []byte{0, 1}}, {7, 2, exports},
		{10, 1, append(unsigned(len(body)), body...)}, {11, 1, data},
	} {
		content := append(unsigned(s.count), s.body...)
		out = append(append(append(out, s.id), unsigned(len(content))...), content...)
	}
	return out
}

func named(s string) []byte { return append(unsigned(len(s)), s...) }

// unsigned and signed encode numbers in LEB128.
func unsigned(n int) (out []byte) {
	for ; n >= 0x80; n >>= 7 {
		out = append(out, byte(n)|0x80)
	}
	return append(out, byte(n))
}

func signed(n int) (out []byte) {
	for ; n < -64 || n > 63; n >>= 7 {
		out = append(out, byte(n&0x7f)|0x80)
	}
	return append(out, byte(n&0x7f))
}
