package wasmhost

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/getevo/rmds/wasmhost/internal/wat"
)

// wasi assembles a reactor with the functions of WASI that these tests call.
func wasi(body string) []byte {
	return wat.Must(`(module
	  (import "rmds_v1" "reply" (func $reply (param i32 i32) (result i32)))
	  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
	  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
	  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
	  (import "wasi_snapshot_preview1" "fd_prestat_get" (func $prestat (param i32 i32) (result i32)))
	  (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
	  (import "wasi_snapshot_preview1" "sock_accept" (func $accept (param i32 i32 i32) (result i32)))
	  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $env_sizes (param i32 i32) (result i32)))
	  (import "wasi_snapshot_preview1" "environ_get" (func $env_get (param i32 i32) (result i32)))
	  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
	  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
	  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
	  (memory (export "memory") 4)
	  ` + body + `)`)
}

// sleeping waits for the given nanoseconds with poll_oneoff on the monotonic clock.
func sleeping(ns string) []byte {
	return wasi(`(func (export "rmds_handle") (result i32)
	  i32.const 16 i32.const 1 i32.store          ;; monotonic clock
	  i32.const 24 i64.const ` + ns + ` i64.store ;; timeout
	  i32.const 0 i32.const 100 i32.const 1 i32.const 200 call $poll)`)
}

func TestSleep(t *testing.T) {
	g := load(t, sleeping("20000000"), func(l *Limits, _ *Settings) { l.CPU = 15 * time.Millisecond })
	start := time.Now()
	o := g.run(t, message(""), newEffects())
	if d := time.Since(start); o.Kind != Ack || d < 20*time.Millisecond {
		t.Errorf("%v after %v; a sleep is not CPU time", o, d)
	}
}

func TestSleepEndsAtTheDeadline(t *testing.T) {
	for _, ns := range []string{"3600000000000", "9223372036854775807"} { // an hour; the longest
		g := load(t, sleeping(ns), func(l *Limits, _ *Settings) { l.Timeout = 30 * time.Millisecond })
		if o := g.run(t, message(""), newEffects()); o.Kind != Failed || !errors.Is(o.Err, ErrTimeout) {
			t.Errorf("%s ns: %v", ns, o)
		}
		g = load(t, sleeping(ns))
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
		if o := g.Call(ctx, message(""), newEffects()); o.Kind != Failed || !errors.Is(o.Err, context.DeadlineExceeded) {
			t.Errorf("%s ns: %v", ns, o)
		}
		cancel()
	}
}

func TestNoDirectoriesNoSockets(t *testing.T) {
	g := load(t, wasi(`(data (i32.const 0) "/etc/passwd")
	  (func (export "rmds_handle") (result i32)
	    i32.const 100 i32.const 3 i32.const 300 call $prestat i32.store
	    i32.const 104 i32.const 3 i32.const 0 i32.const 0 i32.const 11 i32.const 0 i64.const 2 i64.const 2 i32.const 0 i32.const 300
	      call $open i32.store
	    i32.const 108 i32.const 3 i32.const 0 i32.const 300 call $accept i32.store
	    i32.const 200 i32.const 0 i32.store i32.const 204 i32.const 8 i32.store
	    i32.const 112 i32.const 0 i32.const 200 i32.const 1 i32.const 304 call $fd_read i32.store
	    i32.const 116 i32.const 304 i32.load i32.store
	    i32.const 100 i32.const 20 call $reply)`))
	fx := newEffects()
	o := g.run(t, message(""), fx)
	const badf, perm = "\x08\x00\x00\x00", "\x3f\x00\x00\x00"
	if want := badf + perm + badf + "\x00\x00\x00\x00\x00\x00\x00\x00"; o.Kind != Ack || fx.sent[0].content != want {
		t.Errorf("%v, errno of prestat, open, accept, stdin and its length: %q", o, fx.sent)
	}
}

func TestOnlyTheGrantedEnvironment(t *testing.T) {
	t.Setenv("RMDS_TEST_SECRET", "x")
	g := load(t, wasi(`(func (export "rmds_handle") (result i32)
	    i32.const 0 i32.const 4 call $env_sizes drop
	    i32.const 100 i32.const 200 call $env_get drop
	    i32.const 200 i32.const 4 i32.load call $reply)`), func(_ *Limits, s *Settings) {
		s.Env = map[string]string{"SITE": "roof", "UNIT": "C"}
	})
	fx := newEffects()
	if o := g.run(t, message(""), fx); o.Kind != Ack || fx.sent[0].content != "SITE=roof\x00UNIT=C\x00" {
		t.Errorf("%v, environment %q", o, fx.sent)
	}
}

func TestClocksAndRandomAreReal(t *testing.T) {
	g := load(t, wasi(`(func (export "rmds_handle") (result i32)
	    i32.const 0 i64.const 1 i32.const 0 call $clock drop
	    i32.const 8 i32.const 24 call $random drop
	    i32.const 0 i32.const 32 call $reply)`))
	a, b := newEffects(), newEffects()
	before := time.Now().UnixNano()
	g.run(t, message(""), a)
	g.run(t, message(""), b)
	var got int64
	for i := range 8 {
		got |= int64(a.sent[0].content[i]) << (8 * i)
	}
	if got < before || got > time.Now().UnixNano() {
		t.Errorf("the clock says %d", got)
	}
	if a.sent[0].content[8:] == b.sent[0].content[8:] {
		t.Error("the same random bytes twice")
	}
}

func TestExitFromAReactorIsAFailure(t *testing.T) {
	for _, status := range []int{0, 65, 75, 3} {
		g := load(t, wasi(fmt.Sprintf(`(func (export "rmds_handle") (result i32) i32.const %d call $exit unreachable)`, status)))
		for range 2 {
			if o := g.run(t, message(""), newEffects()); o.Kind != Failed || !errors.Is(o.Err, ErrExited) {
				t.Errorf("status %d: %v", status, o)
			}
		}
	}
}

// writing writes text to a file descriptor and then does end.
func writing(fd int, text, end string) []byte {
	s := &script{}
	s.put(1000, text)
	return wasi(s.data.String() + fmt.Sprintf(`(func (export "rmds_handle") (result i32)
	    i32.const 0 i32.const 1000 i32.store i32.const 4 i32.const %d i32.store
	    i32.const %d i32.const 0 i32.const 1 i32.const 8 call $fd_write %s)`, len(text), fd, end))
}

func TestOutputGoesToTheLog(t *testing.T) {
	for fd, level := range map[int]string{1: "INFO", 2: "WARN"} {
		g := load(t, writing(fd, "first\n\nsecond\r\npart", ""))
		if o := g.run(t, message(""), newEffects()); o.Kind != Ack {
			t.Fatal(o)
		}
		log := g.log.String()
		for _, want := range []string{"msg=first", "msg=second", "msg=part", "level=" + level, "handler=test", "message=m-1"} {
			if !strings.Contains(log, want) {
				t.Errorf("fd %d: no %q in the log:\n%s", fd, want, log)
			}
		}
		if n := strings.Count(log, "\n"); n != 3 {
			t.Errorf("fd %d: %d lines:\n%s", fd, n, log)
		}
	}
}

func TestStderrExplainsAFailure(t *testing.T) {
	g := load(t, writing(2, "panic: no such sensor\n\tat main.go:7\n", "drop unreachable"))
	o := g.run(t, message(""), newEffects())
	if !errors.Is(o.Err, ErrTrap) || !strings.Contains(o.Reason, "panic: no such sensor") || strings.Contains(o.Reason, "\n") {
		t.Errorf("reason %q", o.Reason)
	}
}

func TestLogIsLimited(t *testing.T) {
	s := &script{}
	for range 20 {
		s.call("log", 1, strings.Repeat("x", 68)) // counts 100
	}
	_, g, o := s.run(t, message(""), newEffects(), func(l *Limits, _ *Settings) { l.LogBytes = 1000 })
	if o.Kind != Ack {
		t.Fatal(o)
	}
	if n := strings.Count(g.log.String(), "xxx"); n > 330 {
		t.Errorf("logged %d", n)
	}
	lines := strings.Split(strings.TrimSpace(g.log.String()), "\n")
	if len(lines) != 11 || !strings.Contains(lines[10], "lines_dropped=10") {
		t.Errorf("%d lines:\n%s", len(lines), g.log)
	}
	if o := g.run(t, message(""), newEffects()); o.Kind != Ack { // the handler's rate is used up as well
		t.Fatal(o)
	}
	if lines := strings.Split(strings.TrimSpace(g.log.String()), "\n"); len(lines) > 11+6 {
		t.Errorf("%d lines after a second message at once", len(lines))
	}
}

func TestLogLevels(t *testing.T) {
	s := (&script{}).call("log", 0, "zero").call("log", 1, "one").call("log", 2, "two").call("log", 3, "three").
		call("log", 9, "nine").call("log", 1, "line\nbreak \xff").call("log", 1, strings.Repeat("y", 5000))
	_, g, _ := s.run(t, message(""), newEffects())
	log := g.log.String()
	for _, want := range []string{"level=DEBUG msg=zero", "level=INFO msg=one", "level=WARN msg=two", "level=ERROR msg=three",
		"level=ERROR msg=nine", `msg="line\nbreak ` + "\uFFFD"} {
		if !strings.Contains(log, want) {
			t.Errorf("no %q in\n%s", want, log)
		}
	}
	if n := strings.Count(log, "y"); n != 4096 {
		t.Errorf("a line of 5000 bytes was logged with %d", n)
	}
}
