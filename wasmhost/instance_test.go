package wasmhost

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// counting counts its calls in memory, replies with the count, and ends as the message's first byte says.
const counting = `
	(global $n (mut i32) (i32.const 0))
	(data (i32.const 512) "content")
	(func (export "rmds_handle") (result i32) (local $how i32)
	  i32.const 0 i32.const 0 i32.load i32.const 1 i32.add i32.store
	  i32.const 0 i32.const 4 call $reply drop
	  i32.const 512 i32.const 7 i32.const 1024 i32.const 100 call $msg_get drop
	  i32.const 1024 i32.load8_u local.set $how
	  local.get $how i32.const 'T' i32.eq if unreachable end
	  local.get $how i32.const 'L' i32.eq if loop br 0 end end
	  local.get $how i32.const 'M' i32.eq if i32.const 0 i32.const 1 i32.const -1 i32.const 1 call $kv_set drop end
	  local.get $how i32.const 'D' i32.eq if i32.const 1 i32.const 0 i32.div_s drop end
	  local.get $how i32.const 'G' i32.eq if i32.const 2 memory.grow drop end
	  local.get $how i32.const 'R' i32.eq if i32.const 75 return end
	  local.get $how i32.const 'J' i32.eq if i32.const 65 return end
	  local.get $how i32.const 'F' i32.eq if i32.const 1 return end
	  i32.const 0)`

// count is what a call of counting replied: how many calls its instance has had.
func count(t testing.TB, fx *effects) uint32 {
	t.Helper()
	if len(fx.sent) != 1 || len(fx.sent[0].content) != 4 {
		t.Fatalf("replies: %v", fx.sent)
	}
	return binary.LittleEndian.Uint32([]byte(fx.sent[0].content))
}

func TestInstancesAreKeptOnlyAfterACleanReturn(t *testing.T) {
	for _, tc := range []struct {
		how  string
		kind Kind
		err  error
		next uint32 // the count of the call after
	}{
		{"A", Ack, nil, 3},
		{"R", Retry, nil, 3},
		{"J", Reject, nil, 3},
		{"F", Failed, ErrResult, 1},
		{"T", Failed, ErrTrap, 1},
		{"D", Failed, ErrTrap, 1},
		{"M", Failed, ErrTrap, 1},
		{"L", Failed, ErrCPU, 1},
	} {
		g := loadWAT(t, charLiterals(counting), func(l *Limits, _ *Settings) { l.Instances, l.CPU = 1, 50*time.Millisecond })
		for _, step := range []struct {
			how   string
			kind  Kind
			err   error
			count uint32
		}{{"A", Ack, nil, 1}, {tc.how, tc.kind, tc.err, 2}, {"A", Ack, nil, tc.next}} {
			fx := newEffects()
			o := g.run(t, message(step.how), fx)
			if o.Kind != step.kind || !errors.Is(o.Err, step.err) || count(t, fx) != step.count {
				t.Errorf("%s: %v, call %d of its instance; want %v, call %d", tc.how, o, count(t, fx), step.kind, step.count)
			}
		}
	}
}

// charLiterals replaces 'x' by its code.
func charLiterals(source string) string {
	for c := 'A'; c <= 'Z'; c++ {
		source = strings.ReplaceAll(source, "'"+string(c)+"'", fmt.Sprint(int(c)))
	}
	return source
}

func TestReset(t *testing.T) {
	g := loadWAT(t, charLiterals(counting), func(l *Limits, _ *Settings) { l.Instances = 1 })
	for _, want := range []uint32{1, 2} {
		fx := newEffects()
		if g.run(t, message("A"), fx); count(t, fx) != want {
			t.Errorf("call %d, want %d", count(t, fx), want)
		}
	}
	g.Reset()
	fx := newEffects()
	if g.run(t, message("A"), fx); count(t, fx) != 1 {
		t.Errorf("call %d of its instance after Reset", count(t, fx))
	}
}

// blocking is an Effects whose Reply waits, so that a test knows a call to be under way.
type blocking struct {
	*effects
	entered, leave chan struct{}
}

func (b blocking) Reply(content []byte, h []Header) error {
	b.entered <- struct{}{}
	<-b.leave
	return b.effects.Reply(content, h)
}

func newBlocking() blocking {
	return blocking{newEffects(), make(chan struct{}), make(chan struct{})}
}

func TestResetDuringACall(t *testing.T) {
	g := loadWAT(t, charLiterals(counting), func(l *Limits, _ *Settings) { l.Instances = 1 })
	fx := newBlocking()
	done := make(chan Outcome)
	go func() { done <- g.Call(context.Background(), message("A"), fx) }()
	<-fx.entered
	g.Reset()
	close(fx.leave)
	if o := <-done; o.Kind != Ack {
		t.Errorf("the call under way: %v", o)
	}
	next := newEffects()
	if g.run(t, message("A"), next); count(t, next) != 1 {
		t.Error("the instance in use during Reset was kept")
	}
}

func TestInstancesBoundConcurrency(t *testing.T) {
	g := loadWAT(t, charLiterals(counting), func(l *Limits, _ *Settings) { l.Instances = 2 })
	var wg sync.WaitGroup
	calls := []blocking{newBlocking(), newBlocking()}
	for _, fx := range calls {
		wg.Go(func() {
			if o := g.Call(context.Background(), message("A"), fx); o.Kind != Ack {
				t.Error(o)
			}
		})
		<-fx.entered
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if o := g.Call(ctx, message("A"), newEffects()); o.Kind != Failed || !errors.Is(o.Err, context.Canceled) {
		t.Errorf("a third call: %v", o)
	}
	for _, fx := range calls {
		close(fx.leave)
	}
	wg.Wait()
}

func TestManyCallsAtOnce(t *testing.T) {
	g := loadWAT(t, charLiterals(counting), func(l *Limits, _ *Settings) { l.Instances = 3 })
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 20 {
				how, want := "A", Ack
				if (i+j)%5 == 0 {
					how, want = "T", Failed
				}
				fx := newEffects()
				if o := g.Call(context.Background(), message(how), fx); o.Kind != want {
					t.Errorf("%s: %v", how, o)
				}
			}
		})
	}
	wg.Wait()
	if n := len(g.pool.idle); n > 3 {
		t.Errorf("%d instances, at most 3", n)
	}
}

func TestInstancesAreRecycled(t *testing.T) {
	g := loadWAT(t, charLiterals(counting), func(l *Limits, _ *Settings) { l.Instances, l.MemoryBytes = 1, 7<<16 })
	for i, want := range []uint32{1, 2, 1} { // the second call grows the memory from 2 pages to 4 of 7
		fx := newEffects()
		how := "AGA"[i : i+1]
		if o := g.run(t, message(how), fx); o.Kind != Ack || count(t, fx) != want {
			t.Errorf("%s: %v, call %d, want %d", how, o, count(t, fx), want)
		}
	}
	g.pool.idle[0].calls = recycleCalls - 1
	for _, want := range []uint32{2, 1} {
		fx := newEffects()
		if g.run(t, message("A"), fx); count(t, fx) != want {
			t.Errorf("call %d, want %d", count(t, fx), want)
		}
	}
}

func TestCloseWaitsForCalls(t *testing.T) {
	h := newHost(t)
	m, err := h.Load(context.Background(), reactor(charLiterals(counting)), DefaultLimits(), Settings{})
	if err != nil {
		t.Fatal(err)
	}
	fx := newBlocking()
	done := make(chan Outcome)
	go func() { done <- m.Call(context.Background(), message("A"), fx) }()
	<-fx.entered
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := m.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Close with a call under way: %v", err)
	}
	if o := m.Call(context.Background(), message("A"), newEffects()); o.Kind != Failed || !errors.Is(o.Err, ErrClosed) {
		t.Errorf("a call after Close: %v", o)
	}
	close(fx.leave)
	if o := <-done; o.Kind != Ack {
		t.Errorf("the call under way: %v", o)
	}
	for range 2 {
		if err := m.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if o := m.Call(context.Background(), message("A"), newEffects()); !errors.Is(o.Err, ErrClosed) {
		t.Errorf("a call after Close: %v", o)
	}
}

func TestRecursionEndsInATrap(t *testing.T) {
	g := loadWAT(t, `(func $f (param i32) (result i32) local.get 0 i32.const 1 i32.add call $f i32.const 1 i32.add)
		(func (export "rmds_handle") (result i32) i32.const 0 call $f)`)
	if o := g.run(t, message(""), newEffects()); o.Kind != Failed || !errors.Is(o.Err, ErrTrap) {
		t.Errorf("%v", o)
	}
}

func TestMemoryStaysWithinItsLimit(t *testing.T) {
	g := loadWAT(t, `(func (export "rmds_handle") (result i32)
		  i32.const 0 i32.const 62 memory.grow i32.store
		  i32.const 4 i32.const 1 memory.grow i32.store
		  i32.const 0 i32.const 8 call $reply)`, func(l *Limits, _ *Settings) { l.MemoryBytes = 4 << 20 })
	fx := newEffects()
	if o := g.run(t, message(""), fx); o.Kind != Ack || fx.sent[0].content != "\x02\x00\x00\x00\xff\xff\xff\xff" {
		t.Errorf("%v, %q: growing to 64 pages must work, to 65 not", o, fx.sent)
	}
}

func TestFloodsAreBounded(t *testing.T) {
	for _, call := range []string{
		"i32.const 0 i32.const 100 call $reply",
		"i32.const 512 i32.const 3 i32.const 0 i32.const 100 call $send",
		"i32.const 512 i32.const 3 i32.const 0 i32.const 100 call $kv_set",
		"i32.const 1 i32.const 0 i32.const 100 call $log i32.const 0",
		"i32.const 512 i32.const 3 i32.const 0 i32.const 1 call $head",
	} {
		g := loadWAT(t, `(data (i32.const 512) "out") (func (export "rmds_handle") (result i32) loop `+call+` drop br 0 end unreachable)`,
			func(l *Limits, s *Settings) { l.CPU, s.Sends = 30*time.Millisecond, []string{"out"} })
		fx := newEffects()
		o := g.run(t, message(""), fx)
		if o.Kind != Failed || !errors.Is(o.Err, ErrCPU) {
			t.Errorf("%s: %v", call, o)
		}
		if n := len(fx.sent); n > 100 {
			t.Errorf("%s: %d sends", call, n)
		}
		if n := len(g.log.String()); n > 512<<10 { // 64 KiB of zero bytes, each written as \x00
			t.Errorf("%s: %d bytes of log", call, n)
		}
	}
}
