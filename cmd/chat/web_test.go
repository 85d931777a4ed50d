package main

import (
	"context"
	"io"
	"io/fs"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// startPage serves the page of a chat without NATS.
func startPage(t *testing.T) (*webServer, *chat) {
	t.Helper()
	t.Chdir(t.TempDir())
	o, err := parse([]string{"-node_id", "alice", "-nats", "localhost:1"}, io.Discard)
	check(t, err)
	c, err := open(o)
	check(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	w, err := serveWeb(ctx, c, "localhost:0")
	check(t, err)
	t.Cleanup(func() {
		cancel()
		check(t, w.close())
		check(t, c.close())
	})
	return w, c
}

// TestPageRefuses: what comes from elsewhere, or is no message, is refused.
func TestPageRefuses(t *testing.T) {
	w, c := startPage(t)
	for _, tt := range []struct {
		name, method, path, host, origin, body string
		status                                 int
	}{
		{"the page", "GET", "/", "", "", "", 200},
		{"a name that points here", "GET", "/events", "evil.example", "", "", 421},
		{"a form of another site", "POST", "/send", "", "https://evil.example", `{"text":"x"}`, 403},
		{"nothing", "POST", "/send", "", "", `{"text":"  "}`, 400},
		{"no JSON", "POST", "/send", "", "", `text=x`, 400},
		{"too much", "POST", "/send", "", "", `{"text":"` + strings.Repeat("x", maxLineBytes) + `"}`, 400},
		{"another command", "POST", "/send", "", "", `{"text":"/quit"}`, 400},
		{"a file that is not there", "GET", "/etc/passwd", "", "", "", 404},
		{"a message", "POST", "/send", "", w.url(), `{"text":"hello"}`, 200},
	} {
		req, err := http.NewRequestWithContext(t.Context(), tt.method, w.url()+tt.path, strings.NewReader(tt.body))
		check(t, err)
		if tt.host != "" {
			req.Host = tt.host
		}
		if tt.origin != "" {
			req.Header.Set("Origin", tt.origin)
		}
		r, err := http.DefaultClient.Do(req)
		check(t, err)
		check(t, r.Body.Close())
		if r.StatusCode != tt.status {
			t.Errorf("%s: status %d, want %d", tt.name, r.StatusCode, tt.status)
		}
		if csp := r.Header.Get("Content-Security-Policy"); tt.status == 200 && !strings.HasPrefix(csp, "default-src 'none'; script-src 'self'") {
			t.Errorf("%s: the policy is %q", tt.name, csp)
		}
	}
	lines, _, _ := c.room.since(0)
	sent := 0
	for _, l := range lines {
		if l.Own {
			sent++
		}
	}
	if sent != 1 {
		t.Errorf("%d messages were sent, want the last one alone", sent)
	}
}

// TestPageIsWhole: the page loads nothing from elsewhere, and its script makes no HTML of what others have written.
func TestPageIsWhole(t *testing.T) {
	outside := regexp.MustCompile(`(?i)https?:|["'(]//|@import|innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(`)
	err := fs.WalkDir(pageFiles, "page", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := pageFiles.ReadFile(path)
		if found := outside.Find(b); found != nil {
			t.Errorf("%s has %q", path, found)
		}
		return err
	})
	check(t, err)
}

// TestRoomIsBounded: a page that is opened late gets the newest lines, and one that follows misses none.
func TestRoomIsBounded(t *testing.T) {
	r := newRoom()
	next := 0
	for i := range 10 * maxLines {
		r.add(line{Text: strings.Repeat("x", i%3)})
		lines, n, _ := r.since(next)
		if len(lines) != 1 || n != i+1 {
			t.Fatalf("after line %d a follower gets %d lines, up to %d", i+1, len(lines), n)
		}
		next = n
	}
	if lines, n, _ := r.since(0); len(lines) > maxLines || len(lines) < maxLines/2 || n != 10*maxLines {
		t.Errorf("%d lines are kept, up to %d", len(lines), n)
	}
}
