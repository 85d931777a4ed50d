package meter

// Where fuel is charged. A charge pays for the instructions that follow it in the text, up to the next charge. Charges
// stand
//   - at the entry of a function (but for short ones that neither loop nor call: their caller's call pays),
//   - at the head of a loop,
//   - after maxStretch instructions without a charge,
//   - after the end of a block, and at the start of an else branch, that a branch can reach past a charge,
//   - at instructions whose work depends on an operand (memory.fill and the like), by that operand.
//
// So on every path at most maxStretch instructions run between two charges, and each is paid for at least once.

const (
	maxStretch = 512
	callCost   = 16 // of one call instruction, its callee's own charges not counted
	growCost   = 1 << 17
	shortLeaf  = 16 // instructions of a function that pays nothing itself
)

// body is a function body in the making.
type body struct {
	*rewriter
	out    []byte
	frames []frame
	cost   int64 // of the instructions since the last charge
	patch  int   // where in out the last charge's amount stands
	due    bool  // a charge is wanted before the next instruction
	temp   uint32
	temped bool // the temporary local is used
	bound  bool // has loops, calls or instructions with a charge of their own
	total  int
	// What the compiler's time grows with the square of.
	branches int
}

// frame is an open block, loop, if or the function itself.
type frame struct{ charged bool }

// charge appends a charge whose amount is known later.
func (f *body) charge() {
	f.settle()
	f.out = f.appendLoad(f.out)
	f.out = append(f.out, opI64Const)
	f.patch = len(f.out)
	f.out = append(f.out, 0, 0)
	f.out = f.appendStoreAndCheck(append(f.out, opI64Sub))
	f.due = false
	f.frames[len(f.frames)-1].charged = true
}

// settle writes the amount of the last charge.
func (f *body) settle() {
	if f.patch > 0 {
		amount := min(max(f.cost, 1), 1<<13-1)
		f.out[f.patch] = byte(amount&0x7f) | 0x80
		f.out[f.patch+1] = byte(amount >> 7)
	}
	f.cost = 0
}

func (w *rewriter) appendLoad(b []byte) []byte { return appendU32(append(b, opGlobalGet), w.fuel) }

// appendStoreAndCheck stores the fuel on the stack and refills it when it is below zero.
func (w *rewriter) appendStoreAndCheck(b []byte) []byte {
	b = appendU32(append(b, opGlobalSet), w.fuel)
	b = w.appendLoad(b)
	b = append(b, opI64Const, 0, opI64LtS, opIf, typeEmpty)
	b = appendU32(append(b, opCall), w.refill)
	b = appendU32(append(b, opGlobalSet), w.fuel)
	return append(b, opEnd)
}

// chargeOperand charges the i32 on top of the stack, shifted right, and leaves it there.
func (f *body) chargeOperand(shift byte) {
	f.bound, f.temped = true, true
	f.out = appendU32(append(f.out, opLocalTee), f.temp)
	f.out = f.appendLoad(f.out)
	f.out = appendU32(append(f.out, opLocalGet), f.temp)
	f.out = append(f.out, opI64ExtendU, opI64Const, shift, opI64ShrU, opI64Sub)
	f.out = f.appendStoreAndCheck(f.out)
}

// chargeFixed charges an amount known now.
func (w *rewriter) chargeFixed(b []byte, amount int64) []byte {
	b = appendS64(append(w.appendLoad(b), opI64Const), amount)
	return w.appendStoreAndCheck(append(b, opI64Sub))
}

// wrapper is the body of the function that stands for an import.
func (w *rewriter) wrapper(fn uint32, params int) []byte {
	b := w.chargeFixed([]byte{0}, w.cfg.ImportCost) // no locals
	for i := range params {
		b = appendU32(append(b, opLocalGet), uint32(i))
	}
	b = appendU32(append(b, opCall), fn)
	return append(b, opEnd)
}

// remFunctions are the bodies of i32.rem_s, i32.rem_u, i64.rem_s and i64.rem_u without a remainder instruction. The
// signed ones look for -1 first, because the least number divided by it traps while its remainder is 0.
var remFunctions = [][]byte{
	remSigned(typeI32, opI32Const, opI32Eq, opI32DivS, opI32Mul, opI32Sub),
	remUnsigned(opI32DivU, opI32Mul, opI32Sub),
	remSigned(typeI64, opI64Const, opI64Eq, opI64DivS, opI64Mul, opI64Sub),
	remUnsigned(opI64DivU, opI64Mul, opI64Sub),
}

func remSigned(typ, constant, eq, div, mul, sub byte) []byte {
	return []byte{0,
		opLocalGet, 1, constant, 0x7f, eq, opIf, typ, constant, 0,
		opElse, opLocalGet, 0, opLocalGet, 0, opLocalGet, 1, div, opLocalGet, 1, mul, sub, opEnd, opEnd}
}

func remUnsigned(div, mul, sub byte) []byte {
	return []byte{0, opLocalGet, 0, opLocalGet, 0, opLocalGet, 1, div, opLocalGet, 1, mul, sub, opEnd}
}
