package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// binary is this program, built once for all tests that need processes.
var binary string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	if len(os.Args) > 1 && os.Args[1] == compileCommand { // a test's node compiles a module in a process of its own
		return execute(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	}
	dir, err := os.MkdirTemp("", "rmds-node-test")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "rmds-node")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	for _, name := range []string{envSocket, envConfig, "NOTIFY_SOCKET", "WATCHDOG_USEC", "JOURNAL_STREAM", "RMDS_NODE_ID"} {
		os.Unsetenv(name)
	}
	return m.Run()
}

// cli runs a command line in this process.
func cli(t *testing.T, in string, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = execute(context.Background(), args, strings.NewReader(in), &o, &e)
	return code, o.String(), e.String()
}

func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	nowhere := filepath.Join(dir, "no.sock")
	bad := write(t, dir, "bad.toml", "[node]\nidd = \"x\"\n[delivery]\nobserve = 1\n")
	for _, tt := range []struct {
		args string
		code int
		says string // on standard error
	}{
		{"", exitOK, ""},
		{"--help", exitOK, ""},
		{"help send", exitOK, ""},
		{"version", exitOK, ""},
		{"completion bash", exitOK, ""},
		{"completion tcsh", exitUsage, `unknown command "tcsh"`},
		{"stats", exitUsage, "did you mean status?"},
		{"config chek", exitUsage, "did you mean check?"},
		{"kv put", exitUsage, `unknown command "put"`},
		{"send", exitUsage, "usage: rmds-node send CHANNEL [CONTENT]"},
		{"send a b c", exitUsage, "3 arguments given"},
		{"send a b --ttl soon", exitUsage, "not a duration"},
		{"send a b --ttl 0s", exitUsage, "more than zero"},
		{"send a b --header x", exitUsage, "write name=value"},
		{"send a b --file c", exitUsage, "not both"},
		{"status --soket x", exitUsage, "unknown flag: --soket"},
		{"status x", exitUsage, "1 argument given"},
		{"version x", exitUsage, "1 argument given"},
		{"send a --file " + nowhere, exitFailed, "no such file"},
		{"config check --config " + nowhere, exitConfig, "rmds-node config init"},
		{"config check --config " + bad, exitConfig, bad + ":2:1: node.idd: unknown key; did you mean id?\n" + bad + ":4:11: delivery.observe: is the number 1"},
		{"config print --config " + bad, exitConfig, "error: the configuration has 2 faults"},
		{"run --config " + bad, exitConfig, "2 faults"},
		{"status --config " + bad, exitConfig, "2 faults"},
		{"status --socket " + nowhere, exitUnreachable, "node not reachable at " + nowhere},
		{"send a b --socket " + nowhere, exitUnreachable, "hint: is the node running?"},
		{"request a b --socket " + nowhere, exitUnreachable, "node not reachable"},
		{"kv ls h --socket " + nowhere, exitUnreachable, "node not reachable"},
		{"kv get h k --socket " + nowhere, exitUnreachable, "node not reachable"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			code, out, errs := cli(t, "", strings.Fields(tt.args)...)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if !strings.Contains(errs, tt.says) {
				t.Errorf("standard error is %q, want in it %q", errs, tt.says)
			}
			if code != exitOK && out != "" {
				t.Errorf("standard output of a failure is %q", out)
			}
			if code == exitOK && errs != "" {
				t.Errorf("standard error of a success is %q", errs)
			}
		})
	}
}

// write writes a file of a test and returns its path.
func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
