package meter

import "fmt"

// rewriter holds what the sections of the new module need to know of one another.
type rewriter struct {
	*Module
	cfg  Config
	fuel uint32 // index of the fuel global
	// Function indexes in the new module.
	refill   uint32
	wrappers uint32 // the first import's wrapper; the others follow
	rems     uint32 // the first remainder function, if cfg.ExpandRem
	locals   int    // of all functions so far
}

// Instrument returns the module with metering built in.
func (m *Module) Instrument(cfg Config) ([]byte, error) {
	imports := uint32(len(m.imported))
	w := &rewriter{Module: m, cfg: cfg, refill: imports, wrappers: imports + 1 + uint32(len(m.defined))}
	w.rems = w.wrappers + imports

	out := []byte("\x00asm\x01\x00\x00\x00")
	for _, id := range sectionOrder {
		s := m.sections[id]
		r := s.reader()
		if s.body == nil && (id == secType || id == secImport || id == secFunction || id == secGlobal || id == secCode) {
			r = &reader{b: []byte{0}} // an empty vector: these sections gain something
		}
		body := w.section(int(id), r)
		if r.err == nil && !r.done() {
			r.fail("bytes left over in section %d", id)
		}
		if r.err != nil {
			return nil, r.err
		}
		if len(body) > 0 {
			out = append(out, id)
			out = appendU32(out, uint32(len(body)))
			out = append(out, body...)
		}
	}
	return out, nil
}

// section returns the new form of a section, nil to leave it out.
func (w *rewriter) section(id int, r *reader) []byte {
	if len(r.b) == 0 {
		return nil
	}
	switch id {
	case secType:
		return w.typeSection(r)
	case secImport:
		return w.importSection(r)
	case secFunction:
		return w.functionSection(r)
	case secTable:
		return w.tableSection(r)
	case secMemory:
		return w.memorySection(r)
	case secGlobal:
		return w.globalSection(r)
	case secExport:
		return w.exportSection(r)
	case secStart:
		return w.appendFunc(r, nil, r.u32())
	case secElement:
		return w.elementSection(r)
	case secDataCount:
		return appendU32(nil, r.u32())
	case secCode:
		return w.codeSection(r)
	default:
		return w.dataSection(r)
	}
}

// appendFunc appends the new index of a function. Imports give way to their wrappers, and the refill import moves the
// defined functions up by one.
func (w *rewriter) appendFunc(r *reader, b []byte, fn uint32) []byte {
	switch n := uint32(len(w.imported)); {
	case r.err != nil:
		return b
	case fn < n:
		return appendU32(b, w.wrappers+fn)
	case uint64(fn) < uint64(n)+uint64(len(w.defined)):
		return appendU32(b, fn+1)
	default:
		r.fail("function %d is not there", fn)
		return b
	}
}

// The types that are added after the module's own: the refill's, then those of the remainder functions.
var addedTypes = []FuncType{
	{Results: []byte{typeI64}},
	{Params: []byte{typeI32, typeI32}, Results: []byte{typeI32}},
	{Params: []byte{typeI64, typeI64}, Results: []byte{typeI64}},
}

func (w *rewriter) typeSection(r *reader) []byte {
	n := r.count()
	b := appendU32(nil, uint32(n+len(addedTypes)))
	b = append(b, r.take(uint32(len(r.b)-r.pos))...)
	for _, t := range addedTypes {
		b = append(b, typeFunc)
		b = append(appendU32(b, uint32(len(t.Params))), t.Params...)
		b = append(appendU32(b, uint32(len(t.Results))), t.Results...)
	}
	return b
}

func (w *rewriter) importSection(r *reader) []byte {
	for _, im := range w.Imports {
		if im.Kind != Func {
			r.fail("imports the %s %s.%s: only functions can be imported", im.Kind, im.Module, im.Name)
			return nil
		}
	}
	n := r.count()
	b := appendU32(nil, uint32(n+1))
	b = append(b, r.take(uint32(len(r.b)-r.pos))...)
	b = appendName(b, ImportModule)
	b = appendName(b, ImportRefill)
	b = append(b, byte(Func))
	return appendU32(b, uint32(len(w.types)))
}

func (w *rewriter) functionSection(r *reader) []byte {
	n := r.count()
	added := append([]uint32(nil), w.imported...)
	if w.cfg.ExpandRem {
		t := uint32(len(w.types))
		added = append(added, t+1, t+1, t+2, t+2)
	}
	b := appendU32(nil, uint32(n+len(added)))
	b = append(b, r.take(uint32(len(r.b)-r.pos))...)
	for _, t := range added {
		b = appendU32(b, t)
	}
	return b
}

func (w *rewriter) tableSection(r *reader) []byte {
	n := r.count()
	if n > maxTables {
		r.fail("%d tables, at most %d", n, maxTables)
	}
	b := appendU32(nil, uint32(n))
	left := w.cfg.MaxElements
	for i := range n {
		b = append(b, r.refType())
		minimum, maximum, bounded := r.limits()
		if minimum > left {
			r.failOver("tables of more than %d elements", w.cfg.MaxElements)
			return nil
		}
		share := max(minimum, left/uint32(n-i))
		left -= share
		if !bounded || maximum > share {
			maximum = share
		}
		b = append(b, 1)
		b = appendU32(b, minimum)
		b = appendU32(b, maximum)
	}
	return b
}

func (w *rewriter) memorySection(r *reader) []byte {
	n := r.count()
	b := appendU32(nil, uint32(n))
	for range n {
		minimum, maximum, bounded := r.limits()
		if minimum > w.cfg.MaxPages {
			r.failOver("the module starts with %d bytes of memory, its limit is %d",
				int64(minimum)*PageSize, int64(w.cfg.MaxPages)*PageSize)
			return nil
		}
		if !bounded || maximum > w.cfg.MaxPages {
			maximum = w.cfg.MaxPages
		}
		b = append(b, 1)
		b = appendU32(b, minimum)
		b = appendU32(b, maximum)
	}
	return b
}

func (r *reader) failOver(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrTooMuch, fmt.Sprintf(format, args...))
	}
}

func (w *rewriter) globalSection(r *reader) []byte {
	n := r.count()
	if n > MaxGlobals {
		r.failOver("more than %d globals", MaxGlobals)
		return nil
	}
	w.fuel = uint32(n) // imported globals are refused
	b := appendU32(nil, uint32(n+1))
	for range n {
		b = append(b, r.valType(), r.byte())
		b = w.constExpr(r, b)
		if r.err != nil {
			return nil
		}
	}
	return append(b, typeI64, 1, opI64Const, 0, opEnd)
}

func (w *rewriter) exportSection(r *reader) []byte {
	n := r.count()
	b := appendU32(nil, uint32(n))
	for range n {
		b = appendName(b, r.name())
		kind := ExternKind(r.byte())
		b = append(b, byte(kind))
		if index := r.u32(); kind == Func {
			b = w.appendFunc(r, b, index)
		} else {
			if kind == Global && index >= w.fuel {
				r.fail("global %d is not there", index)
			}
			b = appendU32(b, index)
		}
		if r.err != nil {
			return nil
		}
	}
	return b
}

// constExpr copies a constant expression, its end included.
func (w *rewriter) constExpr(r *reader, b []byte) []byte {
	for r.err == nil {
		start := r.pos
		op := r.byte()
		switch op {
		case opRefFunc:
			b = w.appendFunc(r, append(b, op), r.u32())
			continue
		case opVector:
			if sub := r.u32(); sub != vecConst {
				r.fail("vector instruction %d in a constant expression", sub)
			}
			r.skip(imm16)
		case opI32Const, opI64Const, opF32Const, opF64Const, opGlobalGet, opRefNull, opEnd:
			r.skip(immediates[op])
		default:
			r.fail("instruction 0x%02x in a constant expression", op)
		}
		b = append(b, r.b[start:r.pos]...)
		if op == opEnd {
			break
		}
	}
	return b
}

// elementSection renumbers the functions of element segments. The flags of a segment say: bit 0, passive or declared;
// bit 1, an explicit table or, with bit 0, declared; bit 2, expressions instead of function indexes.
func (w *rewriter) elementSection(r *reader) []byte {
	n := r.count()
	b := appendU32(nil, uint32(n))
	for range n {
		flags := r.u32()
		if flags > 7 {
			r.fail("element segment of kind %d is not part of WebAssembly 2.0", flags)
			return nil
		}
		b = appendU32(b, flags)
		if active := flags&1 == 0; active {
			if flags&2 != 0 {
				b = appendU32(b, r.u32()) // table
			}
			b = w.constExpr(r, b)
		}
		exprs := flags&4 != 0
		if flags&3 != 0 { // the kind or type is left out in segments of kind 0 and 4
			if exprs {
				b = append(b, r.refType())
			} else {
				b = append(b, r.byte())
			}
		}
		elements := r.count()
		b = appendU32(b, uint32(elements))
		for range elements {
			if exprs {
				b = w.constExpr(r, b)
			} else {
				b = w.appendFunc(r, b, r.u32())
			}
			if r.err != nil {
				return nil
			}
		}
	}
	return b
}

// dataSection copies data segments. Their flags are as those of element segments.
func (w *rewriter) dataSection(r *reader) []byte {
	n := r.count()
	b := appendU32(make([]byte, 0, len(r.b)), uint32(n))
	for range n {
		flags := r.u32()
		if flags > 2 {
			r.fail("data segment of kind %d is not part of WebAssembly 2.0", flags)
		}
		b = appendU32(b, flags)
		if flags == 2 {
			b = appendU32(b, r.u32()) // memory
		}
		if flags != 1 {
			b = w.constExpr(r, b)
		}
		data := r.take(r.u32())
		if r.err != nil {
			return nil
		}
		b = append(appendU32(b, uint32(len(data))), data...)
	}
	return b
}

func (w *rewriter) codeSection(r *reader) []byte {
	n := r.count()
	if n != len(w.defined) {
		r.fail("%d function bodies for %d functions", n, len(w.defined))
		return nil
	}
	added := len(w.imported)
	if w.cfg.ExpandRem {
		added += len(remFunctions)
	}
	b := make([]byte, 0, len(r.b)+len(r.b)/8)
	b = appendU32(b, uint32(n+added))
	for i := range n {
		size := r.u32()
		if size > MaxFunctionBytes {
			r.failOver("a function of %d bytes, at most %d", size, MaxFunctionBytes)
		}
		body := r.take(size)
		if r.err != nil {
			return nil
		}
		br := &reader{b: body, base: r.base + r.pos - len(body)}
		code := w.function(br, w.types[w.defined[i]])
		if br.err != nil {
			r.err = fmt.Errorf("function %d: %w", len(w.imported)+i, br.err)
			return nil
		}
		b = append(appendU32(b, uint32(len(code))), code...)
	}
	for i, t := range w.imported {
		code := w.wrapper(uint32(i), len(w.types[t].Params))
		b = append(appendU32(b, uint32(len(code))), code...)
	}
	if w.cfg.ExpandRem {
		for _, code := range remFunctions {
			b = append(appendU32(b, uint32(len(code))), code...)
		}
	}
	return b
}
