package meter

// function returns the new form of a function body: locals, then code.
func (w *rewriter) function(r *reader, t FuncType) []byte {
	groups := r.count()
	start := r.pos
	locals := uint64(0)
	for range groups {
		locals += uint64(r.u32())
		r.valType()
		if locals > MaxFunctionLocals {
			r.failOver("a function of more than %d locals", MaxFunctionLocals)
		}
		if r.err != nil {
			return nil
		}
	}
	if w.locals += int(locals); w.locals > maxModuleLocals {
		r.failOver("more than %d locals in all functions", maxModuleLocals)
		return nil
	}
	declared := r.b[start:r.pos]

	f := &body{rewriter: w, temp: uint32(len(t.Params)) + uint32(locals), frames: []frame{{}}}
	f.out = make([]byte, 0, len(r.b)+len(r.b)/4+64)
	f.charge()
	entry := len(f.out)
	for len(f.frames) > 0 && r.err == nil {
		f.instruction(r)
	}
	if r.err == nil && !r.done() {
		r.fail("bytes after the end of the function")
	}
	if r.err != nil {
		return nil
	}
	f.settle()
	code := f.out
	if !f.bound && f.total <= shortLeaf {
		code = code[entry:]
	}

	var head []byte
	if f.temped {
		head = append(appendU32(head, uint32(groups+1)), declared...)
		head = append(head, 1, typeI32)
	} else {
		head = append(appendU32(head, uint32(groups)), declared...)
	}
	return append(head, code...)
}

// instruction copies one instruction, with the charges that belong before and after it.
func (f *body) instruction(r *reader) {
	start := r.pos
	op := r.byte()
	if op != opEnd && op != opElse && (f.due || f.cost >= maxStretch) {
		f.bound = true
		f.charge()
	}
	f.cost++
	f.total++
	switch op {
	case opBlock, opLoop, opIf:
		r.skip(immBlock)
		f.out = append(f.out, r.b[start:r.pos]...)
		f.open(r, op)
	case opBr, opBrIf, opBrTable:
		f.branch(r, op)
		f.out = append(f.out, r.b[start:r.pos]...)
	case opElse:
		f.out = append(f.out, op)
		f.due = f.due || f.frames[len(f.frames)-1].charged
	case opEnd:
		f.end()
	case opCall:
		f.bound = true
		f.cost += callCost
		f.out = f.appendFunc(r, append(f.out, op), r.u32())
	case opCallIndirect:
		f.bound = true
		f.cost += callCost
		r.skip(immIndex2)
		f.out = append(f.out, r.b[start:r.pos]...)
	case opRefFunc:
		f.out = f.appendFunc(r, append(f.out, op), r.u32())
	case opMemoryGrow:
		f.bound = true
		r.skip(immZero)
		f.out = f.chargeFixed(f.out, growCost)
		f.out = append(f.out, r.b[start:r.pos]...)
	case opMisc:
		f.misc(r, start)
	case opVector:
		f.vector(r, start)
	case opGlobalGet, opGlobalSet:
		if r.u32() >= f.fuel { // the fuel's index is free in the original: it must stay out of reach
			r.fail("a global that is not there")
		}
		f.out = append(f.out, r.b[start:r.pos]...)
	case opI32RemS, opI32RemU, opI64RemS, opI64RemU:
		f.remainder(op)
	default:
		r.skip(immediates[op])
		f.out = append(f.out, r.b[start:r.pos]...)
	}
}

// open enters a block.
func (f *body) open(r *reader, op byte) {
	if len(f.frames) == MaxDepth {
		r.failOver("blocks nested more than %d deep", MaxDepth)
	}
	f.frames = append(f.frames, frame{})
	if op == opLoop {
		f.bound = true
		f.due = true
	}
	if op == opIf {
		f.countBranches(r, 1)
	}
}

// branch reads the operands of a branch.
func (f *body) branch(r *reader, op byte) {
	if op != opBrTable {
		r.u32()
		f.countBranches(r, 1)
		return
	}
	n := r.count()
	for range n + 1 {
		r.u32()
	}
	f.countBranches(r, n+1)
}

func (f *body) countBranches(r *reader, n int) {
	if f.branches += n; f.branches > MaxBranches {
		r.failOver("a function of more than %d branches", MaxBranches)
	}
}

// end closes a block. What follows it may be reached by a branch from before a charge inside.
func (f *body) end() {
	top := f.frames[len(f.frames)-1]
	f.frames = f.frames[:len(f.frames)-1]
	f.out = append(f.out, opEnd)
	if len(f.frames) > 0 && (top.charged || f.due) {
		f.frames[len(f.frames)-1].charged = true
		f.due = true
	}
}

func (f *body) misc(r *reader, start int) {
	sub := r.u32()
	if r.pos != start+2 || int(sub) >= len(miscImmediates) { // one way to write it, so that no reader sees another
		r.fail("instruction 0xfc %d is not part of WebAssembly 2.0", sub)
		return
	}
	r.skip(miscImmediates[sub])
	switch sub {
	case miscMemoryInit, miscMemoryCopy, miscMemoryFill:
		f.chargeOperand(4)
	case miscTableInit, miscTableCopy, miscTableGrow, miscTableFill:
		f.chargeOperand(0)
	}
	f.out = append(f.out, r.b[start:r.pos]...)
}

func (f *body) vector(r *reader, start int) {
	sub := r.u32()
	if r.pos != start+2 && !(sub >= 0x80 && r.pos == start+3) {
		r.fail("vector instruction %d is not part of WebAssembly 2.0", sub)
		return
	}
	r.skip(vectorImmediate(sub))
	f.out = append(f.out, r.b[start:r.pos]...)
}

func (f *body) remainder(op byte) {
	if !f.cfg.ExpandRem {
		f.out = append(f.out, op)
		return
	}
	var i uint32
	switch op {
	case opI32RemU:
		i = 1
	case opI64RemS:
		i = 2
	case opI64RemU:
		i = 3
	}
	f.out = appendU32(append(f.out, opCall), f.rems+i)
}
