package wasmhost

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestOutcomeByResult(t *testing.T) {
	for _, tc := range []struct {
		result string
		kind   Kind
		err    error
	}{
		{"0", Ack, nil},
		{"75", Retry, nil},
		{"65", Reject, nil},
		{"1", Failed, ErrResult},
		{"-1", Failed, ErrResult},
		{"66", Failed, ErrResult},
		{"0x4b00", Failed, ErrResult},
	} {
		g := loadWAT(t, `(func (export "rmds_handle") (result i32) i32.const `+tc.result+`)`)
		o := g.run(t, message(""), newEffects())
		if o.Kind != tc.kind || !errors.Is(o.Err, tc.err) {
			t.Errorf("result %s: %v, %v; want %v, %v", tc.result, o.Kind, o.Err, tc.kind, tc.err)
		}
	}
}

func TestEndlessGuestsAreStopped(t *testing.T) {
	bodies := map[string]string{
		"loop":                 `(func (export "rmds_handle") (result i32) loop br 0 end unreachable)`,
		"loop with calls":      `(func $f) (func (export "rmds_handle") (result i32) loop call $f br 0 end unreachable)`,
		"loop with host calls": `(func (export "rmds_handle") (result i32) loop call $now drop br 0 end unreachable)`,
		"mutual recursion without loop": `
			(func $tree (param i32) local.get 0 i32.eqz if return end
			  local.get 0 i32.const 1 i32.sub call $tree  local.get 0 i32.const 1 i32.sub call $tree)
			(func (export "rmds_handle") (result i32) i32.const 60 call $tree i32.const 0)`,
		"memory.fill": `(func (export "rmds_handle") (result i32)
			loop i32.const 0 i32.const 1 i32.const 131072 memory.fill br 0 end unreachable)`,
		"host function through a table": `(table 1 funcref) (elem (i32.const 0) $now)
			(func (export "rmds_handle") (result i32) loop i32.const 0 call_indirect (result i64) drop br 0 end unreachable)`,
	}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			g := loadWAT(t, body, func(l *Limits, _ *Settings) { l.Timeout = 50 * time.Millisecond })
			o := g.run(t, message(""), newEffects())
			if o.Kind != Failed || !errors.Is(o.Err, ErrTimeout) {
				t.Errorf("timeout: %v, %v", o.Kind, o.Err)
			}
			g = loadWAT(t, body, func(l *Limits, _ *Settings) { l.CPU = 20 * time.Millisecond })
			o = g.run(t, message(""), newEffects())
			if o.Kind != Failed || !errors.Is(o.Err, ErrCPU) || o.CPU < 20*time.Millisecond {
				t.Errorf("CPU: %v, %v, %v", o.Kind, o.Err, o.CPU)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
			defer cancel()
			g = loadWAT(t, body)
			o = g.Call(ctx, message(""), newEffects())
			if o.Kind != Failed || !errors.Is(o.Err, context.DeadlineExceeded) {
				t.Errorf("context: %v, %v", o.Kind, o.Err)
			}
		})
	}
}
