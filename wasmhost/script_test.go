package wasmhost

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// script makes a guest that calls host functions one after the other and keeps what they return.
type script struct {
	data  strings.Builder // segments
	free  int             // where the next string goes
	calls strings.Builder
	n     int
	end   string // the last instructions of rmds_handle
}

// Where a script's strings, its results and its buffer lie. Its memory has two pages.
const (
	scriptStrings = 2 << 10
	scriptResults = 48 << 10
	scriptBuffer  = 64 << 10
)

// buffer is n bytes for a host function to write to.
type buffer int

func (s *script) put(at int, text string) {
	fmt.Fprintf(&s.data, "(data (i32.const %d) \"", at)
	for i := range len(text) {
		fmt.Fprintf(&s.data, "\\%02x", text[i])
	}
	s.data.WriteString("\")\n")
}

// call adds a call. A string argument stands for its address and length, a buffer for those of the script's buffer.
func (s *script) call(fn string, args ...any) *script {
	fmt.Fprintf(&s.calls, "i32.const %d\n", scriptResults+8*s.n)
	for _, a := range args {
		switch a := a.(type) {
		case int:
			fmt.Fprintf(&s.calls, "i32.const %d ", a)
		case string:
			at := scriptStrings + s.free
			s.put(at, a)
			s.free += len(a)
			fmt.Fprintf(&s.calls, "i32.const %d i32.const %d ", at, len(a))
		case buffer:
			fmt.Fprintf(&s.calls, "i32.const %d i32.const %d ", scriptBuffer, int(a))
		}
	}
	fmt.Fprintf(&s.calls, "call $%s\n", fn)
	switch fn {
	case "log":
		s.calls.WriteString("drop\n")
	case "now":
		s.calls.WriteString("i64.store\n")
	default:
		s.calls.WriteString("i32.store\n")
	}
	s.n++
	return s
}

func (s *script) wat(export string) string {
	end := s.end
	if end == "" {
		end = "i32.const 0"
	}
	return fmt.Sprintf("%s (func (export %q) (result i32) %s %s)", s.data.String(), export, s.calls.String(), end)
}

// run runs the script as a handler and returns what its calls returned.
func (s *script) run(t testing.TB, msg *Msg, fx *effects, opts ...option) ([]int32, guest, Outcome) {
	t.Helper()
	g := loadWAT(t, s.wat("rmds_handle"), opts...)
	inst := g.pool.idle[0] // its memory is looked at even if it is thrown away
	o := g.run(t, msg, fx)
	return s.results(inst), g, o
}

func (s *script) results(inst *instance) []int32 {
	out := make([]int32, s.n)
	for i := range out {
		b, ok := inst.mod.Memory().Read(uint32(scriptResults+8*i), 4)
		if ok {
			out[i] = int32(binary.LittleEndian.Uint32(b))
		}
	}
	return out
}

// memory returns n bytes of the memory of a guest's only instance.
func (g guest) memory(t testing.TB, at, n int) string {
	t.Helper()
	if len(g.pool.idle) != 1 {
		t.Fatalf("%d free instances, want 1", len(g.pool.idle))
	}
	b, ok := g.pool.idle[0].mod.Memory().Read(uint32(at), uint32(n))
	if !ok {
		t.Fatalf("no memory at %d", at)
	}
	return string(b)
}
