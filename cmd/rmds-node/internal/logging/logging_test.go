package logging

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestForms(t *testing.T) {
	say := func(o Options) string {
		var b bytes.Buffer
		l := New(&b, o).With("node", "a")
		l.Debug("no")
		l.Info("connected", "text", "two words")
		l.WithGroup("g").Warn("slow", "n", 1)
		l.Error("broken")
		return b.String()
	}
	want := "<6>msg=connected node=a text=\"two words\"\n<4>msg=slow node=a g.n=1\n<3>msg=broken node=a\n"
	if got := say(Options{Journal: true}); got != want {
		t.Errorf("for the journal:\n%swant\n%s", got, want)
	}
	if got := say(Options{Journal: true, Level: slog.LevelDebug}); !strings.HasPrefix(got, "<7>msg=no node=a\n<6>") {
		t.Errorf("debug for the journal:\n%s", got)
	}
	if got := say(Options{}); !strings.HasPrefix(got, "time=") || !strings.Contains(got, " level=INFO msg=connected node=a text=\"two words\"\n") {
		t.Errorf("text:\n%s", got)
	}
	first, _, _ := strings.Cut(say(Options{JSON: true, Journal: true}), "\n")
	var m map[string]any
	if err := json.Unmarshal([]byte(first), &m); err != nil || m["msg"] != "connected" || m["time"] == nil {
		t.Errorf("JSON: %v, %s", err, first)
	}
}

func TestRepeats(t *testing.T) {
	var b bytes.Buffer
	h := New(&b, Options{Level: slog.LevelDebug, Journal: true}).With("node", "a").Handler()
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	log := func(level slog.Level, peer string) {
		r := slog.NewRecord(now, level, "gap", 0)
		r.AddAttrs(slog.String("peer", peer), slog.Time("now", now))
		if err := h.Handle(context.Background(), r); err != nil {
			t.Fatal(err)
		}
	}
	lines := func() int { defer b.Reset(); return bytes.Count(b.Bytes(), []byte("\n")) }
	for range 100 {
		log(slog.LevelInfo, "b")
	}
	if n := lines(); n != burst {
		t.Errorf("%d of a flood pass, want %d", n, burst)
	}
	log(slog.LevelInfo, "c")
	log(slog.LevelError, "b")
	if n := lines(); n != 2 {
		t.Errorf("%d of two others pass", n)
	}
	for range 100 {
		log(slog.LevelDebug, "b")
	}
	if n := lines(); n != 100 {
		t.Errorf("%d debug messages pass, want 100", n)
	}
	now = now.Add(window)
	log(slog.LevelInfo, "b")
	if !strings.Contains(b.String(), "not_logged=90") {
		t.Errorf("after the flood: %s", &b)
	}
	b.Reset()
	now = now.Add(-time.Hour)
	log(slog.LevelInfo, "b")
	if n := lines(); n != 1 {
		t.Error("nothing passes when the clock was set back")
	}
}
