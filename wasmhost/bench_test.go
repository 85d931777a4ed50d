package wasmhost

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"
)

// BenchmarkCall is the floor: a handler that reads 1 KiB and replies with it.
func BenchmarkCall(b *testing.B) {
	g := loadWAT(b, `(data (i32.const 0) "content") (func (export "rmds_handle") (result i32)
		i32.const 64 i32.const 0 i32.const 7 i32.const 64 i32.const 4096 call $msg_get call $reply)`)
	benchmark(b, g)
}

// BenchmarkUpper converts 1 KiB to upper case, a byte at a time.
func BenchmarkUpper(b *testing.B) {
	g := loadWAT(b, `(data (i32.const 0) "content") (func (export "rmds_handle") (result i32) (local $i i32) (local $n i32) (local $c i32)
		i32.const 0 i32.const 7 i32.const 64 i32.const 4096 call $msg_get local.set $n
		loop $next
		  local.get $i i32.load8_u offset=64 local.tee $c i32.const 97 i32.sub i32.const 26 i32.lt_u
		  if local.get $i local.get $c i32.const 32 i32.xor i32.store8 offset=64 end
		  local.get $i i32.const 1 i32.add local.tee $i local.get $n i32.lt_u br_if $next
		end
		i32.const 64 local.get $n call $reply)`)
	benchmark(b, g)
}

func benchmark(b *testing.B, g guest) {
	msg := message(strings.Repeat("x", 1024))
	fx := newEffects()
	for b.Loop() {
		fx.sent = fx.sent[:0]
		if o := g.Call(context.Background(), msg, fx); o.Kind != Ack {
			b.Fatal(o)
		}
	}
}

// BenchmarkStop stops a computing guest at its deadline, and reports by how much it is missed and how long a garbage
// collection that starts meanwhile takes.
func BenchmarkStop(b *testing.B) {
	const timeout = 20 * time.Millisecond
	g := loadWAT(b, `(func (export "rmds_handle") (result i32) loop br 0 end unreachable)`,
		func(l *Limits, _ *Settings) { l.Timeout = timeout })
	var late, collect time.Duration
	for b.Loop() {
		done := make(chan time.Duration)
		go func() {
			start := time.Now()
			g.Call(context.Background(), message(""), newEffects())
			done <- time.Since(start) - timeout
		}()
		start := time.Now()
		runtime.GC()
		collect += time.Since(start)
		late += <-done
	}
	b.ReportMetric(float64(late.Microseconds())/float64(b.N), "µs-late")
	b.ReportMetric(float64(collect.Microseconds())/float64(b.N), "µs-gc")
}
