package wasmhost

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// buildGo builds a Go guest with nothing but the Go toolchain.
func buildGo(t testing.TB, dir string, args ...string) []byte {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and compiles a Go module")
	}
	out := filepath.Join(t.TempDir(), "guest.wasm")
	cmd := exec.Command("go", append(append([]string{"build", "-ldflags=-s -w", "-o", out}, args...), "./testdata/"+dir)...)
	cmd.Env = append(cmd.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=")
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, b)
	}
	wasm, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

func TestGoReactor(t *testing.T) {
	wasm := buildGo(t, "goreactor", "-buildmode=c-shared")
	h := newHost(t)
	_, err := tryLoad(t, h, wasm)
	wantErr(t, err, ErrInit, "rmds_init returned 1", "no limit configured")

	configured := func(l *Limits, s *Settings) {
		s.Config, s.Sends, l.Instances = map[string]string{"limit": "30"}, []string{"alarms"}, 1
	}
	g, err := tryLoad(t, h, wasm, configured)
	if err != nil {
		t.Fatal(err)
	}
	fx := newEffects()
	for i, content := range []string{"21.5 c", "35 c"} {
		msg := message(content)
		msg.Headers = map[string]string{"unit": "C"}
		if o := g.run(t, msg, fx); o.Kind != Ack {
			t.Fatal(o)
		}
		if got := fx.kv["count.C"]; got != fmt.Sprint(i+1) {
			t.Errorf("count %q", got)
		}
	}
	if got := fmt.Sprint(fx.sent); got != "[{ 21.5 C []} {alarms high: 35 c []} { 35 C []}]" {
		t.Errorf("sent %s", got)
	}
	if !strings.Contains(g.log.String(), `msg="reading 35 c"`) {
		t.Errorf("log %s", g.log)
	}
	for content, want := range map[string]struct {
		kind Kind
		err  error
		text string
	}{
		"!panic":  {Failed, ErrTrap, "panic: on purpose"},
		"!exit":   {Failed, ErrExited, "status 3"},
		"!reject": {Reject, nil, "not a reading"},
	} {
		o := g.run(t, message(content), newEffects())
		if o.Kind != want.kind || !errors.Is(o.Err, want.err) || !strings.Contains(o.Reason, want.text) {
			t.Errorf("%s: %v", content, o)
		}
	}
	g, err = tryLoad(t, h, wasm, configured, func(l *Limits, _ *Settings) { l.Timeout = 500 * time.Millisecond })
	if err != nil {
		t.Fatal(err)
	}
	for _, content := range []string{"!loop", "!sleep"} {
		if o := g.run(t, message(content), newEffects()); o.Kind != Failed || !errors.Is(o.Err, ErrTimeout) {
			t.Errorf("%s: %v", content, o)
		}
	}
	if o := g.run(t, message("1"), newEffects()); o.Kind != Ack {
		t.Errorf("after the failures: %v", o)
	}
}

func TestGoCommand(t *testing.T) {
	g := load(t, buildGo(t, "gocommand"), func(_ *Limits, s *Settings) { s.Args = []string{"-v"} })
	if g.Info().Kind != Command {
		t.Errorf("kind %s", g.Info().Kind)
	}
	msg := message("hello")
	msg.Headers = map[string]string{"unit": "C"}
	fx := newEffects()
	if o := g.run(t, msg, fx); o.Kind != Ack || len(fx.sent) != 1 || fx.sent[0].content != "HELLO|test in m-1 -v|C|node-a" {
		t.Errorf("%v, sent %q", o, fx.sent)
	}
	fx = newEffects()
	if o := g.run(t, message("?"), fx); o.Kind != Reject || o.Err != nil || len(fx.sent) != 0 {
		t.Errorf("%v, sent %q", o, fx.sent)
	}
	if !strings.Contains(g.log.String(), "not understood") {
		t.Errorf("log %s", g.log)
	}
}

func BenchmarkGoReactor(b *testing.B) {
	g := load(b, buildGo(b, "goreactor", "-buildmode=c-shared"), func(_ *Limits, s *Settings) {
		s.Config = map[string]string{"limit": "zzz"}
		s.Logger = nil
	})
	msg := message(strings.Repeat("x", 1024))
	for b.Loop() {
		if o := g.Call(context.Background(), msg, newEffects()); o.Kind != Ack {
			b.Fatal(o)
		}
	}
}

func BenchmarkGoReactorInstance(b *testing.B) {
	g := load(b, buildGo(b, "goreactor", "-buildmode=c-shared"), func(_ *Limits, s *Settings) {
		s.Config = map[string]string{"limit": "zzz"}
	})
	for b.Loop() {
		g.Reset()
		if o := g.Call(context.Background(), message("x"), newEffects()); o.Kind != Ack {
			b.Fatal(o)
		}
	}
}
