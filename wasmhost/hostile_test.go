package wasmhost

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/getevo/rmds/wasmhost/internal/wat"
)

// hostile is a module that means harm, by the name that docs/hostile.md has for it.
type hostile struct {
	name string
	wasm func() []byte
	opts option
}

// handling is a reactor whose handler has a body that returns an i32.
func handling(body string) func() []byte {
	return func() []byte {
		return reactor(`(data (i32.const 512) "out") (data (i32.const 520) "content") (func (export "rmds_handle") (result i32) ` + body + `)`)
	}
}

// with is a reactor that does nothing, with something added.
func with(fields string) func() []byte {
	return func() []byte { return reactor(fields + `(func (export "rmds_handle") (result i32) i32.const 0)`) }
}

var hostileModules = []hostile{
	{"endless loop", handling(`loop br 0 end unreachable`), nil},
	{"endless loop in `rmds_init`", with(`(func (export "rmds_init") (result i32) loop br 0 end unreachable)`), nil},
	{"endless loop in the start function", with(`(start $s) (func $s loop br 0 end)`), nil},
	{"endless loop in a command", func() []byte { return command(`(func (export "_start") loop br 0 end)`) }, nil},
	{"endless loop in lines mode", func() []byte { return answering("", "loop br 0 end", "") }, inLines},
	{"silence in lines mode", func() []byte { return answering("", "", "") }, inLines},
	{"a line without an end in lines mode", func() []byte {
		return answering("", "loop i32.const 1 i32.const 64 i32.const 1 i32.const 48 call $fd_write drop br 0 end", "")
	}, func(l *Limits, s *Settings) { inLines(l, s); l.SendBytes, l.KVBytes = 1000, 1000 }},
	{"exponential call tree without a loop", callTree, nil},
	{"`br_table` storm", handling(`(local $i i32) block block loop local.get $i i32.const 1 i32.add local.tee $i i32.const 1 i32.and br_table 0 0 1 end end end unreachable`), nil},
	{"`memory.fill` of everything, again and again", handling(`loop i32.const 0 i32.const 0 i32.const 131072 memory.fill br 0 end unreachable`), nil},
	{"host calls without an end", handling(`loop call $now drop br 0 end unreachable`), nil},
	{"a sleep of 292 years", func() []byte { return sleeper }, func(l *Limits, _ *Settings) { l.Timeout = 50 * time.Millisecond }},
	{"endless recursion", func() []byte {
		return reactor(`(func $f (param i32) (result i32) local.get 0 i32.const 1 i32.add call $f i32.const 1 i32.add)
			(func (export "rmds_handle") (result i32) i32.const 0 call $f)`)
	}, func(l *Limits, _ *Settings) { l.CPU = time.Minute }},
	{"growing memory without an end", handling(`loop i32.const 16 memory.grow drop br 0 end unreachable`), nil},
	{"starting with 4 GiB of memory", func() []byte {
		return wat.Must(`(module (memory (export "memory") 65536) (func (export "rmds_handle") (result i32) i32.const 0))`)
	}, nil},
	{"a table of 4 thousand million elements", with(`(table 4294967295 funcref)`), nil},
	{"a data segment beyond memory", with(`(data (i32.const 131071) "ab")`), nil},
	{"a module of 40 MB", func() []byte { return append(version(1), make([]byte, 40<<20)...) }, nil},
	{"a function of 60,000 locals", with(`(func ` + strings.Repeat(`(local i64)`, 60_000) + `)`), nil},
	{"blocks 5,000 deep", with(`(func ` + strings.Repeat(`block `, 5000) + strings.Repeat(`end `, 5000) + `)`), nil},
	{"a pointer one byte outside memory", handling(`i32.const 131072 i32.const 1 call $reply`), nil},
	{"a pointer and a length that overflow", handling(`i32.const -1 i32.const -1 call $reply`), nil},
	{"the key and the buffer overlap", handling(`i32.const 520 i32.const 7 i32.const 520 i32.const 7 call $msg_get i32.const 5 i32.ne`), nil},
	{"a flood of log lines", handling(`loop i32.const 3 i32.const 0 i32.const 100 call $log br 0 end unreachable`), nil},
	{"a flood of sends", handling(`loop i32.const 512 i32.const 3 i32.const 0 i32.const 100 call $send drop br 0 end unreachable`), nil},
	{"a flood of writes", handling(`loop i32.const 512 i32.const 3 i32.const 0 i32.const 100 call $kv_set drop br 0 end unreachable`), nil},
	{"importing the meter", func() []byte {
		return wat.Must(`(module (import "rmds_meter" "refill" (func (result i64))) (memory (export "memory") 1) (func (export "rmds_handle") (result i32) i32.const 0))`)
	}, nil},
	{"importing a socket", func() []byte {
		return wat.Must(`(module (import "wasi_snapshot_preview1" "sock_open" (func (param i32) (result i32))) (memory (export "memory") 1) (func (export "rmds_handle") (result i32) i32.const 0))`)
	}, nil},
	{"opening a file", func() []byte { return opener }, nil},
	{"an import list of 100,000 entries", func() []byte {
		return wat.Must(`(module ` + strings.Repeat(`(import "rmds_v1" "now" (func (result i64)))`, 100_000) + ` (memory (export "memory") 1) (func (export "rmds_handle") (result i32) i32.const 0))`)
	}, nil},
	{"20,000 globals", with(strings.Repeat(`(global i32 (i32.const 0))`, 20_000)), nil},
	{"random bytes", func() []byte { return []byte("\x00asm\x01\x00\x00\x00\xff\x80\x80\x80\x80\x80") }, nil},
}

// callTree calls itself twice at each of 60 levels.
func callTree() []byte {
	var b strings.Builder
	b.WriteString(`(func $f0)`)
	for i := 1; i <= 60; i++ {
		fmt.Fprintf(&b, `(func $f%d call $f%d call $f%d)`, i, i-1, i-1)
	}
	return reactor(b.String() + `(func (export "rmds_handle") (result i32) call $f60 i32.const 0)`)
}

var sleeper = wat.Must(`(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "rmds_handle") (result i32)
    i32.const 24 i64.const 9223372036854775807 i64.store
    i32.const 0 i32.const 256 i32.const 1 i32.const 512 call $poll))`)

// opener opens /etc/passwd below each of the first descriptors and fails if it gets no error.
var opener = wat.Must(`(module
  (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (memory (export "memory") 1) (data (i32.const 0) "etc/passwd")
  (func (export "rmds_handle") (result i32) (local $fd i32)
    loop
      local.get $fd i32.const 0 i32.const 0 i32.const 10 i32.const 0 i64.const 2 i64.const 2 i32.const 0 i32.const 64 call $open
      i32.eqz if i32.const 1 return end
      local.get $fd i32.const 1 i32.add local.tee $fd i32.const 8 i32.lt_u br_if 0
    end
    i32.const 65))`)

// TestHostileModules loads and calls every module of docs/hostile.md beside a good one, and holds that what happens is
// what the document says, and that the good one goes on.
func TestHostileModules(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles large modules")
	}
	document, err := os.ReadFile("../docs/hostile.md")
	if err != nil {
		t.Fatal(err)
	}
	h := newHost(t)
	neighbour, err := tryLoad(t, h, version(1))
	if err != nil {
		t.Fatal(err)
	}
	goroutines := runtime.NumGoroutine()
	var rows []string
	for _, m := range hostileModules {
		began := time.Now()
		row := fmt.Sprintf("| %s | %s |", m.name, ordeal(h, m))
		t.Logf("%s %v", row, time.Since(began).Round(time.Millisecond))
		rows = append(rows, row)
		if !strings.Contains(string(document), row+"\n") {
			t.Errorf("docs/hostile.md does not say: %s", row)
		}
		if v := versionOf(t, neighbour.Call); v != 1 {
			t.Errorf("after %s the neighbour says %d", m.name, v)
		}
	}
	if n := strings.Count(string(document), "\n| ") - 1; n != len(rows) { // but the head
		t.Errorf("docs/hostile.md has %d rows, the test %d", n, len(rows))
	}
	wantGoroutines(t, goroutines)
}

// ordeal says what became of a hostile module.
func ordeal(h *Host, m hostile) string {
	limits, settings := DefaultLimits(), Settings{Name: "hostile", Sends: []string{"out"}}
	limits.Timeout, limits.CPU, limits.MemoryBytes = time.Minute, 50*time.Millisecond, 4<<20
	if m.opts != nil {
		m.opts(&limits, &settings)
	}
	wasm := m.wasm()
	mod, err := h.Load(context.Background(), wasm, limits, settings)
	if err != nil {
		return "refused: " + sentence(err)
	}
	defer mod.Close(context.Background())
	o := mod.Call(context.Background(), message("hello"), newEffects())
	if o.Err != nil {
		return "failed: " + sentence(o.Err)
	}
	return o.Kind.String()
}

// sentence is the first line of an error up to what differs from run to run.
func sentence(err error) string {
	s, _, _ := strings.Cut(err.Error(), "\n")
	s, _, _ = strings.Cut(s, " after ")
	return s
}
