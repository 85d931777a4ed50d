package wat

import "strings"

type assembler struct {
	types       []string // encoded function types
	imports     vec
	funcs       vec
	tables      vec
	memories    vec
	globals     vec
	exports     vec
	elems       vec
	codes       vec
	datas       vec
	start       []byte
	dataCount   bool
	funcNames   map[string]uint32
	globalNames map[string]uint32
	imported    uint32
}

// vec is an encoded vector in the making.
type vec struct {
	n uint32
	b []byte
}

func (v *vec) add(b []byte) {
	v.n++
	v.b = append(v.b, b...)
}

// module assembles in two passes: names first, so that functions may call what comes later.
func (a *assembler) module(root node) []byte {
	fields := root.list[1:]
	var next, global uint32
	for _, pass := range []string{"import", "func", "global"} {
		for _, f := range fields {
			if f.head() != pass {
				continue
			}
			switch {
			case pass == "global":
				a.globalNames[f.name()] = global
				global++
			case pass == "func":
				a.funcNames[f.name()] = next
				next++
			case f.list[3].head() == "func":
				a.funcNames[f.list[3].name()] = next
				next++
			}
		}
		if pass == "import" {
			a.imported = next
		}
	}
	index := a.imported
	for _, f := range fields {
		switch f.head() {
		case "import":
			a.importField(f)
		case "func":
			a.function(f, index)
			index++
		case "memory":
			a.memories.add(a.limits(a.inlineExport(f, 2, 0)))
		case "table":
			rest := a.inlineExport(f, 1, a.tables.n)
			a.tables.add(append([]byte{valType(rest[len(rest)-1].atom)}, a.limits(rest[:len(rest)-1])...))
		case "global":
			a.global(f)
		case "elem":
			a.elem(f)
		case "data":
			a.data(f)
		case "start":
			a.start = u32(nil, a.funcIndex(f.list[1].atom))
		default:
			fail("(%s …) is not supported", f.head())
		}
	}
	return a.encode()
}

func (a *assembler) encode() []byte {
	out := []byte("\x00asm\x01\x00\x00\x00")
	section := func(id byte, b []byte) {
		if len(b) > 0 {
			out = append(out, id)
			out = append(u32(out, uint32(len(b))), b...)
		}
	}
	vector := func(id byte, v vec) {
		if v.n > 0 {
			section(id, append(u32(nil, v.n), v.b...))
		}
	}
	var types vec
	for _, t := range a.types {
		types.add([]byte(t))
	}
	vector(1, types)
	vector(2, a.imports)
	vector(3, a.funcs)
	vector(4, a.tables)
	vector(5, a.memories)
	vector(6, a.globals)
	vector(7, a.exports)
	section(8, a.start)
	vector(9, a.elems)
	if a.dataCount {
		section(12, u32(nil, a.datas.n))
	}
	vector(10, a.codes)
	vector(11, a.datas)
	return out
}

// inlineExport takes an optional name and (export "…") off a field.
func (a *assembler) inlineExport(f node, kind byte, index uint32) []node {
	rest := f.list[1:]
	for len(rest) > 0 {
		if strings.HasPrefix(rest[0].atom, "$") {
			rest = rest[1:]
		} else if rest[0].head() == "export" {
			a.exports.add(u32(append(appendName(nil, rest[0].list[1].text()), kind), index))
			rest = rest[1:]
		} else {
			break
		}
	}
	return rest
}

func (a *assembler) limits(n []node) []byte {
	if len(n) == 1 {
		return u32([]byte{0}, uint32(n[0].num()))
	}
	return u32(u32([]byte{1}, uint32(n[0].num())), uint32(n[1].num()))
}

// signature reads (param …) and (result …) fields and returns the type's index, what follows, and the parameters' names.
func (a *assembler) signature(n []node) (uint32, []node, []string) {
	var params, results, names []string
	for len(n) > 0 && (n[0].head() == "param" || n[0].head() == "result") {
		for _, t := range n[0].list[1:] {
			switch {
			case n[0].head() == "result":
				results = append(results, t.atom)
			case strings.HasPrefix(t.atom, "$"):
				names = append(names, t.atom)
			default:
				if len(names) == len(params) {
					names = append(names, "")
				}
				params = append(params, t.atom)
			}
		}
		n = n[1:]
	}
	enc := []byte{0x60}
	for _, list := range [][]string{params, results} {
		enc = u32(enc, uint32(len(list)))
		for _, t := range list {
			enc = append(enc, valType(t))
		}
	}
	for i, t := range a.types {
		if t == string(enc) {
			return uint32(i), n, names
		}
	}
	a.types = append(a.types, string(enc))
	return uint32(len(a.types) - 1), n, names
}

func (a *assembler) importField(f node) {
	b := appendName(appendName(nil, f.list[1].text()), f.list[2].text())
	inner := f.list[3]
	rest := inner.list[1:]
	if len(rest) > 0 && strings.HasPrefix(rest[0].atom, "$") {
		rest = rest[1:]
	}
	switch inner.head() {
	case "func":
		t, _, _ := a.signature(rest)
		b = u32(append(b, 0), t)
	case "memory":
		b = append(append(b, 2), a.limits(rest)...)
	case "global":
		b = append(b, 3, valType(rest[0].atom), 0)
	default:
		fail("import of a %s is not supported", inner.head())
	}
	a.imports.add(b)
}

func (a *assembler) funcIndex(s string) uint32 {
	if i, ok := a.funcNames[s]; ok {
		return i
	}
	return uint32(node{atom: s}.num())
}

func (a *assembler) globalIndex(s string) uint32 {
	if i, ok := a.globalNames[s]; ok {
		return i
	}
	return uint32(node{atom: s}.num())
}

func (a *assembler) global(f node) {
	rest := a.inlineExport(f, 3, a.globals.n)
	var b []byte
	if rest[0].head() == "mut" {
		b = append(b, valType(rest[0].list[1].atom), 1)
	} else {
		b = append(b, valType(rest[0].atom), 0)
	}
	a.globals.add(append(b, a.constExpr(rest[1])...))
}

func (a *assembler) constExpr(n node) []byte {
	c := code{a: a}
	c.body(n.list)
	return append(c.b, 0x0b)
}

// elem reads (elem (i32.const n) $f…) for table 0, (elem func $f…) for a passive and (elem declare func $f…) for a
// declared segment.
func (a *assembler) elem(f node) {
	rest := f.list[1:]
	var b []byte
	switch {
	case rest[0].atom == "func":
		b = append(b, 1, 0)
	case rest[0].atom == "declare":
		b = append(b, 3, 0)
		rest = rest[1:]
	default:
		b = append([]byte{0}, a.constExpr(rest[0])...)
	}
	rest = rest[1:]
	b = u32(b, uint32(len(rest)))
	for _, n := range rest {
		b = u32(b, a.funcIndex(n.atom))
	}
	a.elems.add(b)
}

// data reads (data (i32.const n) "…") and, for a passive segment, (data "…").
func (a *assembler) data(f node) {
	if rest := f.list[1:]; len(rest) == 1 {
		a.dataCount = true
		a.datas.add(appendName([]byte{1}, rest[0].text()))
	} else {
		a.datas.add(appendName(append([]byte{0}, a.constExpr(rest[0])...), rest[1].text()))
	}
}

func (a *assembler) function(f node, index uint32) {
	t, rest, names := a.signature(a.inlineExport(f, 0, index))
	a.funcs.add(u32(nil, t))
	c := code{a: a, locals: map[string]uint32{}}
	for i, n := range names {
		c.locals[n] = uint32(i)
	}
	next := uint32(len(names))
	var locals vec
	for ; len(rest) > 0 && rest[0].head() == "local"; rest = rest[1:] {
		for _, n := range rest[0].list[1:] {
			if strings.HasPrefix(n.atom, "$") {
				c.locals[n.atom] = next
				continue
			}
			locals.add([]byte{1, valType(n.atom)})
			next++
		}
	}
	c.body(rest)
	b := append(u32(nil, locals.n), locals.b...)
	b = append(append(b, c.b...), 0x0b)
	a.codes.add(append(u32(nil, uint32(len(b))), b...))
}
