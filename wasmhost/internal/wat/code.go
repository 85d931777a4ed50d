package wat

import (
	"encoding/hex"
	"strings"
)

// code assembles the instructions of one function.
type code struct {
	a      *assembler
	b      []byte
	locals map[string]uint32
	labels []string // open blocks
}

// body assembles flat instructions. Operands follow their instruction.
func (c *code) body(n []node) {
	for len(n) > 0 {
		n = c.instruction(n[0].atom, n[1:])
	}
}

func (c *code) instruction(op string, n []node) []node {
	switch op {
	case "block", "loop", "if":
		return c.block(op, n)
	case "else":
		c.b = append(c.b, 0x05)
		return n
	case "end":
		c.b = append(c.b, 0x0b)
		c.labels = c.labels[:len(c.labels)-1]
		return n
	case "br", "br_if":
		c.b = u32(append(c.b, map[string]byte{"br": 0x0c, "br_if": 0x0d}[op]), c.label(n[0].atom))
		return n[1:]
	case "br_table":
		return c.brTable(n)
	case "call":
		c.b = u32(append(c.b, 0x10), c.a.funcIndex(n[0].atom))
		return n[1:]
	case "ref.func":
		c.b = u32(append(c.b, 0xd2), c.a.funcIndex(n[0].atom))
		return n[1:]
	case "ref.null":
		c.b = append(c.b, 0xd0, map[string]byte{"func": 0x70, "extern": 0x6f}[n[0].atom])
		return n[1:]
	case "call_indirect":
		t, rest, _ := c.a.signature(n)
		c.b = append(u32(append(c.b, 0x11), t), 0)
		return rest
	case "local.get", "local.set", "local.tee":
		c.b = u32(append(c.b, map[string]byte{"get": 0x20, "set": 0x21, "tee": 0x22}[op[6:]]), c.local(n[0].atom))
		return n[1:]
	case "global.get", "global.set":
		c.b = u32(append(c.b, map[string]byte{"get": 0x23, "set": 0x24}[op[7:]]), c.a.globalIndex(n[0].atom))
		return n[1:]
	case "i32.const":
		c.b = sleb(append(c.b, 0x41), int64(int32(n[0].num())))
		return n[1:]
	case "i64.const":
		c.b = sleb(append(c.b, 0x42), n[0].num())
		return n[1:]
	case "f32.const":
		c.b = append(append(c.b, 0x43), floatBits(n[0].atom, 4)...)
		return n[1:]
	case "f64.const":
		c.b = append(append(c.b, 0x44), floatBits(n[0].atom, 8)...)
		return n[1:]
	case "bytes": // raw code in hexadecimal, for what this assembler does not know
		raw, err := hex.DecodeString(n[0].atom)
		if err != nil {
			fail("bytes %q", n[0].atom)
		}
		c.b = append(c.b, raw...)
		return n[1:]
	}
	if enc, ok := indexed[op]; ok {
		c.a.dataCount = c.a.dataCount || op == "memory.init"
		c.b = append(c.b, enc.op...)
		for range enc.indexes {
			c.b = u32(c.b, uint32(n[0].num()))
			n = n[1:]
		}
		c.b = append(c.b, enc.tail...)
		return n
	}
	if b, ok := memoryOps[op]; ok {
		return c.memory(b, n)
	}
	b, ok := plainOps[op]
	if !ok {
		fail("instruction %q is not supported", op)
	}
	c.b = append(c.b, b)
	return n
}

func (c *code) block(op string, n []node) []node {
	label := ""
	if len(n) > 0 && strings.HasPrefix(n[0].atom, "$") {
		label, n = n[0].atom, n[1:]
	}
	c.labels = append(c.labels, label)
	c.b = append(c.b, map[string]byte{"block": 0x02, "loop": 0x03, "if": 0x04}[op])
	t, rest, _ := c.a.signature(n)
	sig := n[:len(n)-len(rest)]
	switch {
	case len(sig) == 0:
		c.b = append(c.b, 0x40)
	case len(sig) == 1 && sig[0].head() == "result" && len(sig[0].list) == 2:
		c.b = append(c.b, valType(sig[0].list[1].atom))
	default:
		c.b = sleb(c.b, int64(t))
	}
	return rest
}

func (c *code) label(s string) uint32 {
	for i := range c.labels {
		if c.labels[len(c.labels)-1-i] == s {
			return uint32(i)
		}
	}
	return uint32(node{atom: s}.num())
}

func (c *code) brTable(n []node) []node {
	var targets []uint32
	for len(n) > 0 && (strings.HasPrefix(n[0].atom, "$") || n[0].atom != "" && n[0].atom[0] >= '0' && n[0].atom[0] <= '9') {
		targets = append(targets, c.label(n[0].atom))
		n = n[1:]
	}
	c.b = u32(append(c.b, 0x0e), uint32(len(targets)-1))
	for _, t := range targets {
		c.b = u32(c.b, t)
	}
	return n
}

func (c *code) local(s string) uint32 {
	if i, ok := c.locals[s]; ok {
		return i
	}
	return uint32(node{atom: s}.num())
}

func (c *code) memory(op byte, n []node) []node {
	var offset uint32
	if len(n) > 0 && strings.HasPrefix(n[0].atom, "offset=") {
		offset = uint32(node{atom: n[0].atom[len("offset="):]}.num())
		n = n[1:]
	}
	c.b = u32(append(c.b, op, 0), offset)
	return n
}

// indexed are instructions that take indexes as operands, and what follows those.
var indexed = map[string]struct {
	op      []byte
	indexes int
	tail    []byte
}{
	"memory.size": {[]byte{0x3f}, 0, []byte{0}},
	"memory.grow": {[]byte{0x40}, 0, []byte{0}},
	"memory.init": {[]byte{0xfc, 8}, 1, []byte{0}},
	"data.drop":   {[]byte{0xfc, 9}, 1, nil},
	"memory.copy": {[]byte{0xfc, 10}, 0, []byte{0, 0}},
	"memory.fill": {[]byte{0xfc, 11}, 0, []byte{0}},
	"table.init":  {[]byte{0xfc, 12}, 1, []byte{0}},
	"elem.drop":   {[]byte{0xfc, 13}, 1, nil},
	"table.copy":  {[]byte{0xfc, 14}, 0, []byte{0, 0}},
	"table.grow":  {[]byte{0xfc, 15}, 0, []byte{0}},
	"table.size":  {[]byte{0xfc, 16}, 0, []byte{0}},
	"table.fill":  {[]byte{0xfc, 17}, 0, []byte{0}},
	"table.get":   {[]byte{0x25}, 0, []byte{0}},
	"table.set":   {[]byte{0x26}, 0, []byte{0}},
}

// numbered gives names consecutive opcodes.
func numbered(first int, names string) map[string]byte {
	m := map[string]byte{}
	for i, n := range strings.Fields(names) {
		m[n] = byte(first + i)
	}
	return m
}

var memoryOps = numbered(0x28, `i32.load i64.load f32.load f64.load
	i32.load8_s i32.load8_u i32.load16_s i32.load16_u
	i64.load8_s i64.load8_u i64.load16_s i64.load16_u i64.load32_s i64.load32_u
	i32.store i64.store f32.store f64.store i32.store8 i32.store16 i64.store8 i64.store16 i64.store32`)

var plainOps = func() map[string]byte {
	m := numbered(0x45, `i32.eqz i32.eq i32.ne i32.lt_s i32.lt_u i32.gt_s i32.gt_u i32.le_s i32.le_u i32.ge_s i32.ge_u
		i64.eqz i64.eq i64.ne i64.lt_s i64.lt_u i64.gt_s i64.gt_u i64.le_s i64.le_u i64.ge_s i64.ge_u
		f32.eq f32.ne f32.lt f32.gt f32.le f32.ge f64.eq f64.ne f64.lt f64.gt f64.le f64.ge
		i32.clz i32.ctz i32.popcnt i32.add i32.sub i32.mul i32.div_s i32.div_u i32.rem_s i32.rem_u
		i32.and i32.or i32.xor i32.shl i32.shr_s i32.shr_u i32.rotl i32.rotr
		i64.clz i64.ctz i64.popcnt i64.add i64.sub i64.mul i64.div_s i64.div_u i64.rem_s i64.rem_u
		i64.and i64.or i64.xor i64.shl i64.shr_s i64.shr_u i64.rotl i64.rotr
		f32.abs f32.neg f32.ceil f32.floor f32.trunc f32.nearest f32.sqrt f32.add f32.sub f32.mul f32.div f32.min f32.max f32.copysign
		f64.abs f64.neg f64.ceil f64.floor f64.trunc f64.nearest f64.sqrt f64.add f64.sub f64.mul f64.div f64.min f64.max f64.copysign
		i32.wrap_i64 i32.trunc_f32_s i32.trunc_f32_u i32.trunc_f64_s i32.trunc_f64_u
		i64.extend_i32_s i64.extend_i32_u i64.trunc_f32_s i64.trunc_f32_u i64.trunc_f64_s i64.trunc_f64_u
		f32.convert_i32_s f32.convert_i32_u f32.convert_i64_s f32.convert_i64_u f32.demote_f64
		f64.convert_i32_s f64.convert_i32_u f64.convert_i64_s f64.convert_i64_u f64.promote_f32
		i32.reinterpret_f32 i64.reinterpret_f64 f32.reinterpret_i32 f64.reinterpret_i64
		i32.extend8_s i32.extend16_s i64.extend8_s i64.extend16_s i64.extend32_s`)
	for name, op := range map[string]byte{"unreachable": 0x00, "nop": 0x01, "return": 0x0f, "drop": 0x1a, "select": 0x1b,
		"ref.is_null": 0xd1} {
		m[name] = op
	}
	return m
}()
