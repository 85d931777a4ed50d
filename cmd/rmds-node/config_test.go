package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/getevo/rmds/cmd/rmds-node/internal/config"
)

func TestConfigInit(t *testing.T) {
	t.Setenv(config.EnvNodeID, "box")
	file := filepath.Join(t.TempDir(), "node.toml")
	if code, _, errs := cli(t, "", "config", "init", file); code != exitOK {
		t.Fatalf("init: %d, %s", code, errs)
	}
	code, out, errs := cli(t, "", "config", "check", "--config", file)
	if want := file + ": ok: node box, 0 channels, 0 handlers\n"; code != exitOK || out != want {
		t.Errorf("check of what init wrote: %d, %q, %q", code, out, errs)
	}
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := cli(t, "", "config", "init", file); code != exitFailed || !strings.Contains(errs, "--force") {
		t.Errorf("init over a file: %d, %q", code, errs)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "mine" {
		t.Errorf("the file, afterwards: %q, %v", b, err)
	}
	if code, _, errs := cli(t, "", "config", "init", file, "--force"); code != exitOK {
		t.Errorf("init --force: %d, %q", code, errs)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != config.Example {
		t.Errorf("the file after --force: %d bytes, %v", len(b), err)
	}
	if code, out, _ := cli(t, "", "config", "init"); code != exitOK || out != config.Example {
		t.Errorf("init: %d, %d bytes", code, len(out))
	}
}

func TestConfigPrint(t *testing.T) {
	file := write(t, t.TempDir(), "node.toml", "[node]\nid = \"box\"\n[delivery]\nreader_expiry = \"48h\"\n")
	code, out, errs := cli(t, "", "config", "print", "--config", file)
	if code != exitOK || !strings.Contains(out, "reader_expiry = \"2d\"\n") || !strings.Contains(out, "keepalive_interval = \"10s\"\n") {
		t.Errorf("print: %d, %q, %s", code, errs, out)
	}
}

// TestConfigCheckModules holds that what is wrong with a module is told in terms of the configuration: where, which
// file, and what to do.
func TestConfigCheckModules(t *testing.T) {
	dir := t.TempDir()
	good := write(t, dir, "good.wasm", string(constModule(0)))
	foreign := write(t, dir, "foreign.wasm", string(importModule("wasi_unstable", "fd_fly")))
	text := write(t, dir, "text.wasm", "hello")
	empty := write(t, dir, "empty.wasm", "\x00asm\x01\x00\x00\x00")
	const channels = "[node]\nid = \"box\"\n[[channel]]\nname = \"in\"\nrole = \"reader\"\n"
	handler := func(name, module, rest string) string {
		return fmt.Sprintf("[[handler]]\nname = %q\nmodule = %q\nchannels = [\"in\"]\n%s", name, module, rest)
	}
	sum := strings.Repeat("00", 32)
	file := write(t, dir, "node.toml", channels+
		handler("a", "none.wasm", "")+ // line 6
		handler("b", "good.wasm", "sha256 = \""+sum+"\"\n")+ // line 10
		handler("c", foreign, "")+ // line 15
		handler("d", text, "")+ // line 19
		handler("e", empty, "")+ // line 23
		handler("f", good, "")) // line 27
	code, _, errs := cli(t, "", "config", "check", "--config", file)
	if code != exitConfig {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{
		file + ":8:10: handler[0].module: open " + filepath.Join(dir, "none.wasm") + ": no such file or directory; name a .wasm file",
		file + ":14:10: handler[1].sha256: " + good + " is another module: its sum is ",
		file + ":17:10: handler[2].module: " + foreign + ": ", "wasi_unstable", "fd_fly", "build it against rmds_v1",
		file + ":21:10: handler[3].module: " + text + ": ",
		file + ":25:10: handler[4].module: " + empty + ": ", "rmds_handle",
		"the configuration has 5 faults",
	} {
		if !strings.Contains(errs, want) {
			t.Errorf("not told: %s\ntold:\n%s", want, errs)
		}
	}
	if code, _, again := cli(t, "", "run", "--config", file); code != exitConfig || !strings.Contains(again, "5 faults") {
		t.Errorf("run: %d, %s", code, again)
	}
	fine := write(t, dir, "fine.toml", channels+handler("f", "good.wasm", ""))
	if code, out, errs := cli(t, "", "config", "check", "--config", fine); code != exitOK || !strings.Contains(out, "1 handler") {
		t.Errorf("check of a good one: %d, %q, %q", code, out, errs)
	}
}

// constModule is a WebAssembly module with a memory and an rmds_handle that returns n, 0 to 63.
func constModule(n byte) []byte {
	return []byte("\x00asm\x01\x00\x00\x00" +
		"\x01\x05\x01\x60\x00\x01\x7f" + // type 0: () -> i32
		"\x03\x02\x01\x00" + // function 0: type 0
		"\x05\x03\x01\x00\x01" + // memory of 1 page
		"\x07\x18\x02\x06memory\x02\x00\x0brmds_handle\x00\x00" +
		"\x0a\x06\x01\x04\x00\x41" + string(n) + "\x0b") // i32.const n
}

// importModule is constModule(0) that also imports a function () -> i32.
func importModule(module, name string) []byte {
	entry := "\x01" + string(rune(len(module))) + module + string(rune(len(name))) + name + "\x00\x00"
	return []byte("\x00asm\x01\x00\x00\x00" +
		"\x01\x05\x01\x60\x00\x01\x7f" +
		"\x02" + string(rune(len(entry))) + entry +
		"\x03\x02\x01\x00" +
		"\x05\x03\x01\x00\x01" +
		"\x07\x18\x02\x06memory\x02\x00\x0brmds_handle\x00\x01" +
		"\x0a\x06\x01\x04\x00\x41\x00\x0b")
}
