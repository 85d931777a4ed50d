package wasmhost

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/getevo/rmds/wasmhost/internal/meter"
)

// Compiler is a process that compiles a module, so that one which takes too long can be ended: a compilation inside this
// process cannot be. It is started for every module with the cache's directory as its last argument, and is to call
// Compile.
type Compiler struct {
	Command []string      // empty: compile in this process, however long it takes
	Timeout time.Duration // after which the process is killed and the module refused
}

// Compile compiles a module that a Host has prepared into a cache: what a Compiler's process does with its last argument
// and its standard input. It prints nothing; the process must print the error's text to standard error and exit with
// another code than 0.
func Compile(ctx context.Context, cacheDir string, prepared io.Reader) error {
	wasm, err := io.ReadAll(prepared)
	if err != nil {
		return fmt.Errorf("read the module: %w", err)
	}
	h, err := New(ctx, Options{CacheDir: cacheDir})
	if err != nil {
		return err
	}
	compiled, err := h.runtime.CompileModule(ctx, wasm)
	if err == nil {
		err = compiled.Close(ctx)
	}
	return errors.Join(err, h.Close(ctx))
}

// compile meters and compiles a module.
func (h *Host) compile(ctx context.Context, m *meter.Module, limits Limits) (compiled wazero.CompiledModule, err error) {
	metered, err := m.Instrument(meter.Config{
		MaxPages:    uint32(limits.MemoryBytes / meter.PageSize),
		MaxElements: maxTableElements,
		ImportCost:  importCost,
		ExpandRem:   runtime.GOARCH == "arm64",
	})
	if err != nil {
		return nil, err
	}
	h.compiling.Lock()
	defer h.compiling.Unlock()
	if err := h.compileApart(ctx, metered); err != nil {
		return nil, err
	}
	defer func() { // a compiler that fails on a module must not take the program with it
		if p := recover(); p != nil {
			err = fmt.Errorf("the compiler failed: %v", p)
		}
	}()
	return h.runtime.CompileModule(ctx, metered)
}

// compileApart has a process of its own bring the module into the cache, from which this process then takes it.
func (h *Host) compileApart(ctx context.Context, metered []byte) error {
	if len(h.compiler.Command) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, h.compiler.Timeout, ErrCompileTime)
	defer cancel()
	args := append(append([]string{}, h.compiler.Command...), h.cacheDir)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	var says bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(metered), &limitedBuffer{b: &says}
	cmd.Env = []string{}        // the node's may hold secrets, and the compiler needs none
	cmd.WaitDelay = time.Second // for a pipe that a grandchild holds
	err := cmd.Run()
	switch {
	case err == nil:
		return nil
	case errors.Is(context.Cause(ctx), ErrCompileTime):
		return fmt.Errorf("%w of %v", ErrCompileTime, h.compiler.Timeout)
	case ctx.Err() != nil:
		return ctx.Err()
	}
	if text := strings.TrimPrefix(strings.TrimSpace(strings.ToValidUTF8(says.String(), "")), "error: "); text != "" {
		return errors.New(text)
	}
	return fmt.Errorf("the compiler failed: %w", err)
}

// limitedBuffer keeps the beginning of what is written, which is where a process that dies says why.
type limitedBuffer struct{ b *bytes.Buffer }

func (l *limitedBuffer) Write(p []byte) (int, error) {
	l.b.Write(p[:min(len(p), maxLogLine-min(l.b.Len(), maxLogLine))])
	return len(p), nil
}

// runtimeConfig is how every runtime here is made; the compiler's cache tells configurations apart.
func runtimeConfig(interpreter bool) wazero.RuntimeConfig {
	config := wazero.NewRuntimeConfig()
	if interpreter {
		config = wazero.NewRuntimeConfigInterpreter()
	}
	return config.WithCoreFeatures(api.CoreFeaturesV2).WithDebugInfoEnabled(false)
}
