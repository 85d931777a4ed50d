package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/getevo/rmds/cmd/rmds-node/internal/admin"
	stats "github.com/getevo/rmds/handlers/stats-wat"
)

// rebuilt is the demo's module with a name in it: another module that does the same.
func rebuilt(name string) []byte {
	section := append([]byte{byte(len(name))}, name...)
	return append(append(append([]byte{}, stats.Module...), 0, byte(len(section))), section...)
}

// replace puts a file in the place of another, as a deployment does.
func replace(t *testing.T, path string, content []byte) {
	t.Helper()
	next := write(t, filepath.Dir(path), "next", string(content))
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}

// TestHandlerReload replaces a module under a running node: by its file alone, by SIGHUP and by command, and with
// modules that are none.
func TestHandlerReload(t *testing.T) {
	file, socket := configure(t, "edge", noServer, statsHandler)
	path := write(t, filepath.Dir(file), "stats.wasm", string(stats.Module))
	n := startNode(t, file, socket)
	list := func() admin.HandlerStatus {
		t.Helper()
		var list []admin.HandlerStatus
		if err := json.Unmarshal([]byte(n.must("", "handler", "ls", "--json")), &list); err != nil || len(list) != 1 {
			t.Fatalf("%v: %+v", err, list)
		}
		return list[0]
	}
	first := list()
	if first.Since.IsZero() || first.Reloads != 0 || first.Refused != nil || first.Kind != "reactor" {
		t.Errorf("at the start: %+v", first)
	}

	replace(t, path, rebuilt("one"))
	n.wait("module replaced")
	one := list()
	if one.SHA256 == first.SHA256 || one.Reloads != 1 || !one.Since.After(first.Since) {
		t.Errorf("after the file changed: %+v, before: %+v", one, first)
	}

	replace(t, path, []byte("no module"))
	n.wait("module refused")
	bad := list()
	if bad.SHA256 != one.SHA256 || bad.Refused == nil || !strings.Contains(bad.Refused.Reason, "not a WebAssembly module") {
		t.Errorf("after a bad file: %+v", bad)
	}
	if out := n.must("", "handler", "ls"); !strings.Contains(out, one.SHA256[:12]) || !strings.Contains(out, "stats: refused") {
		t.Errorf("handler ls shows\n%s", out)
	}
	if code, out, errs := n.run("", "handler", "reload", "stats"); code != exitFailed || !strings.Contains(out, "the old one") || !strings.Contains(errs, "1 module") {
		t.Errorf("reload of a bad file: %d\n%s%s", code, out, errs)
	}

	replace(t, path, rebuilt("two"))
	if err := n.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	n.wait("module replaced")
	if two := list(); two.Reloads != 2 || two.Refused != nil {
		t.Errorf("after SIGHUP: %+v", two)
	}
	if out := n.must("", "handler", "reload"); !strings.Contains(out, "unchanged") {
		t.Errorf("reload of what runs:\n%s", out)
	}
	if code, _, errs := n.run("", "handler", "reload", "nobody"); code != exitFailed || !strings.Contains(errs, `no handler "nobody"`) {
		t.Errorf("reload of nobody: %d, %s", code, errs)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	n.wait("no such file")
	if gone := list(); gone.Reloads != 2 || gone.Refused == nil || gone.Refused.SHA256 != "" {
		t.Errorf("without its file: %+v", gone)
	}
	if code := n.end(syscall.SIGTERM); code != exitOK {
		t.Errorf("the exit code is %d", code)
	}
}

// TestPinnedModule holds that a running node, too, takes no module of another sum than the configured one.
func TestPinnedModule(t *testing.T) {
	const sum = "SUM"
	file, socket := configure(t, "edge", noServer, statsHandler+"sha256 = \""+sum+"\"\n")
	dir := filepath.Dir(file)
	path := write(t, dir, "stats.wasm", string(stats.Module))
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "node.toml", strings.Replace(string(text), sum, sumOf(stats.Module), 1))
	n := startNode(t, file, socket)
	replace(t, path, rebuilt("other"))
	code, out, _ := n.run("", "handler", "reload")
	if code != exitFailed || !strings.Contains(out, "is another module") || !strings.Contains(out, sumOf(rebuilt("other"))) {
		t.Errorf("reload of a module of another sum: %d\n%s", code, out)
	}
	if s := n.status(); s.Handlers[0].SHA256 != sumOf(stats.Module) || s.Handlers[0].Refused.SHA256 != sumOf(rebuilt("other")) {
		t.Errorf("status is %+v", s.Handlers[0])
	}
}

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
