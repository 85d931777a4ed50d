package meter

// Value types.
const (
	typeI32       = 0x7f
	typeI64       = 0x7e
	typeF32       = 0x7d
	typeF64       = 0x7c
	typeV128      = 0x7b
	typeFuncref   = 0x70
	typeExternref = 0x6f
	typeFunc      = 0x60
	typeEmpty     = 0x40 // as a block type
)

// Opcodes that the rewriter reads or writes. All others only need their immediates skipped.
const (
	opBlock        = 0x02
	opLoop         = 0x03
	opIf           = 0x04
	opElse         = 0x05
	opEnd          = 0x0b
	opBr           = 0x0c
	opBrIf         = 0x0d
	opBrTable      = 0x0e
	opCall         = 0x10
	opCallIndirect = 0x11
	opSelect       = 0x1b
	opSelectTyped  = 0x1c
	opLocalGet     = 0x20
	opLocalTee     = 0x22
	opGlobalGet    = 0x23
	opGlobalSet    = 0x24
	opMemorySize   = 0x3f
	opMemoryGrow   = 0x40
	opI32Const     = 0x41
	opI64Const     = 0x42
	opF32Const     = 0x43
	opF64Const     = 0x44
	opI32Eq        = 0x46
	opI64Eq        = 0x51
	opI64LtS       = 0x53
	opI32Sub       = 0x6b
	opI32Mul       = 0x6c
	opI32DivS      = 0x6d
	opI32DivU      = 0x6e
	opI32RemS      = 0x6f
	opI32RemU      = 0x70
	opI64Sub       = 0x7d
	opI64Mul       = 0x7e
	opI64DivS      = 0x7f
	opI64DivU      = 0x80
	opI64RemS      = 0x81
	opI64RemU      = 0x82
	opI64ShrU      = 0x88
	opI64ExtendU   = 0xad
	opLastNumeric  = 0xc4
	opRefNull      = 0xd0
	opRefIsNull    = 0xd1
	opRefFunc      = 0xd2
	opMisc         = 0xfc
	opVector       = 0xfd

	miscMemoryInit = 8
	miscDataDrop   = 9
	miscMemoryCopy = 10
	miscMemoryFill = 11
	miscTableInit  = 12
	miscElemDrop   = 13
	miscTableCopy  = 14
	miscTableGrow  = 15
	miscTableSize  = 16
	miscTableFill  = 17

	vecConst = 12
)

// immediate is the kind of operands that follow an opcode.
type immediate byte

const (
	immInvalid   immediate = iota
	immNone                // nothing
	immBlock               // block type
	immIndex               // one index
	immIndex2              // two indexes
	immFunc                // function index
	immTypes               // select's vector of value types
	immMem                 // alignment and offset
	immMemLane             // the same and a lane
	immZero                // the memory index, 0
	immZero2               // two of them
	immIndexZero           // an index and a memory index
	immS32
	immS64
	imm4  // four bytes
	imm8  // eight bytes
	imm16 // sixteen bytes
	immLane
	immRef // reference type
)

var immediates = func() (t [256]immediate) {
	set := func(imm immediate, from, to int) {
		for op := from; op <= to; op++ {
			t[op] = imm
		}
	}
	set(immNone, 0x00, 0x01)
	set(immBlock, opBlock, opIf)
	set(immNone, opElse, opElse)
	set(immNone, opEnd, opEnd)
	set(immNone, 0x0f, 0x0f) // return
	set(immFunc, opCall, opCall)
	set(immIndex2, opCallIndirect, opCallIndirect)
	set(immNone, 0x1a, opSelect)
	set(immTypes, opSelectTyped, opSelectTyped)
	set(immIndex, opLocalGet, 0x26) // locals, globals, table.get, table.set
	set(immMem, 0x28, 0x3e)
	set(immZero, opMemorySize, opMemoryGrow)
	set(immS32, opI32Const, opI32Const)
	set(immS64, opI64Const, opI64Const)
	set(imm4, opF32Const, opF32Const)
	set(imm8, opF64Const, opF64Const)
	set(immNone, 0x45, opLastNumeric)
	set(immRef, opRefNull, opRefNull)
	set(immNone, opRefIsNull, opRefIsNull)
	set(immFunc, opRefFunc, opRefFunc)
	return t
}()

var miscImmediates = [...]immediate{
	immNone, immNone, immNone, immNone, immNone, immNone, immNone, immNone, // saturating truncations
	miscMemoryInit: immIndexZero,
	miscDataDrop:   immIndex,
	miscMemoryCopy: immZero2,
	miscMemoryFill: immZero,
	miscTableInit:  immIndex2,
	miscElemDrop:   immIndex,
	miscTableCopy:  immIndex2,
	miscTableGrow:  immIndex,
	miscTableSize:  immIndex,
	miscTableFill:  immIndex,
}

// vectorImmediate is the kind of operands of a SIMD instruction. Numbers that the specification leaves free pass here
// and are refused by validation.
func vectorImmediate(sub uint32) immediate {
	switch {
	case sub <= 11: // v128.load… and v128.store
		return immMem
	case sub <= vecConst+1: // v128.const, i8x16.shuffle
		return imm16
	case sub >= 21 && sub <= 34: // extract_lane, replace_lane
		return immLane
	case sub >= 84 && sub <= 91: // v128.load8_lane … v128.store64_lane
		return immMemLane
	case sub == 92 || sub == 93: // v128.load32_zero, v128.load64_zero
		return immMem
	case sub <= 255:
		return immNone
	}
	return immInvalid
}

// skip reads past the operands of kind imm.
func (r *reader) skip(imm immediate) {
	switch imm {
	case immNone:
	case immBlock:
		r.skipBlockType()
	case immIndex:
		r.u32()
	case immIndex2:
		r.u32()
		r.u32()
	case immTypes:
		for range r.count() {
			r.valType()
		}
	case immMem:
		r.u32()
		r.u32()
	case immMemLane:
		r.u32()
		r.u32()
		r.byte()
	case immZero:
		r.zero()
	case immZero2:
		r.zero()
		r.zero()
	case immIndexZero:
		r.u32()
		r.zero()
	case immS32:
		r.skipSigned(32)
	case immS64:
		r.skipSigned(64)
	case imm4:
		r.take(4)
	case imm8:
		r.take(8)
	case imm16:
		r.take(16)
	case immLane:
		r.byte()
	case immRef:
		r.refType()
	default:
		r.fail("an instruction that is not part of WebAssembly 2.0")
	}
}

func (r *reader) zero() {
	if r.byte() != 0 {
		r.fail("more than one memory")
	}
}

// skipBlockType reads a block type: empty, one value type, or the index of a type as a non-negative 33-bit number.
func (r *reader) skipBlockType() {
	if r.done() {
		r.fail("unexpected end")
		return
	}
	switch c := r.b[r.pos]; {
	case c == typeEmpty:
		r.pos++
	case c&0xc0 == 0x40: // a one-byte negative number: a value type
		r.valType()
	default:
		r.skipSigned(33)
	}
}
