package handlers

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// buildGo builds the Go handler in the folder.
func buildGo(folder string) ([]byte, error) {
	return build(func(out string) *exec.Cmd {
		cmd := exec.Command("go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", out, "./"+folder)
		cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=")
		return cmd
	})
}

// buildScript builds a handler by its folder's build.sh.
func buildScript(folder string) ([]byte, error) {
	return build(func(out string) *exec.Cmd { return exec.Command("./"+folder+"/build.sh", out) })
}

func build(command func(out string) *exec.Cmd) ([]byte, error) {
	dir, err := os.MkdirTemp("", "handlers")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "handler.wasm")
	cmd := command(out)
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Run(); err != nil {
		return nil, &buildError{cmd.String(), log.String(), err}
	}
	return os.ReadFile(out)
}

type buildError struct {
	command, log string
	err          error
}

func (e *buildError) Error() string { return e.command + ": " + e.err.Error() + "\n" + e.log }

var (
	goStats = sync.OnceValues(func() ([]byte, error) { return buildGo("go-stats") })
	probe   = sync.OnceValues(func() ([]byte, error) { return buildGo("testdata/probe") })
)

// built returns a module that tests share.
func built(t testing.TB, module func() ([]byte, error)) []byte {
	t.Helper()
	wasm, err := module()
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}
