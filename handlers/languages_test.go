package handlers

import (
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getevo/rmds/wasmhost"
)

// The same small handler in several languages: it counts the messages and replies "<count> <content>".
func TestLanguages(t *testing.T) {
	languages := []struct {
		folder string
		// missing says what is not installed, "" if the handler can be built.
		missing func() string
	}{
		{"c", func() string { return missingCommand("CLANG", "clang-19") }},
		{"rust", missingRust},
		{"assemblyscript", func() string { return missingCommand("", "asc") }},
	}
	for _, language := range languages {
		t.Run(language.folder, func(t *testing.T) {
			if missing := language.missing(); missing != "" {
				t.Skipf("%s; see %s/build.sh", missing, language.folder)
			}
			wasm, err := buildScript(language.folder)
			if err != nil {
				t.Fatal(err)
			}
			testCounting(t, load(t, wasm, nil))
		})
	}
}

func testCounting(t *testing.T, node *node) {
	long := strings.Repeat("0123456789abcdef", 256)
	for i, content := range []string{"one", "\x00\xff", long, "four", "5", "6", "7", "8", "9", "ten"} {
		got := node.handle(t, content)
		count := strconv.Itoa(i + 1)
		if want := []string{count + " " + content}; got.kind != wasmhost.Ack || !slices.Equal(got.replies, want) {
			t.Errorf("%s (%s), replies %.40q, want %.40q", got.kind, got.reason, got.replies, want)
		}
		if string(node.kv["count"]) != count || len(node.kv) != 1 {
			t.Errorf("store is %q, want a count of %s", node.kv, count)
		}
	}
	for content, reason := range map[string]string{"": "empty message", long + "x": "message over 4096 bytes"} {
		if got := node.handle(t, content); got.kind != wasmhost.Reject || got.reason != reason {
			t.Errorf("%.20q: %s (%s), want a rejection: %s", content, got.kind, got.reason, reason)
		}
	}
	if got := string(node.kv["count"]); got != "10" {
		t.Errorf("count is %s after the rejections, want 10", got)
	}
	node.kv["count"] = []byte("1000000000000000000000")
	if got := node.handle(t, "x"); got.kind != wasmhost.Failed {
		t.Errorf("with a count of 22 digits: %s, want a failure", got.kind)
	}
}

func missingCommand(variable, command string) string {
	if name := os.Getenv(variable); name != "" {
		command = name
	}
	if _, err := exec.LookPath(command); err != nil {
		return command + " is not installed"
	}
	return ""
}

func missingRust() string {
	if missing := missingCommand("RUSTC", "rustc"); missing != "" {
		return missing
	}
	rustc := "rustc"
	if name := os.Getenv("RUSTC"); name != "" {
		rustc = name
	}
	dir, err := exec.Command(rustc, "--print", "target-libdir", "--target", "wasm32-unknown-unknown").Output()
	if err == nil {
		_, err = os.Stat(strings.TrimSpace(string(dir)))
	}
	if err != nil {
		return rustc + " does not have the target wasm32-unknown-unknown"
	}
	if os.Getenv("WASM_LD") != "" {
		return missingCommand("WASM_LD", "")
	}
	return ""
}
