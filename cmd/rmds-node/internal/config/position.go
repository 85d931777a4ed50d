package config

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// place says where a key and its value begin, as byte offsets. Of a table, both are where its header names it.
type place struct{ key, value int }

// index knows the place of every key of one TOML document, by full name: "delivery.ack_timeout", "handler[1].config.max".
type index struct {
	src   string
	at    map[string]place
	count map[string]int // tables so far of each array of tables
	off   int
}

// newIndex scans a document that the TOML parser has accepted. It therefore only has to find keys and step over values.
func newIndex(src string) *index {
	x := &index{src: src, at: map[string]place{}, count: map[string]int{}}
	table := ""
	for x.blank(); x.off < len(src); x.blank() {
		if src[x.off] == '[' {
			table = x.header()
		} else {
			x.pair(table)
		}
	}
	return x
}

// position returns line and column, from 1 and in characters, of an offset.
func (x *index) position(off int) (line, col int) {
	before := x.src[:min(off, len(x.src))]
	start := strings.LastIndexByte(before, '\n') + 1
	return strings.Count(before, "\n") + 1, utf8.RuneCountInString(before[start:]) + 1
}

// blank steps over white space, newlines and comments.
func (x *index) blank() {
	for x.off < len(x.src) {
		switch x.src[x.off] {
		case ' ', '\t', '\r', '\n':
			x.off++
		case '#':
			x.line()
		default:
			return
		}
	}
}

func (x *index) line() {
	for x.off < len(x.src) && x.src[x.off] != '\n' {
		x.off++
	}
}

// header reads [a.b] or [[a.b]] and returns the full name of the table that it opens.
func (x *index) header() string {
	x.off++
	array := x.off < len(x.src) && x.src[x.off] == '['
	if array {
		x.off++
	}
	x.blank()
	start := x.off
	parts := x.keys()
	name := ""
	for i, p := range parts {
		name = join(name, p)
		if array && i == len(parts)-1 {
			x.count[name]++
		}
		if n := x.count[name]; n > 0 {
			x.note(name, start, start)
			name = fmt.Sprintf("%s[%d]", name, n-1)
		}
		x.note(name, start, start)
	}
	x.line()
	return name
}

// pair reads key = value, where the key may be dotted, inside the named table.
func (x *index) pair(table string) {
	start := x.off
	parts := x.keys()
	x.off++ // =
	x.blank()
	for _, p := range parts {
		table = join(table, p)
		x.note(table, start, x.off)
	}
	x.value(table)
}

func (x *index) note(name string, key, value int) {
	if _, ok := x.at[name]; !ok {
		x.at[name] = place{key, value}
	}
}

func join(table, key string) string {
	if table == "" {
		return key
	}
	return table + "." + key
}

// keys reads a key of one or more parts and the blanks after it.
func (x *index) keys() (parts []string) {
	for x.off < len(x.src) {
		start := x.off
		if c := x.src[x.off]; c == '"' || c == '\'' {
			x.text()
			parts = append(parts, x.src[start+1:x.off-1])
		} else {
			for x.off < len(x.src) && !strings.ContainsRune(" \t.=]", rune(x.src[x.off])) {
				x.off++
			}
			parts = append(parts, x.src[start:x.off])
		}
		x.blank()
		if x.off >= len(x.src) || x.src[x.off] != '.' {
			break
		}
		x.off++
		x.blank()
	}
	return parts
}

// value steps over a value and notes the places of what it contains.
func (x *index) value(name string) {
	if x.off >= len(x.src) {
		return
	}
	switch x.src[x.off] {
	case '"', '\'':
		x.text()
	case '[':
		x.list(']', func(i int) {
			element := fmt.Sprintf("%s[%d]", name, i)
			x.note(element, x.off, x.off)
			x.value(element)
		})
	case '{':
		x.list('}', func(int) { x.pair(name) })
	default:
		for x.off < len(x.src) && !strings.ContainsRune(",]}#\r\n", rune(x.src[x.off])) {
			x.off++
		}
	}
}

// list reads the elements between brackets.
func (x *index) list(end byte, element func(i int)) {
	x.off++
	for i := 0; ; i++ {
		x.blank()
		if x.off >= len(x.src) || x.src[x.off] == end {
			break
		}
		element(i)
		x.blank()
		if x.off < len(x.src) && x.src[x.off] == ',' {
			x.off++
		}
	}
	x.off++
}

// text steps over a string of any of the four kinds.
func (x *index) text() {
	quote := x.src[x.off : x.off+1]
	end, escapes := quote, quote == `"`
	if strings.HasPrefix(x.src[x.off:], strings.Repeat(quote, 3)) {
		end = strings.Repeat(quote, 3)
	}
	x.off += len(end)
	for x.off < len(x.src) && !strings.HasPrefix(x.src[x.off:], end) {
		if escapes && x.src[x.off] == '\\' {
			x.off++
		}
		x.off++
	}
	x.off = min(x.off+len(end), len(x.src))
	for len(end) == 3 && x.off < len(x.src) && x.src[x.off] == quote[0] { // """text"""" may end in quotes of its own
		x.off++
	}
}
