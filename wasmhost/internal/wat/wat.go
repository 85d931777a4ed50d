// Package wat assembles small WebAssembly modules for tests. It reads a subset of the text format: instructions are
// written flat, not folded; labels, functions, locals and globals may have names; exports stand inside what they export.
//
//	(module
//	  (import "rmds_v1" "reply" (func $reply (param i32 i32) (result i32)))
//	  (memory (export "memory") 1)
//	  (data (i32.const 8) "hello")
//	  (func (export "rmds_handle") (result i32)
//	    i32.const 8 i32.const 5 call $reply drop
//	    i32.const 0))
package wat

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Must is Assemble for sources that are right.
func Must(source string) []byte {
	b, err := Assemble(source)
	if err != nil {
		panic(err)
	}
	return b
}

// Assemble returns the binary of a module.
func Assemble(source string) (wasm []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			e, ok := p.(syntaxError)
			if !ok {
				panic(p)
			}
			err = e
		}
	}()
	root := parse(source)
	a := &assembler{funcNames: map[string]uint32{}, globalNames: map[string]uint32{}}
	return a.module(root), nil
}

type syntaxError string

func (e syntaxError) Error() string { return "wat: " + string(e) }

func fail(format string, args ...any) { panic(syntaxError(fmt.Sprintf(format, args...))) }

// node is a token or a list.
type node struct {
	atom string // a word; strings begin with "
	list []node
}

func (n node) head() string {
	if len(n.list) == 0 {
		return ""
	}
	return n.list[0].atom
}

// name is the name of a field, "" if it has none.
func (n node) name() string {
	if len(n.list) > 1 && strings.HasPrefix(n.list[1].atom, "$") {
		return n.list[1].atom
	}
	return ""
}

func parse(s string) node {
	var stack [][]node
	top := []node{}
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == ' ' || c == '\n' || c == '\t' || c == '\r':
			i++
		case strings.HasPrefix(s[i:], ";;"):
			n := strings.IndexByte(s[i:], '\n')
			if n < 0 {
				n = len(s) - i
			}
			i += n
		case c == '(':
			stack = append(stack, top)
			top = []node{}
			i++
		case c == ')':
			if len(stack) == 0 {
				fail("a ) too many")
			}
			n := node{list: top}
			top = append(stack[len(stack)-1], n)
			stack = stack[:len(stack)-1]
			i++
		case c == '"':
			j := i + 1
			for j < len(s) && s[j] != '"' {
				if s[j] == '\\' {
					j++
				}
				j++
			}
			top = append(top, node{atom: s[i:j]})
			i = j + 1
		default:
			j := i
			for j < len(s) && !strings.ContainsRune(" \n\t\r()\"", rune(s[j])) {
				j++
			}
			top = append(top, node{atom: s[i:j]})
			i = j
		}
	}
	if len(stack) != 0 || len(top) != 1 || top[0].head() != "module" {
		fail("not one (module …)")
	}
	return top[0]
}

// text decodes a string with the escapes \n, \t, \", \\ and \hh.
func (n node) text() string {
	if !strings.HasPrefix(n.atom, `"`) {
		fail("%q where a string belongs", n.atom)
	}
	var b strings.Builder
	for s := n.atom[1:]; s != ""; s = s[1:] {
		if s[0] != '\\' {
			b.WriteByte(s[0])
			continue
		}
		s = s[1:]
		switch s[0] {
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		case '"', '\\':
			b.WriteByte(s[0])
		default:
			v, err := strconv.ParseUint(s[:2], 16, 8)
			if err != nil {
				fail("escape \\%s", s[:2])
			}
			b.WriteByte(byte(v))
			s = s[1:]
		}
	}
	return b.String()
}

func (n node) num() int64 {
	s := strings.ReplaceAll(n.atom, "_", "")
	v, err := strconv.ParseInt(s, 0, 64)
	if err != nil {
		u, uerr := strconv.ParseUint(s, 0, 64)
		if uerr != nil {
			fail("%q where a number belongs", n.atom)
		}
		v = int64(u)
	}
	return v
}

func u32(b []byte, v uint32) []byte { return binary.AppendUvarint(b, uint64(v)) }

func sleb(b []byte, v int64) []byte {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

func appendName(b []byte, s string) []byte { return append(u32(b, uint32(len(s))), s...) }

func floatBits(s string, size int) []byte {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		fail("%q where a number belongs", s)
	}
	if size == 4 {
		return binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(f)))
	}
	return binary.LittleEndian.AppendUint64(nil, math.Float64bits(f))
}

var valTypes = map[string]byte{"i32": 0x7f, "i64": 0x7e, "f32": 0x7d, "f64": 0x7c, "v128": 0x7b,
	"funcref": 0x70, "externref": 0x6f}

func valType(s string) byte {
	t, ok := valTypes[s]
	if !ok {
		fail("%q where a value type belongs", s)
	}
	return t
}
