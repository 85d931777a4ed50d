package wasmhost

import (
	"context"
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getevo/rmds/wasmhost/internal/wat"
)

const handleAck = `(func (export "rmds_handle") (result i32) i32.const 0)`

func TestLoadRefusals(t *testing.T) {
	h := newHost(t)
	with := func(imports string) []byte {
		return wat.Must(`(module ` + imports + ` (memory (export "memory") 1) ` + handleAck + `)`)
	}
	for name, tc := range map[string]struct {
		wasm  []byte
		err   error
		words []string
	}{
		"empty":          {nil, ErrNotModule, nil},
		"text":           {[]byte("hello, world"), ErrNotModule, nil},
		"truncated":      {reactor(handleAck)[:100], ErrNotModule, nil},
		"component":      {[]byte("\x00asm\x0d\x00\x01\x00\x00"), ErrComponent, []string{"wasip1"}},
		"unknown import": {with(`(import "rmds_v1" "teleport" (func))`), ErrImport, []string{"rmds_v1.teleport", "newer node"}},
		"later contract": {with(`(import "rmds_v2" "reply" (func))`), ErrImport, []string{"rmds_v2.reply", "update the node"}},
		"linker":         {with(`(import "env" "malloc" (func (param i32) (result i32)))`), ErrImport, []string{"env.malloc", "linker"}},
		"preview 2":      {with(`(import "wasi:cli/run@0.2.0" "run" (func))`), ErrImport, []string{"wasi:cli/run@0.2.0.run", "wasip1"}},
		"early WASI":     {with(`(import "wasi_unstable" "fd_write" (func))`), ErrImport, []string{"wasi_unstable.fd_write", "wasip1"}},
		"not WASI":       {with(`(import "wasi_snapshot_preview1" "fork" (func))`), ErrImport, []string{"wasi_snapshot_preview1.fork"}},
		"browser":        {with(`(import "gojs" "runtime.wasmExit" (func (param i32)))`), ErrImport, []string{"GOOS=wasip1"}},
		"wasm-bindgen":   {with(`(import "wbg" "x" (func))`), ErrImport, []string{"wasm-bindgen"}},
		"meter":          {with(`(import "rmds_meter" "refill" (func (result i64)))`), ErrImport, []string{"rmds_meter.refill"}},
		"import type":    {with(`(import "rmds_v1" "reply" (func (param i32)))`), ErrImport, []string{"rmds_v1.reply", "(i32) -> ()", "(i32 i32) -> (i32)"}},
		"memory import":  {with(`(import "env" "memory" (memory 1))`), ErrImport, []string{"memory env.memory"}},
		"no handler":     {wat.Must(`(module (memory (export "memory") 1))`), ErrExport, []string{"rmds_handle", "_start"}},
		"handler type": {wat.Must(`(module (memory (export "memory") 1) (func (export "rmds_handle")))`), ErrExport,
			[]string{"rmds_handle", "() -> (i32)"}},
		"init type": {wat.Must(`(module (memory (export "memory") 1) (func (export "rmds_init")) ` + handleAck + `)`), ErrExport,
			[]string{"rmds_init", "() -> (i32)"}},
		"no memory":       {wat.Must(`(module (memory 1) ` + handleAck + `)`), ErrExport, []string{"memory"}},
		"too much memory": {wat.Must(`(module (memory (export "memory") 1025) ` + handleAck + `)`), ErrTooLarge, []string{"67174400", "67108864"}},
		"invalid code":    {wat.Must(`(module (memory (export "memory") 1) (func i32.add) ` + handleAck + `)`), ErrNotModule, nil},
		"init refuses":    {reactor(handleAck + `(func (export "rmds_init") (result i32) i32.const 3)`), ErrInit, []string{"rmds_init returned 3"}},
		"init gives reason": {reactor((&script{end: "i32.const 1"}).call("note", "reason", "no limit configured").wat("rmds_init") + handleAck),
			ErrInit, []string{"no limit configured"}},
		"init traps":          {reactor(handleAck + `(func (export "_initialize") unreachable)`), ErrInit, []string{"_initialize", "unreachable"}},
		"start traps":         {reactor(handleAck + `(func $s unreachable) (start $s)`), ErrInit, []string{"unreachable"}},
		"init never returns":  {reactor(handleAck + `(func (export "_initialize") loop br 0 end)`), ErrCPU, nil},
		"start never returns": {reactor(handleAck + `(func $s loop br 0 end) (start $s)`), ErrCPU, nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tryLoad(t, h, tc.wasm, func(l *Limits, _ *Settings) { l.CPU = 50 * time.Millisecond })
			wantErr(t, err, tc.err, tc.words...)
		})
	}
	_, err := tryLoad(t, h, reactor(handleAck), func(l *Limits, _ *Settings) { l.ModuleBytes = 100 })
	wantErr(t, err, ErrTooLarge, "its limit is 100")
}

func TestLoadRefusesUselessLimits(t *testing.T) {
	h := newHost(t)
	for _, change := range []func(*Limits){
		func(l *Limits) { *l = Limits{} },
		func(l *Limits) { l.Timeout = 0 },
		func(l *Limits) { l.CPU = -1 },
		func(l *Limits) { l.MemoryBytes = 65535 },
		func(l *Limits) { l.MemoryBytes = 4<<30 + 1 },
		func(l *Limits) { l.Instances = 0 },
		func(l *Limits) { l.ModuleBytes = 0 },
	} {
		l := DefaultLimits()
		change(&l)
		if _, err := h.Load(context.Background(), reactor(handleAck), l, Settings{}); !errors.Is(err, ErrLimits) {
			t.Errorf("%+v: %v", l, err)
		}
	}
}

func TestInfo(t *testing.T) {
	g := load(t, wat.Must(`(module (import "rmds_v1" "now" (func (result i64))) (memory (export "memory") 3)`+handleAck+`)`))
	i := g.Info()
	if i.Kind != Reactor || i.MemoryBytes != 3<<16 || len(i.SHA256) != 64 || !slices.Equal(i.Imports, []string{"rmds_v1.now"}) ||
		!slices.Equal(i.Exports, []string{"rmds_handle"}) {
		t.Errorf("%+v", i)
	}
}

func TestTheSameModuleTwice(t *testing.T) {
	h := newHost(t)
	a, err := tryLoad(t, h, reactor(handleAck))
	if err != nil {
		t.Fatal(err)
	}
	m, err := h.Load(context.Background(), reactor(handleAck), DefaultLimits(), Settings{})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	a.Reset()
	if o := a.run(t, message(""), newEffects()); o.Kind != Ack {
		t.Errorf("after the other was closed: %v", o)
	}
}

func TestCacheSurvivesTheHost(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		h, err := New(context.Background(), Options{CacheDir: dir + "/cache"})
		if err != nil {
			t.Fatal(err)
		}
		m, err := h.Load(context.Background(), reactor(handleAck), DefaultLimits(), Settings{})
		if err != nil {
			t.Fatal(err)
		}
		if o := m.Call(context.Background(), message(""), newEffects()); o.Kind != Ack {
			t.Error(o)
		}
		if err := errors.Join(m.Close(context.Background()), h.Close(context.Background())); err != nil {
			t.Error(err)
		}
	}
}

func TestCacheMustBePrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no such permissions")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if h, err := New(context.Background(), Options{CacheDir: dir}); err == nil {
		h.Close(context.Background())
		t.Error("a cache that everybody can write to was taken")
	}
}

func TestInterpreter(t *testing.T) {
	h, err := New(context.Background(), Options{Interpreter: true})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close(context.Background())
	m, err := h.Load(context.Background(), reactor(`(func (export "rmds_handle") (result i32) loop br 0 end unreachable)`),
		Limits{Timeout: time.Minute, CPU: 20 * time.Millisecond, MemoryBytes: 1 << 20, ModuleBytes: 1 << 20, Instances: 1}, Settings{})
	if err != nil {
		t.Fatal(err)
	}
	if o := m.Call(context.Background(), message(""), newEffects()); !errors.Is(o.Err, ErrCPU) {
		t.Errorf("%v", o)
	}
	if err := m.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestAssemblyScriptAbort(t *testing.T) {
	utf16 := func(s string) string { // with its length in bytes before it
		b := []byte{byte(2 * len(s)), 0, 0, 0}
		for _, c := range []byte(s) {
			b = append(b, c, 0)
		}
		return string(b)
	}
	s := &script{}
	s.put(100, utf16("index out of range"))
	s.put(200, utf16("handler.ts"))
	wasm := wat.Must(`(module (import "env" "abort" (func $abort (param i32 i32 i32 i32))) (memory (export "memory") 1) ` +
		s.data.String() + `(func (export "rmds_handle") (result i32)
		i32.const 104 i32.const 204 i32.const 12 i32.const 5 call $abort i32.const 0))`)
	o := load(t, wasm).run(t, message(""), newEffects())
	if !errors.Is(o.Err, ErrTrap) || !strings.Contains(o.Reason, "index out of range at handler.ts:12:5") {
		t.Errorf("%v", o)
	}
}
