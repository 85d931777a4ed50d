package wasmhost

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/getevo/rmds/wasmhost/internal/wat"
)

// command assembles a WASI command.
func command(body string) []byte {
	return wat.Must(`(module
	  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
	  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
	  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
	  (import "rmds_v1" "note" (func $note (param i32 i32 i32 i32) (result i32)))
	  (import "rmds_v1" "kv_set" (func $kv_set (param i32 i32 i32 i32) (result i32)))
	  (memory (export "memory") 1)
	  (data (i32.const 900) "reason") (data (i32.const 910) "no good")
	  (data (i32.const 0) "\00\04\00\00\64\00\00\00")           ;; an iovec: 100 bytes at 1024
	  (func $copy                                               ;; stdin to stdout
	    i32.const 0 i32.const 0 i32.const 1 i32.const 4 call $fd_read drop
	    i32.const 1 i32.const 0 i32.const 1 i32.const 16 call $fd_write drop)
	  ` + body + `)`)
}

func TestCommandResults(t *testing.T) {
	for _, tc := range []struct {
		end  string
		kind Kind
		err  error
	}{
		{"", Ack, nil},
		{"i32.const 0 call $exit", Ack, nil},
		{"i32.const 75 call $exit", Retry, nil},
		{"i32.const 65 call $exit", Reject, nil},
		{"i32.const 1 call $exit", Failed, ErrResult},
		{"unreachable", Failed, ErrTrap},
		{"loop br 0 end", Failed, ErrCPU},
	} {
		g := load(t, command(`(func (export "_start") call $copy
			i32.const 900 i32.const 6 i32.const 910 i32.const 7 call $note drop `+tc.end+`)`),
			func(l *Limits, _ *Settings) { l.CPU = 50 * time.Millisecond })
		for range 2 {
			fx := newEffects()
			o := g.run(t, message("hello"), fx)
			if o.Kind != tc.kind || !errors.Is(o.Err, tc.err) || o.Reason != "no good" {
				t.Errorf("%q: %v", tc.end, o)
			}
			if want := "[{ hello []}]"; o.Kind == Ack && fmt.Sprint(fx.sent) != want || o.Kind != Ack && len(fx.sent) != 0 {
				t.Errorf("%q: sent %v", tc.end, fx.sent)
			}
		}
	}
}

func TestCommandKeepsNothing(t *testing.T) {
	g := load(t, command(`(func (export "_start")
	    i32.const 1024 i32.const 1024 i32.load i32.const 49 i32.add i32.store
	    i32.const 1024 i32.const 1 i32.const 1024 i32.const 1 call $kv_set drop)`))
	for range 3 {
		fx := newEffects()
		if o := g.run(t, message(""), fx); o.Kind != Ack || len(fx.kv) != 1 || fx.kv["1"] != "1" || len(fx.sent) != 0 {
			t.Errorf("%v, %v: the memory must be fresh each time", o, fx.kv)
		}
	}
}

func TestCommandOutputIsLimited(t *testing.T) {
	g := load(t, command(`(func (export "_start") loop i32.const 1 i32.const 0 i32.const 1 i32.const 16 call $fd_write drop br 0 end)`),
		func(l *Limits, _ *Settings) { l.SendBytes = 1000 })
	fx := newEffects()
	if o := g.run(t, message(""), fx); o.Kind != Failed || !errors.Is(o.Err, ErrOverLimit) || len(fx.sent) != 0 {
		t.Errorf("%v", o)
	}
	g = load(t, command(`(func (export "_start") call $copy)`), func(l *Limits, _ *Settings) { l.Sends = 0 })
	if o := g.run(t, message("x"), fx); o.Kind != Failed || !errors.Is(o.Err, ErrOverLimit) {
		t.Errorf("%v", o)
	}
	fx.err = errors.New("disk on fire")
	g = load(t, command(`(func (export "_start") call $copy)`))
	if o := g.run(t, message("x"), fx); o.Kind != Failed || !errors.Is(o.Err, fx.err) {
		t.Errorf("%v", o)
	}
}

func TestCommandRefusals(t *testing.T) {
	h := newHost(t)
	_, err := tryLoad(t, h, wat.Must(`(module (memory (export "memory") 1) (func (export "_start") (result i32) i32.const 0))`))
	wantErr(t, err, ErrExport, "_start", "() -> ()")
	for _, bad := range []option{
		func(_ *Limits, s *Settings) { s.Env = map[string]string{"A=B": "x"} },
		func(_ *Limits, s *Settings) { s.Env = map[string]string{"A": "x\x00"} },
		func(_ *Limits, s *Settings) { s.Env = map[string]string{"": "x"} },
		func(_ *Limits, s *Settings) { s.Args = []string{"x\x00"} },
	} {
		_, err := tryLoad(t, h, command(`(func (export "_start"))`), bad)
		wantErr(t, err, ErrSettings)
	}
}

func TestCommandEnvironmentTakesAnyMessage(t *testing.T) {
	g := load(t, command(`(func (export "_start") call $copy)`))
	msg := message("x")
	msg.ID, msg.Channel, msg.Sender = "a\x00b", "c\x00", "\x00=\n"
	msg.Headers = map[string]string{"": "", "a=b\x00": "v\x00", "é ü": "x", strings.Repeat("k", 500): strings.Repeat("v", 5000)}
	if o := g.run(t, msg, newEffects()); o.Kind != Ack {
		t.Errorf("%v", o)
	}
}
