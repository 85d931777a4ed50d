package wasmhost

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"strings"
	"testing"
	"time"
)

func inLines(l *Limits, s *Settings) { s.Mode, s.Sends, l.Instances = ModeLines, []string{"out"}, 1 }

// quote makes a string of the text format.
func quote(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		fmt.Fprintf(&b, "\\%02x", c)
	}
	return `"` + b.String() + `"`
}

// answering is a command that writes the same output for every message. Before its first message it does first, before
// each answer it does work.
func answering(first, work, output string) []byte {
	return command(fmt.Sprintf(`
	  (data (i32.const 2048) %s) (data (i32.const 32) "\00\08\00\00") (data (i32.const 36) "\%02x\%02x\00\00")
	  (data (i32.const 64) "\00\80\00\00\00\40\00\00")        ;; an iovec: 16 KiB at 32768
	  (func (export "_start") %s
	    loop
	      i32.const 0 i32.const 64 i32.const 1 i32.const 48 call $fd_read drop
	      %s
	      i32.const 1 i32.const 32 i32.const 1 i32.const 48 call $fd_write drop
	      br 0
	    end)`, quote(output), len(output)&0xff, len(output)>>8, first, work))
}

func TestLinesAnswers(t *testing.T) {
	bad := func(err error) []error { return []error{err} }
	for _, tc := range []struct {
		output string
		kind   Kind
		errs   []error
		kv     map[string]string
		sent   string
	}{
		{`{"status":0}` + "\n", Ack, nil, nil, "[]"},
		{`{"status":0,"reply":"hello"}` + "\n\n", Ack, nil, nil, "[{ hello []}]"},
		{`{"status":0,"reply":"","reply_headers":{"b":"2","a":"1"}}` + "\n", Ack, nil, nil, "[{  [{a 1} {b 2}]}]"},
		{`{"status":0,"reply_base64":"AP8="}` + "\n", Ack, nil, nil, "[{ \x00\xff []}]"},
		{`{"status":0,"send":[{"channel":"out","content":"x"},{"channel":"out","content_base64":"eQ==","headers":{"k":"v"}}]}` + "\n", Ack, nil, nil, "[{out x []} {out y [{k v}]}]"},
		{`{"status":0,"kv":{"a":"1","old":null,"b":{"base64":"/w=="}}}` + "\n", Ack, nil, map[string]string{"a": "1", "b": "\xff"}, "[]"},
		{`{"status":75,"reason":"why","retry_after_ms":1500,"reply":"dropped","kv":{"a":"1"}}` + "\n", Retry, nil, nil, "[]"},
		{`{"status":65,"reason":"why"}` + "\n", Reject, nil, nil, "[]"},
		{`{"status":1,"reason":"why","reply":"dropped"}` + "\n", Failed, bad(ErrResult), nil, "[]"},
		{`{"status":-1}` + "\n", Failed, bad(ErrResult), nil, "[]"},
		{"", Failed, bad(ErrAnswer), nil, "[]"},
		{"\n", Failed, bad(ErrAnswer), nil, "[]"},
		{`{"status":0}`, Failed, bad(ErrAnswer), nil, "[]"},
		{"{\"status\":0}\n{\"status\":0}\n", Failed, bad(ErrAnswer), nil, "[]"},
		{"{\"status\":0}{}\n", Failed, bad(ErrAnswer), nil, "[]"},
		{"{}\n", Failed, bad(ErrAnswer), nil, "[]"},
		{`{"status":0,"replay":"misspelt"}` + "\n", Failed, bad(ErrAnswer), nil, "[]"},
		{`{"status":0,"get":"a"}` + "\n", Failed, bad(ErrAnswer), nil, "[]"},
		{`{"get":""}` + "\n", Failed, []error{ErrAnswer, ErrBadArgument}, nil, "[]"},
		{`{"status":0,"reply":"a","reply_base64":"YQ=="}` + "\n", Failed, bad(ErrAnswer), nil, "[]"},
		{`{"status":0,"kv":{"a":1}}` + "\n", Failed, bad(ErrAnswer), nil, "[]"},
		{`{"status":0,"kv":{"a":{"base64":"%"}}}` + "\n", Failed, bad(ErrAnswer), nil, "[]"},
		{`{"status":0,"kv":{"":"x"}}` + "\n", Failed, bad(ErrBadArgument), nil, "[]"},
		{`{"status":0,"send":[{"channel":"other"}]}` + "\n", Failed, bad(ErrNotPermitted), nil, "[]"},
		{`{"status":0,"send":[{"channel":"."}]}` + "\n", Failed, bad(ErrBadArgument), nil, "[]"},
		{`{"status":0,"reply":"x","reply_headers":{"a b":"1"}}` + "\n", Failed, bad(ErrBadArgument), nil, "[]"},
		{`{"status":75,"retry_after_ms":86400001}` + "\n", Failed, bad(ErrOverLimit), nil, "[]"},
		{"no JSON\n", Failed, bad(ErrAnswer), nil, "[]"},
	} {
		g := load(t, answering("", "", tc.output), inLines)
		for range 2 {
			fx := newEffects()
			fx.kv["old"] = "x"
			o := g.run(t, message("hello"), fx)
			if o.Kind != tc.kind {
				t.Errorf("%q: %v, want %v", tc.output, o, tc.kind)
			}
			for _, e := range tc.errs {
				if !errors.Is(o.Err, e) {
					t.Errorf("%q: %v is not %v", tc.output, o.Err, e)
				}
			}
			if want := tc.kv; o.Kind == Ack && want != nil && !maps.Equal(fx.kv, want) {
				t.Errorf("%q: kv %v, want %v", tc.output, fx.kv, want)
			}
			if o.Kind == Ack && fmt.Sprint(fx.sent) != tc.sent {
				t.Errorf("%q: sent %q, want %q", tc.output, fx.sent, tc.sent)
			}
			if strings.Contains(tc.output, "why") && o.Reason != "why" || o.Kind == Retry && o.RetryAfter != 1500*time.Millisecond {
				t.Errorf("%q: %+v", tc.output, o)
			}
		}
	}
}

// TestLinesEnds holds that a guest which does not come back for the next message is a failure, whatever it has
// answered, and that the message after it finds a working one.
func TestLinesEnds(t *testing.T) {
	const ok = `{"status":0}` + "\n"
	// $n counts the messages of this run of the program: the second one is bad.
	for name, tc := range map[string]struct {
		work string
		err  error
	}{
		"exits":         {"i32.const 0 call $exit", ErrExited},
		"exits with 65": {"i32.const 65 call $exit", ErrExited},
		"returns":       {"return", ErrExited},
		"traps":         {"unreachable", ErrTrap},
		"loops":         {"loop br 0 end", ErrCPU},
	} {
		counted := `i32.const 200 i32.const 200 i32.load i32.const 1 i32.add i32.store
			i32.const 200 i32.load i32.const 2 i32.eq if ` + tc.work + ` end`
		g := load(t, answering("", counted, ok), inLines, func(l *Limits, _ *Settings) { l.CPU = 50 * time.Millisecond })
		for i, want := range []Kind{Ack, Failed, Ack, Failed} {
			o := g.run(t, message("hello"), newEffects())
			if o.Kind != want || want == Failed && !errors.Is(o.Err, tc.err) {
				t.Errorf("%s: message %d: %v, want %v", name, i, o, want)
			}
		}
	}
}

func TestLinesAreRefused(t *testing.T) {
	h := newHost(t)
	for name, tc := range map[string]struct {
		wasm []byte
		err  error
		says string
	}{
		"never reads": {command(`(func (export "_start"))`), ErrInit, "instead of reading"},
		"exits":       {answering("i32.const 3 call $exit", "", ""), ErrInit, "status 3"},
		"traps":       {answering("unreachable", "", ""), ErrInit, "unreachable"},
		"loops":       {answering("loop br 0 end", "", ""), ErrInit, "CPU"},
		"reactor":     {reactor(`(func (export "rmds_handle") (result i32) i32.const 0)`), ErrExport, "_start"},
		"notes": {answering("i32.const 900 i32.const 6 i32.const 910 i32.const 7 call $note drop unreachable", "", ""),
			ErrInit, "no good"},
	} {
		_, err := tryLoad(t, h, tc.wasm, inLines, func(l *Limits, _ *Settings) { l.CPU = 50 * time.Millisecond })
		if !errors.Is(err, tc.err) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := tryLoad(t, h, answering("", "", ""), func(_ *Limits, s *Settings) { s.Mode = "line" })
	wantErr(t, err, ErrSettings, "line")
}

// TestModeCommand runs what exports both as what the mode says.
func TestModeCommand(t *testing.T) {
	both := command(`(func (export "_start") call $copy) (func (export "rmds_handle") (result i32) i32.const 65)`)
	for mode, want := range map[Mode]Kind{ModeAuto: Reject, ModeCommand: Ack} {
		g := load(t, both, func(_ *Limits, s *Settings) { s.Mode = mode })
		if o := g.run(t, message("x"), newEffects()); o.Kind != want {
			t.Errorf("mode %q: %v", mode, o)
		}
	}
}

// TestLinesQuestion compares the line that a guest gets with what it stands for.
func TestLinesQuestion(t *testing.T) {
	m := load(t, answering("", "", `{"status":0}`+"\n"), inLines)
	msg := message("h\"\n")
	msg.Headers, msg.InReplyTo, msg.Attempt = map[string]string{"unit": "C"}, "01-7", 3
	_, c := m.newCall(context.Background(), newInstance(), msg, newEffects())
	line := c.question()
	if bytes.Count(line, []byte("\n")) != 1 || line[len(line)-1] != '\n' {
		t.Errorf("not one line: %q", line)
	}
	var got map[string]any
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatal(err)
	}
	delete(got, "deadline_ms")
	want := map[string]any{"content": "h\"\n", "id": "m-1", "channel": "in", "sender": "node-a", "created": 1700000000123456789.0, "attempt": 3.0,
		"in_reply_to": "01-7", "handler": "test", "headers": map[string]any{"unit": "C"}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	msg.Content = []byte("\xff")
	if line := string(c.question()); !strings.HasPrefix(line, `{"content_base64":"/w==",`) {
		t.Errorf("of bytes that are no text: %s", line)
	}
}

// TestLinesGoroutines holds that the guests' goroutines end with their instances.
func TestLinesGoroutines(t *testing.T) {
	h := newHost(t)
	before := runtime.NumGoroutine()
	for i := range 50 {
		s, err := h.NewSlot(context.Background(), answering("", "", `{"status":0}`+"\n"), DefaultLimits(), Settings{Mode: ModeLines})
		if err != nil {
			t.Fatal(err)
		}
		if o := s.Call(context.Background(), message(""), newEffects()); o.Kind != Ack {
			t.Fatal(o)
		}
		if i%2 == 0 {
			s.Reset()
		}
		if _, err := s.Replace(context.Background(), answering("", "", `{"status":0,"reason":"x"}`+"\n")); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	wantGoroutines(t, before)
}

// wantGoroutines waits until no more goroutines are left than there were: one that has told of its end may still be on
// its way out.
func wantGoroutines(t *testing.T, before int) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
			return
		}
	}
}

// TestGoLines runs an ordinary Go program, which asks about the store before it answers.
func TestGoLines(t *testing.T) {
	g := load(t, buildGo(t, "golines"), inLines)
	fx := newEffects()
	fx.kv["other"] = ""
	for _, content := range []string{"a", "b", "c"} {
		if o := g.run(t, message(content), fx); o.Kind != Ack {
			t.Fatal(o)
		}
	}
	if got := fmt.Sprint(fx.sent); got != "[{ a other 1 []} { b count other 2 []} { c count other 3 []}]" {
		t.Errorf("sent %s", got)
	}
	if !strings.Contains(g.log.String(), "before the first message") {
		t.Errorf("log: %s", g.log)
	}
	fx.err = errors.New("disk on fire")
	if o := g.run(t, message("d"), fx); o.Kind != Failed || !errors.Is(o.Err, fx.err) {
		t.Errorf("%v", o)
	}
}

// BenchmarkLines is a message of 1 KiB through a Go program in lines mode, with an answer of its own.
func BenchmarkLines(b *testing.B) { benchmark(b, load(b, buildGo(b, "golines"), inLines)) }
