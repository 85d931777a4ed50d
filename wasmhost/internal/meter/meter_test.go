package meter

import (
	"bytes"
	"context"
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

// TestEveryPathIsPaidFor runs programs that count their own instructions and compares with the fuel they used.
func TestEveryPathIsPaidFor(t *testing.T) {
	rt := newRuntime(t, 1<<60)
	t.Run("else past a charge", func(t *testing.T) {
		checkPaid(t, rt, strings.Repeat("i32.const 0 if loop end nop else "+counted(400)+" end ", 10))
	})
	t.Run("end past a charge", func(t *testing.T) {
		checkPaid(t, rt, strings.Repeat("block i32.const 1 br_if 0 loop end nop end "+counted(400), 10))
	})
	t.Run("a long stretch", func(t *testing.T) { checkPaid(t, rt, counted(10_000)) })
	for seed := range uint64(100) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			g := &generator{rand: rand.New(rand.NewPCG(seed, 1))}
			fmt.Fprintf(&g.b, " i32.const %d global.set $state i32.const 400 global.set $left ", seed*7919+1)
			g.sequence(0)
			checkPaid(t, rt, g.b.String())
		})
	}
}

func checkPaid(t *testing.T, rt wazero.Runtime, body string) {
	t.Helper()
	source := `(module (global (export "ran") (mut i64) (i64.const 0))
		(global $state (mut i32) (i32.const 1)) (global $left (mut i32) (i32.const 0))
		(func (export "warm") loop end) (func (export "main") ` + body + `))`
	mod := start(t, rt, exportFuel(t, instrument(t, wat.Must(source), testConfig)))
	defer mod.Close(context.Background())
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
		t.Errorf("%d instructions ran for %d fuel", ran, used)
	}
}

// counted is n instructions and those that add them to the count.
func counted(n int) string {
	return fmt.Sprintf(" global.get 0 i64.const %d i64.add global.set 0 %s", n+4, strings.Repeat("nop ", n))
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
		g.b.WriteString(counted(1 + g.rand.IntN(1200)))
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

func TestWorkBeyondInstructionsIsPaidFor(t *testing.T) {
	wasm := wat.Must(`(module
	  (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
	  (memory (export "memory") 4) (table 100 funcref) (elem (i32.const 0) $yield) (elem func $yield $yield) (data "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")
	  (global (export "unused") i32 (i32.const 0))
	  (func (export "warm") loop end)
	  (func (export "fill") i32.const 0 i32.const 0 i32.const 160000 memory.fill)
	  (func (export "copy") i32.const 0 i32.const 8 i32.const 160000 memory.copy)
	  (func (export "init") i32.const 0 i32.const 0 i32.const 32 memory.init 0)
	  (func (export "grow") i32.const 1 memory.grow drop)
	  (func (export "tfill") i32.const 0 ref.null func i32.const 100 table.fill)
	  (func (export "tcopy") i32.const 0 i32.const 1 i32.const 99 table.copy)
	  (func (export "tinit") i32.const 0 i32.const 0 i32.const 2 table.init 1)
	  (func (export "tgrow") ref.null func i32.const 1000 table.grow drop)
	  (func (export "call") call $yield drop)
	  (func (export "indirect") i32.const 0 call_indirect (result i32) drop)
	  (func (export "reference") i32.const 5 ref.func $yield table.set i32.const 5 call_indirect (result i32) drop))`)
	mod := start(t, newRuntime(t, 1<<60), exportFuel(t, instrument(t, wasm, testConfig)))
	fuel := func() int64 { return int64(mod.ExportedGlobal("fuel").Get()) }
	for _, tc := range []struct {
		fn   string
		cost int64
	}{
		{"warm", 0}, {"indirect", testConfig.ImportCost}, {"call", testConfig.ImportCost}, {"reference", testConfig.ImportCost},
		{"fill", 10000}, {"copy", 10000}, {"init", 2}, {"grow", growCost}, {"tinit", 2}, {"tgrow", 1000}, {"tfill", 100}, {"tcopy", 99},
	} {
		before := fuel()
		if _, err := mod.ExportedFunction(tc.fn).Call(context.Background()); err != nil {
			t.Fatalf("%s: %v", tc.fn, err)
		}
		if used := before - fuel(); tc.fn != "warm" && (used < tc.cost || used > tc.cost+100) {
			t.Errorf("%s cost %d, want %d and a little", tc.fn, used, tc.cost)
		}
	}
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
