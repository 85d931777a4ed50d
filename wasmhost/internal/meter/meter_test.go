package meter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/getevo/rmds/wasmhost/internal/wat"
)

var testConfig = Config{MaxPages: 1024, MaxElements: 1 << 16, ImportCost: 1000}

func instrument(t testing.TB, wasm []byte, cfg Config) []byte {
	t.Helper()
	m, err := Parse(wasm)
	if err != nil {
		t.Fatal(err)
	}
	out, err := m.Instrument(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// newRuntime returns a runtime with WASI and a refill that gives slice each time.
func newRuntime(t testing.TB, slice uint64) wazero.Runtime {
	t.Helper()
	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithDebugInfoEnabled(false))
	t.Cleanup(func() { rt.Close(ctx) })
	wasi_snapshot_preview1.MustInstantiate(ctx, rt)
	_, err := rt.NewHostModuleBuilder(ImportModule).NewFunctionBuilder().
		WithGoFunction(api.GoFunc(func(_ context.Context, stack []uint64) { stack[0] = slice }), nil,
			[]api.ValueType{api.ValueTypeI64}).Export(ImportRefill).Instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return rt
}

// start instantiates a module, without a start function, under an initialiser if it has one.
func start(t testing.TB, rt wazero.Runtime, wasm []byte) api.Module {
	t.Helper()
	mod, err := rt.InstantiateWithConfig(context.Background(), wasm,
		wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize"))
	if err != nil {
		t.Fatal(err)
	}
	return mod
}

// mixed has functions that use every kind of thing that is renumbered or charged.
const mixed = `(module
  (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
  (memory (export "memory") 1 3)
  (table 4 8 funcref)
  (global $g (mut i32) (i32.const 5))
  (elem (i32.const 0) $double $yield $square)
  (elem func $square $double)
  (elem declare func $fac)
  (data (i32.const 16) "abcdefgh")
  (data "passive")
  (start $boot)
  (func $boot global.get $g i32.const 2 i32.mul global.set $g)
  (func $double (param i32) (result i32) local.get 0 i32.const 2 i32.mul)
  (func $square (param i32) (result i32) local.get 0 local.get 0 i32.mul)
  (func $fac (export "fac") (param i64) (result i64)
    local.get 0 i64.eqz if (result i64) i64.const 1 else
      local.get 0 local.get 0 i64.const 1 i64.sub call $fac i64.mul end)
  (func (export "loop") (param $n i32) (result i32) (local $s i32)
    block $out loop $top
      local.get $n i32.eqz br_if $out
      local.get $s local.get $n i32.const 7 i32.rem_s i32.add
      local.get $n i32.const 5 i32.rem_u i32.add local.set $s
      local.get $n i32.const 1 i32.sub local.set $n
      br $top
    end end
    local.get $s)
  (func (export "rem") (param i32) (result i64) (local $a i64)
    local.get 0 i64.extend_i32_s local.set $a
    local.get $a i64.const 7 i64.rem_s local.get $a i64.const 11 i64.rem_u i64.add
    local.get $a i64.const -1 i64.rem_s i64.add
    i32.const 0x80000000 i32.const -1 i32.rem_s i64.extend_i32_s i64.add)
  (func (export "divide") (param i32) (result i32) i32.const 100 local.get 0 i32.rem_s)
  (func (export "indirect") (param i32) (result i32)
    local.get 0 i32.const 2 local.get 0 i32.const 1 i32.and i32.mul call_indirect (param i32) (result i32)
    i32.const 1 call_indirect (result i32) i32.add
    global.get $g i32.add)
  (func (export "tables") (param i32) (result i32)
    i32.const 2 i32.const 0 i32.const 2 table.init 1
    i32.const 1 i32.const 2 i32.const 1 table.copy
    ref.func $fac i32.const 2 table.grow
    ref.func $fac i32.const 100 table.grow i32.add
    local.get 0 i32.const 1 call_indirect (param i32) (result i32) i32.add
    i32.const 3 ref.null func i32.const 1 table.fill
    table.size i32.add
    i32.const 3 table.get ref.is_null i32.add)
  (func (export "bulk") (param i32) (result i32)
    i32.const 32 i32.const 0 i32.const 7 memory.init 1
    i32.const 100 i32.const 32 i32.const 7 memory.copy
    i32.const 107 local.get 0 i32.const 9 memory.fill
    i32.const 1 memory.grow
    i32.const 5000 memory.grow i32.add
    i32.const 104 i32.load i32.add i32.const 16 i32.load i32.add
    memory.size i32.add)
  (func (export "branches") (param i32) (result i32) (local $s i32)
    block $d block $c block $b block $a
      local.get 0 i32.const 3 i32.and br_table $a $b $c $d
    end i32.const 1 local.set $s
    end local.get $s i32.const 10 i32.add local.set $s
    end local.get $s i32.const 100 i32.add local.set $s
    end
    local.get 0 if (result i32) local.get $s else i32.const 7 end)
  (func $pair (param i32) (result i32 i32) local.get 0 local.get 0 i32.const 3 i32.add)
  (func (export "multi") (param i32) (result i32)
    local.get 0 call $pair i32.mul
    local.get 0 i32.const 1 block (param i32 i32) (result i32) i32.sub end i32.add
    local.get 0 loop (param i32) (result i32) i32.extend8_s end i32.add)
  (func (export "vector") (param i32) (result i32)
    local.get 0 bytes fd11 i32.const 3 bytes fd11 bytes fdae01
    bytes fd0c000102030405060708090a0b0c0d0e0f bytes fd6e
    bytes fd1b02)
  (func (export "saturate") (param i32) (result i32)
    local.get 0 f64.convert_i32_s f64.const 1e9 f64.mul bytes fc02
    i32.const 1 local.get 0 local.get 0 i32.const 3 i32.gt_s bytes 1c017f i32.add)
)`

func TestSameResultsAsTheOriginal(t *testing.T) {
	wasm := wat.Must(mixed)
	rt := newRuntime(t, 100)
	plain := start(t, rt, wasm)
	rem := testConfig
	rem.ExpandRem = true
	for name, cfg := range map[string]Config{"plain rem": testConfig, "expanded rem": rem} {
		metered := start(t, rt, instrument(t, wasm, cfg))
		for fn := range plain.ExportedFunctionDefinitions() {
			for _, arg := range []int32{0, 1, 2, 3, 5, 20, 1000, -1, -7, -1 << 31, 1<<31 - 1} {
				if fn == "fac" && (arg < 0 || arg > 1000) || fn == "loop" && arg < 0 || fn == "loop" && arg > 1000 {
					continue
				}
				want, wantErr := plain.ExportedFunction(fn).Call(context.Background(), api.EncodeI32(arg))
				got, err := metered.ExportedFunction(fn).Call(context.Background(), api.EncodeI32(arg))
				if fmt.Sprint(got) != fmt.Sprint(want) || (err == nil) != (wantErr == nil) {
					t.Errorf("%s: %s(%d) = %v, %v; the original gives %v, %v", name, fn, arg, got, err, want, wantErr)
				}
			}
		}
		a, _ := plain.Memory().Read(0, 1<<16)
		if b, _ := metered.Memory().Read(0, 1<<16); !bytes.Equal(a, b) {
			t.Errorf("%s: the memories differ", name)
		}
		plain = start(t, rt, wasm)
	}
}

// buildGo builds a Go reactor.
func buildGo(t testing.TB, dir string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "guest.wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-o", out, "./"+dir)
	cmd.Env = append(cmd.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=")
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, b)
	}
	return out
}

func TestGoModuleComputesTheSame(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and compiles a Go module")
	}
	wasm := readFile(t, buildGo(t, "testdata/gomix"))
	rt := newRuntime(t, 1000)
	rem := testConfig
	rem.ExpandRem = true
	plain, metered := start(t, rt, wasm), start(t, rt, instrument(t, wasm, rem))
	for seed := range int64(20) {
		want, err := plain.ExportedFunction("mix").Call(context.Background(), uint64(seed*seed*seed-1000))
		if err != nil {
			t.Fatal(err)
		}
		got, err := metered.ExportedFunction("mix").Call(context.Background(), uint64(seed*seed*seed-1000))
		if err != nil || got[0] != want[0] {
			t.Errorf("seed %d: %v, %v; the original gives %v", seed, got, err, want)
		}
	}
}

func TestRefusals(t *testing.T) {
	over := bytes.Repeat([]byte{1, 0xff, 0xff, 0xff, 0xff, 0x0f, typeI32}, 2)
	for name, tc := range map[string]struct {
		wasm []byte
		err  error
		text string
	}{
		"empty":           {nil, ErrNotWasm, ""},
		"text":            {[]byte("(module)"), ErrNotWasm, ""},
		"component":       {[]byte("\x00asm\x0d\x00\x01\x00"), ErrComponent, ""},
		"other version":   {[]byte("\x00asm\x02\x00\x00\x00"), ErrNotWasm, "02 00 00 00"},
		"memory":          {wat.Must(`(module (memory 1025))`), ErrTooMuch, "67174400"},
		"table":           {wat.Must(`(module (table 65537 funcref))`), ErrTooMuch, "65536"},
		"tables":          {wat.Must(`(module (table 40000 funcref) (table 40000 funcref))`), ErrTooMuch, ""},
		"memory import":   {wat.Must(`(module (import "env" "m" (memory 1)))`), nil, "imports the memory env.m"},
		"global import":   {wat.Must(`(module (import "env" "g" (global i32)))`), nil, "imports the global env.g"},
		"fuel read":       {wat.Must(`(module (global i32 (i32.const 0)) (func global.get 1 drop))`), nil, "global"},
		"fuel written":    {wat.Must(`(module (func i64.const 9 global.set 0))`), nil, "global"},
		"fuel exported":   {[]byte("\x00asm\x01\x00\x00\x00\x07\x05\x01\x01f\x03\x00"), nil, "global 0"},
		"no function":     {wat.Must(`(module (func call 7))`), nil, "function 7"},
		"refill by index": {wat.Must(`(module (func call 1))`), nil, "function 1"},
		"tail call":       {wat.Must(`(module (func $f bytes 1200))`), nil, "not part of WebAssembly 2.0"},
		"long misc":       {wat.Must(`(module (memory 1) (func i32.const 0 i32.const 0 i32.const 0 bytes fc8b0000))`), nil, "0xfc"},
		"locals":          {codeModule(append(over, opEnd)), ErrTooMuch, "locals"},
		"after the end":   {codeModule([]byte{0, opEnd, opEnd}), nil, "after the end"},
		"no end":          {codeModule([]byte{0, 1}), nil, "unexpected end"},
		"section order":   {[]byte("\x00asm\x01\x00\x00\x00\x03\x01\x00\x01\x01\x00"), nil, "out of order"},
		"section length":  {[]byte("\x00asm\x01\x00\x00\x00\x01\x09\x00"), nil, "unexpected end"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := Parse(tc.wasm)
			if err == nil {
				_, err = m.Instrument(testConfig)
			}
			if err == nil || tc.err != nil && !errors.Is(err, tc.err) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("error is %v, want %v with %q", err, tc.err, tc.text)
			}
		})
	}
}

// codeModule is a module of one function () -> () with the given body.
func codeModule(body []byte) []byte {
	b := []byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00")
	code := append(appendU32([]byte{1}, uint32(len(body))), body...)
	return append(appendU32(append(b, secCode), uint32(len(code))), code...)
}

// TestImmediates finds out, for every opcode, how many operand bytes wazero reads, and checks that this decoder reads the
// same. After unreachable any operands on the stack are right.
func TestImmediates(t *testing.T) {
	rt := newRuntime(t, 100)
	compile := func(code ...byte) error {
		c, err := rt.CompileModule(context.Background(), immediateModule(code))
		if err == nil {
			c.Close(context.Background())
		}
		return err
	}
	const none = 0xff // no opcode: the number of operands is right when wazero complains about this byte after them
	var ops [][]byte
	for op := range 0x100 {
		switch op {
		case opBlock, opLoop, opIf, opElse, opEnd, opMisc, opVector, opBrTable, opSelectTyped, none:
		default:
			ops = append(ops, []byte{byte(op)})
		}
	}
	for sub := range uint32(18) {
		ops = append(ops, appendU32([]byte{opMisc}, sub))
	}
	for sub := range uint32(256) {
		ops = append(ops, appendU32([]byte{opVector}, sub))
	}
	known := 0
	for _, op := range ops {
		for n := range 19 {
			code := append(append([]byte{0x00}, op...), make([]byte, n)...)
			if op[0] == opRefNull && n == 1 {
				code[2] = typeFuncref
			}
			if err := compile(append(code, none, opEnd)...); !strings.Contains(err.Error(), "invalid instruction 0xff") {
				continue
			}
			known++
			r := &reader{b: code[1:]}
			f := &body{rewriter: &rewriter{Module: &Module{defined: []uint32{0}}, fuel: 1}, frames: []frame{{}}}
			f.instruction(r)
			if r.err != nil || !r.done() {
				t.Errorf("opcode % x with %d operand bytes: %d of them read, %v", op, n, r.pos-len(op), r.err)
			}
			break
		}
	}
	if known < 400 {
		t.Errorf("only %d opcodes compile: the test does not test", known)
	}
}

// immediateModule has one of everything that an operand 0 can name.
func immediateModule(code []byte) []byte {
	m := wat.Must(`(module (memory 1) (table 1 funcref) (global (mut i32) (i32.const 0)) (elem func 0) (data "x")
		(func (param i32) (local i32) memory.size drop i32.const 0 i32.const 0 i32.const 0 memory.init 0))`)
	i := bytes.LastIndex(m, []byte{opMisc, miscMemoryInit, 0, 0, opEnd}) // the function's body ends here
	body := append([]byte{1, 1, typeI32}, code...)
	fn := append(appendU32([]byte{1}, uint32(len(body))), body...)
	head := bytes.LastIndex(m[:i], []byte{1, 1, typeI32}) - 3 // section number, its size, the vector's length
	for m[head] != secCode {
		head--
	}
	out := append([]byte{}, m[:head]...)
	out = append(appendU32(append(out, secCode), uint32(len(fn))), fn...)
	return append(out, m[i+5:]...)
}

// TestEveryPathIsPaidFor runs random programs that count their own instructions and compares with the fuel they used.
func TestEveryPathIsPaidFor(t *testing.T) {
	rt := newRuntime(t, 1<<60)
	for seed := range uint64(200) {
		g := &generator{rand: rand.New(rand.NewPCG(seed, 1))}
		g.sequence(0)
		source := `(module (memory (export "memory") 1) (global (export "ran") (mut i64) (i64.const 0)) (global $state (mut i32) (i32.const ` +
			fmt.Sprint(seed*7919+1) + `)) (global $left (mut i32) (i32.const 400))
			(func (export "warm") loop end) (func (export "main") ` + g.b.String() + `))`
		metered := exportFuel(t, instrument(t, wat.Must(source), testConfig))
		mod := start(t, rt, metered)
		fuel := func() int64 { return int64(mod.ExportedGlobal("fuel").Get()) }
		var before int64
		for _, fn := range []string{"warm", "main"} { // the first charge of all is lost in the first refill
			before = fuel()
			if _, err := mod.ExportedFunction(fn).Call(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		ran, used := int64(mod.ExportedGlobal("ran").Get()), before-fuel()
		if used < ran {
			t.Errorf("seed %d: %d instructions ran for %d fuel", seed, ran, used)
		}
		mod.Close(context.Background())
	}
}

// generator writes random structured code.
type generator struct {
	rand   *rand.Rand
	b      strings.Builder
	labels []string
	names  int
}

func (g *generator) sequence(depth int) {
	for range 1 + g.rand.IntN(4) {
		g.item(depth)
	}
}

const decide = ` global.get $state i32.const 1103515245 i32.mul i32.const 12345 i32.add global.set $state
	global.get $state i32.const 16 i32.shr_u i32.const 1 i32.and `

func (g *generator) item(depth int) {
	kind := g.rand.IntN(6)
	if depth > 6 {
		kind = g.rand.IntN(2)
	}
	switch kind {
	case 0:
		n := 1 + g.rand.IntN(1200)
		fmt.Fprintf(&g.b, " global.get 0 i64.const %d i64.add global.set 0 %s", n+4, strings.Repeat("nop ", n))
	case 1: // a branch out, or back while there are rounds left
		if len(g.labels) == 0 {
			return
		}
		label := g.labels[g.rand.IntN(len(g.labels))]
		g.b.WriteString(decide)
		if strings.HasPrefix(label, "$loop") {
			g.b.WriteString(" global.get $left i32.const 1 i32.sub global.set $left global.get $left i32.const 0 i32.gt_s i32.and ")
		}
		g.b.WriteString(" br_if " + label)
	case 2, 3, 4:
		word := []string{"block", "loop", "if"}[kind-2]
		if word == "if" {
			g.b.WriteString(decide)
		}
		g.names++
		label := fmt.Sprintf("$%s%d", word, g.names)
		g.labels = append(g.labels, label)
		g.b.WriteString(" " + word + " " + label)
		g.sequence(depth + 1)
		if word == "if" && g.rand.IntN(2) == 0 {
			g.b.WriteString(" else ")
			g.sequence(depth + 1)
		}
		g.b.WriteString(" end ")
		g.labels = g.labels[:len(g.labels)-1]
	case 5:
		g.sequence(depth + 1)
	}
}

// exportFuel adds an export of the fuel to a metered module.
func exportFuel(t testing.TB, wasm []byte) []byte {
	t.Helper()
	m, err := Parse(wasm)
	if err != nil {
		t.Fatal(err)
	}
	fuel := m.sections[secGlobal].body[0] - 1
	out := []byte("\x00asm\x01\x00\x00\x00")
	for _, id := range sectionOrder {
		b := m.sections[id].body
		if id == secExport {
			b = append(append([]byte{b[0] + 1}, b[1:]...), 4, 'f', 'u', 'e', 'l', byte(Global), fuel)
		}
		if b != nil {
			out = append(appendU32(append(out, id), uint32(len(b))), b...)
		}
	}
	return out
}

func TestMemoryAndTablesStayWithinTheirLimit(t *testing.T) {
	wasm := instrument(t, wat.Must(`(module (memory (export "memory") 1 2000) (table 1 funcref)
		(func (export "memory.grow") (param i32) (result i32) local.get 0 memory.grow)
		(func (export "table.grow") (param i32) (result i32) ref.null func local.get 0 table.grow))`), testConfig)
	mod := start(t, newRuntime(t, 100), wasm)
	for fn, most := range map[string]int32{"memory.grow": int32(testConfig.MaxPages), "table.grow": int32(testConfig.MaxElements)} {
		for _, tc := range []struct{ by, want int32 }{{most, -1}, {most - 1, 1}, {1, -1}} {
			got, err := mod.ExportedFunction(fn).Call(context.Background(), api.EncodeI32(tc.by))
			if err != nil || api.DecodeI32(got[0]) != tc.want {
				t.Errorf("%s(%d) = %v, %v; want %d", fn, tc.by, got, err, tc.want)
			}
		}
	}
}
