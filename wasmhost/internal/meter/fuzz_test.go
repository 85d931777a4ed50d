package meter

import (
	"context"
	"os"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/getevo/rmds/wasmhost/internal/wat"
)

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// FuzzInstrument checks that no bytes make the rewriter panic, and that what it makes of a valid module is valid.
func FuzzInstrument(f *testing.F) {
	f.Add(wat.Must(mixed))
	f.Add(wat.Must(`(module)`))
	f.Add(wat.Must(`(module (import "wasi_snapshot_preview1" "sched_yield" (func $y (result i32)))
		(memory (export "memory") 1) (func (export "f") (result i32) loop call $y br_if 0 end i32.const 0))`))
	f.Add(codeModule([]byte{0, opVector, vecConst, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0x1a, opEnd}))
	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithMemoryLimitPages(testConfig.MaxPages))
	f.Cleanup(func() { rt.Close(ctx) })
	f.Fuzz(func(t *testing.T, wasm []byte) {
		m, err := Parse(wasm)
		if err != nil {
			return
		}
		for _, rem := range []bool{false, true} {
			cfg := testConfig
			cfg.ExpandRem = rem
			out, err := m.Instrument(cfg)
			if err != nil {
				continue
			}
			plain, err := rt.CompileModule(ctx, wasm)
			if err != nil {
				continue
			}
			plain.Close(ctx)
			metered, err := rt.CompileModule(ctx, out)
			if err != nil {
				t.Fatalf("the original is valid, the metered module is not: %v", err)
			}
			metered.Close(ctx)
		}
	})
}
