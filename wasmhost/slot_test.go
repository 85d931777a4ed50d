package wasmhost

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// version is a reactor that replies with its version and waits in the reply for whoever the test lets wait.
func version(n int) []byte {
	return reactor(fmt.Sprintf(`(data (i32.const 0) "%08d") (func (export "rmds_handle") (result i32)
		i32.const 0 i32.const 8 call $reply)`, n))
}

func versionOf(t testing.TB, call func(context.Context, *Msg, Effects) Outcome) int {
	t.Helper()
	fx := newEffects()
	if o := call(context.Background(), message(""), fx); o.Kind != Ack {
		t.Fatalf("outcome %v", o)
	}
	return saidVersion(t, fx)
}

func saidVersion(t testing.TB, fx *effects) int {
	t.Helper()
	if len(fx.sent) != 1 {
		t.Fatalf("replies: %v", fx.sent)
	}
	n, err := strconv.Atoi(fx.sent[0].content)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func newSlot(t testing.TB, wasm []byte) *Slot {
	t.Helper()
	limits := DefaultLimits()
	limits.Instances = 2
	s, err := newHost(t).NewSlot(context.Background(), wasm, limits, Settings{Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Errorf("closing the slot: %v", err)
		}
	})
	return s
}

// TestReplaceUnderCalls swaps while a call is in the middle of the old module: it ends there, and the next one does not.
// The old module comes back before its last call has ended, which makes wazero share its code.
func TestReplaceUnderCalls(t *testing.T) {
	s := newSlot(t, version(1))
	fx := newBlocking()
	done := make(chan Outcome)
	go func() { done <- s.Call(context.Background(), message(""), fx) }()
	<-fx.entered
	for i, v := range []int{2, 1, 3} {
		if changed, err := s.Replace(context.Background(), version(v)); err != nil || !changed {
			t.Fatalf("replace by version %d: %t, %v", v, changed, err)
		}
		if got := versionOf(t, s.Call); got != v {
			t.Errorf("version %d runs, want %d", got, v)
		}
		if info := s.Info(); info.Reloads != i+1 || info.Since.IsZero() || info.Refused != nil {
			t.Errorf("info %+v", info)
		}
	}
	close(fx.leave)
	if o := <-done; o.Kind != Ack || saidVersion(t, fx.effects) != 1 {
		t.Errorf("the call under way: %v, version %d", o, saidVersion(t, fx.effects))
	}
}

// TestReplaceMovesTheWaiting holds that calls which wait for an instance of the old module run on the new one.
func TestReplaceMovesTheWaiting(t *testing.T) {
	s := newSlot(t, version(1))
	first, second := newBlocking(), newBlocking()
	var calls sync.WaitGroup
	for _, fx := range []blocking{first, second} {
		calls.Go(func() { s.Call(context.Background(), message(""), fx) })
		<-fx.entered
	}
	waiting := newEffects()
	calls.Go(func() {
		if o := s.Call(context.Background(), message(""), waiting); o.Kind != Ack {
			t.Errorf("the waiting call: %v", o)
		}
	})
	if _, err := s.Replace(context.Background(), version(2)); err != nil {
		t.Fatal(err)
	}
	if v := versionOf(t, s.Call); v != 2 {
		t.Errorf("version %d runs beside the old calls", v)
	}
	close(first.leave)
	close(second.leave)
	calls.Wait()
	if v := saidVersion(t, waiting); v != 1 && v != 2 { // 1 if it came to its slot before the swap
		t.Errorf("the waiting call ran on version %d", v)
	}
}

func TestReplaceRefuses(t *testing.T) {
	s := newSlot(t, version(1))
	before := s.Info()
	for name, bad := range map[string]struct {
		wasm []byte
		is   error
	}{
		"no module":   {[]byte("\x00asm?"), ErrNotModule},
		"empty":       {nil, ErrNotModule},
		"half":        {version(2)[:100], ErrNotModule},
		"no handler":  {reactor(``), ErrExport},
		"refuses":     {reactor(`(func (export "rmds_init") (result i32) i32.const 3) (func (export "rmds_handle") (result i32) i32.const 0)`), ErrInit},
		"traps":       {reactor(`(func (export "rmds_init") (result i32) unreachable) (func (export "rmds_handle") (result i32) i32.const 0)`), ErrInit},
		"over limits": {reactor(`(func (export "rmds_handle") (result i32) i32.const 0)` + strings.Repeat(`(table 600000 funcref)`, 2)), ErrTooLarge},
	} {
		changed, err := s.Replace(context.Background(), bad.wasm)
		if changed || !errors.Is(err, bad.is) {
			t.Errorf("%s: %t, %v; want %v", name, changed, err, bad.is)
		}
		info := s.Info()
		if r := info.Refused; r == nil || len(r.SHA256) != 64 || r.Reason != err.Error() || r.At.Before(before.Since) {
			t.Errorf("%s: refused %+v", name, r)
		}
		if info.SHA256 != before.SHA256 || info.Since != before.Since || info.Reloads != 0 {
			t.Errorf("%s: %+v runs", name, info)
		}
		if v := versionOf(t, s.Call); v != 1 {
			t.Errorf("%s: version %d runs", name, v)
		}
	}
	if changed, err := s.Replace(context.Background(), version(1)); changed || err != nil || s.Info().Refused != nil {
		t.Errorf("the module that runs, offered again: %t, %v, %+v", changed, err, s.Info())
	}
}

func TestSlotClose(t *testing.T) {
	h := newHost(t)
	s, err := h.NewSlot(context.Background(), version(1), DefaultLimits(), Settings{Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	fx := newBlocking()
	done := make(chan Outcome)
	go func() { done <- s.Call(context.Background(), message(""), fx) }()
	<-fx.entered
	if _, err := s.Replace(context.Background(), version(2)); err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(context.Background())
	end()
	if err := s.Close(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("Close with a call under way on a replaced module: %v", err)
	}
	for _, wasm := range [][]byte{version(2), version(3)} {
		if _, err := s.Replace(context.Background(), wasm); !errors.Is(err, ErrClosed) {
			t.Errorf("Replace after Close: %v", err)
		}
	}
	if o := s.Call(context.Background(), message(""), newEffects()); !errors.Is(o.Err, ErrClosed) {
		t.Errorf("Call after Close: %v", o)
	}
	close(fx.leave)
	<-done
}

// TestReloadsLeakNothing replaces a module a thousand times between calls, one of which is under way at each swap.
func TestReloadsLeakNothing(t *testing.T) {
	const warm, reloads = 200, 1000
	s := newSlot(t, version(0))
	reload := func(from, to int) {
		for i := from; i < to; i++ {
			fx := newBlocking()
			done := make(chan Outcome)
			go func() { done <- s.Call(context.Background(), message(""), fx) }()
			<-fx.entered
			if _, err := s.Replace(context.Background(), version(i)); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Replace(context.Background(), []byte("bad")); err == nil {
				t.Fatal("a bad module was taken")
			}
			close(fx.leave)
			if o := <-done; o.Kind != Ack {
				t.Fatal(o)
			}
			if v := versionOf(t, s.Call); v != i {
				t.Fatalf("version %d runs, want %d", v, i)
			}
		}
		s.retiring.Wait()
	}
	reload(1, warm)
	heap, resident, goroutines := memory(t)
	reload(warm, warm+reloads)
	heapNow, residentNow, goroutinesNow := memory(t)
	t.Logf("after %d reloads: heap %d to %d KiB, resident %d to %d KiB, goroutines %d to %d", reloads,
		heap>>10, heapNow>>10, resident>>10, residentNow>>10, goroutines, goroutinesNow)
	wantGoroutines(t, goroutines)
	if grown := heapNow - heap; grown > 1<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	if grown := residentNow - resident; grown > 24<<20 { // a kept instance would take 128 KiB, 125 MiB in all
		t.Errorf("resident memory has grown by %d bytes", grown)
	}
}

// memory returns what is in use after a collection; resident is 0 where the system does not tell.
func memory(t testing.TB) (heap, resident int64, goroutines int) {
	t.Helper()
	runtime.GC()
	runtime.GC() // the first one ran finalizers
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if b, err := os.ReadFile("/proc/self/statm"); err == nil {
		pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		resident = pages * int64(os.Getpagesize())
	}
	return int64(m.HeapAlloc), resident, runtime.NumGoroutine()
}
