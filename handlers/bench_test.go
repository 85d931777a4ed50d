package handlers

import (
	"testing"

	stats "github.com/getevo/rmds/handlers/stats-wat"
	"github.com/getevo/rmds/wasmhost"
)

// BenchmarkStats is one reading through the demo's handler, the store being a map.
func BenchmarkStats(b *testing.B) {
	for _, version := range []struct {
		name string
		wasm []byte
	}{{"go", built(b, goStats)}, {"wat", stats.Module}} {
		b.Run(version.name, func(b *testing.B) {
			n := load(b, version.wasm, nil)
			e := &effects{kv: map[string][]byte{}}
			msg := &wasmhost.Msg{Content: []byte(reading(1, "load1", "0.42"))}
			for b.Loop() {
				if o := n.module.Call(b.Context(), msg, e); o.Kind != wasmhost.Ack {
					b.Fatal(o.Err)
				}
				e.replies = e.replies[:0]
			}
		})
	}
}
