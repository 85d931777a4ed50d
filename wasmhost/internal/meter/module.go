package meter

import (
	"bytes"
	"fmt"
)

// Section numbers of the binary format.
const (
	secCustom = iota
	secType
	secImport
	secFunction
	secTable
	secMemory
	secGlobal
	secExport
	secStart
	secElement
	secCode
	secData
	secDataCount
	numSections
)

// sectionOrder is the order in which sections stand in a module.
var sectionOrder = [...]byte{secType, secImport, secFunction, secTable, secMemory, secGlobal, secExport, secStart,
	secElement, secDataCount, secCode, secData}

// Limits of the decoder. They bound what a small module can make a compiler do.
const (
	MaxFunctionLocals = 50_000
	MaxFunctionBytes  = 8 << 20
	MaxDepth          = 4096   // of blocks inside one another
	MaxBranches       = 20_000 // of one function, a br_table's targets each counted
	MaxImports        = 1000   // the compiler looks at all of them, and at all globals, for every function
	MaxGlobals        = 10_000

	maxValues       = 1000    // parameters or results of a function type
	maxModuleLocals = 8 << 20 // of all functions together
	maxTables       = 100
)

// Module is a parsed module.
type Module struct {
	Imports []Import
	Exports []Export
	// MinPages is what the module's memory starts with; HasMemory whether there is one.
	MinPages  uint32
	HasMemory bool
	// Functions is the number of functions that the module defines.
	Functions int

	types    []FuncType
	imported []uint32 // type of each imported function
	defined  []uint32 // type of each defined function
	sections [numSections]section
}

type section struct {
	body []byte
	base int // of body in the module
}

func (s section) reader() *reader { return &reader{b: s.body, base: s.base} }

// Parse reads a module's outline: everything but the code.
func Parse(wasm []byte) (*Module, error) {
	if len(wasm) < 8 || !bytes.Equal(wasm[:4], []byte("\x00asm")) {
		return nil, ErrNotWasm
	}
	if wasm[6] == 1 { // the layer field: 0 is a core module, 1 a component
		return nil, ErrComponent
	}
	if !bytes.Equal(wasm[4:8], []byte{1, 0, 0, 0}) {
		return nil, fmt.Errorf("%w of version 1: version bytes % x", ErrNotWasm, wasm[4:8])
	}
	m := &Module{}
	if err := m.split(wasm); err != nil {
		return nil, err
	}
	for _, step := range []struct {
		section int
		parse   func(*reader)
	}{
		{secType, m.parseTypes},
		{secImport, m.parseImports},
		{secFunction, m.parseFunctions},
		{secMemory, m.parseMemory},
		{secExport, m.parseExports},
	} {
		s := m.sections[step.section]
		if s.body == nil {
			continue
		}
		r := s.reader()
		step.parse(r)
		if r.err == nil && !r.done() {
			r.fail("bytes left over in section %d", step.section)
		}
		if r.err != nil {
			return nil, r.err
		}
	}
	return m, nil
}

// split finds the sections. Custom sections are dropped: their function indexes would be wrong, and nothing runs them.
func (m *Module) split(wasm []byte) error {
	r := &reader{b: wasm, pos: 8}
	next := 0 // in sectionOrder
	for !r.done() {
		at := r.pos
		id := r.byte()
		body := r.take(r.u32())
		if r.err != nil {
			return r.err
		}
		if id == secCustom {
			continue
		}
		for next < len(sectionOrder) && sectionOrder[next] != id {
			next++
		}
		if next == len(sectionOrder) {
			return fmt.Errorf("at byte %d: section %d is unknown, doubled or out of order", at, id)
		}
		next++
		m.sections[id] = section{body: body, base: r.pos - len(body)}
	}
	return nil
}

func (m *Module) parseTypes(r *reader) {
	for range r.count() {
		if form := r.byte(); form != typeFunc && r.err == nil {
			r.fail("type form 0x%02x is not part of WebAssembly 2.0", form)
		}
		m.types = append(m.types, FuncType{Params: r.valTypes(), Results: r.valTypes()})
		if r.err != nil {
			return
		}
	}
}

func (r *reader) valTypes() []byte {
	n := r.count()
	if n > maxValues {
		r.fail("a function type of %d values, at most %d", n, maxValues)
	}
	start := r.pos
	for range n {
		r.valType()
	}
	if r.err != nil {
		return nil
	}
	return r.b[start:r.pos]
}

func (m *Module) parseImports(r *reader) {
	for range r.count() {
		im := Import{Module: r.name(), Name: r.name(), Kind: ExternKind(r.byte())}
		switch im.Kind {
		case Func:
			i := r.u32()
			im.Type = m.funcType(r, i)
			m.imported = append(m.imported, i)
		case Table:
			r.refType()
			r.limits()
		case Memory:
			r.limits()
		case Global:
			r.valType()
			r.byte()
		default:
			r.fail("import kind %d is not part of WebAssembly 2.0", im.Kind)
		}
		if r.err != nil {
			return
		}
		m.Imports = append(m.Imports, im)
		if len(m.Imports) > MaxImports {
			r.failOver("more than %d imports", MaxImports)
			return
		}
	}
}

func (m *Module) funcType(r *reader, i uint32) FuncType {
	if uint64(i) >= uint64(len(m.types)) {
		r.fail("type %d of %d", i, len(m.types))
		return FuncType{}
	}
	return m.types[i]
}

func (m *Module) parseFunctions(r *reader) {
	n := r.count()
	m.defined = make([]uint32, 0, n)
	for range n {
		i := r.u32()
		m.funcType(r, i)
		m.defined = append(m.defined, i)
		if r.err != nil {
			return
		}
	}
	m.Functions = n
}

func (m *Module) parseMemory(r *reader) {
	n := r.count()
	if n > 1 {
		r.fail("more than one memory")
	}
	for range n {
		m.MinPages, _, _ = r.limits()
		m.HasMemory = true
	}
}

func (r *reader) limits() (minimum, maximum uint32, bounded bool) {
	switch flags := r.byte(); flags {
	case 0:
		return r.u32(), 0, false
	case 1:
		return r.u32(), r.u32(), true
	default:
		r.fail("limits of kind %d (shared or 64-bit) are not part of WebAssembly 2.0", flags)
		return 0, 0, false
	}
}

func (m *Module) parseExports(r *reader) {
	for range r.count() {
		e := Export{Name: r.name(), Kind: ExternKind(r.byte()), Index: r.u32()}
		if e.Kind > Global {
			r.fail("export kind %d is not part of WebAssembly 2.0", e.Kind)
		}
		if r.err == nil && e.Kind == Func {
			t, ok := m.typeOf(e.Index)
			if !ok {
				r.fail("function %d is not there", e.Index)
			}
			e.Type = t
		}
		if r.err != nil {
			return
		}
		m.Exports = append(m.Exports, e)
	}
}

// typeOf returns the signature of a function by its index in the original module.
func (m *Module) typeOf(fn uint32) (FuncType, bool) {
	n := uint64(len(m.imported))
	switch i := uint64(fn); {
	case i < n:
		return m.types[m.imported[i]], true
	case i < n+uint64(len(m.defined)):
		return m.types[m.defined[i-n]], true
	}
	return FuncType{}, false
}
