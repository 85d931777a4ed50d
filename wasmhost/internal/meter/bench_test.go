package meter

import (
	"context"
	"testing"

	"github.com/getevo/rmds/wasmhost/internal/wat"
)

// BenchmarkInstrument rewrites a module of Go's runtime and standard library.
func BenchmarkInstrument(b *testing.B) {
	wasm := readFile(b, buildGo(b, "testdata/gomix"))
	b.SetBytes(int64(len(wasm)))
	for b.Loop() {
		instrument(b, wasm, testConfig)
	}
	b.ReportMetric(100*(float64(len(instrument(b, wasm, testConfig)))/float64(len(wasm))-1), "%growth")
}

// BenchmarkMetered compares code before and after.
func BenchmarkMetered(b *testing.B) {
	for name, guest := range map[string]struct {
		wasm []byte
		fn   string
		arg  uint64
	}{
		"go": {readFile(b, buildGo(b, "testdata/gomix")), "mix", 7},
		"loop": {wat.Must(`(module (func (export "f") (param i64) (result i64) (local $s i64)
			loop local.get $s local.get 0 i64.xor i64.const 31 i64.mul local.set $s
			  local.get 0 i64.const 1 i64.sub local.tee 0 i64.const 0 i64.ne br_if 0 end local.get $s))`), "f", 1_000_000},
		"recursion": {wat.Must(`(module (func $fib (export "f") (param i64) (result i64)
			local.get 0 i64.const 2 i64.lt_s if (result i64) local.get 0 else
			  local.get 0 i64.const 1 i64.sub call $fib local.get 0 i64.const 2 i64.sub call $fib i64.add end))`), "f", 25},
	} {
		rt := newRuntime(b, 1<<20)
		for kind, wasm := range map[string][]byte{"plain": guest.wasm, "metered": instrument(b, guest.wasm, testConfig)} {
			mod := start(b, rt, wasm)
			b.Run(name+"/"+kind, func(b *testing.B) {
				for b.Loop() {
					if _, err := mod.ExportedFunction(guest.fn).Call(context.Background(), guest.arg); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
