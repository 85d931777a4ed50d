package wasmhost

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"
)

// An instance of a reactor is replaced after so many calls or when its memory, which never shrinks, has grown beyond this
// part of its limit, so that leaks and fragmentation in guests do not add up for ever.
const (
	recycleCalls = 10_000
	recyclePart  = 2 // half
)

// instance is a module with a memory of its own. One call at a time uses it.
type instance struct {
	mod    api.Module
	handle api.Function // of a reactor
	call   *call        // the one that runs, for what WASI does on its behalf
	stdout *stream
	stderr *stream
	calls  int
	lines  *lines // of a command in lines mode
}

func newInstance() *instance {
	inst := &instance{}
	inst.stdout, inst.stderr = &stream{inst: inst, level: slog.LevelInfo}, &stream{inst: inst, level: slog.LevelWarn}
	return inst
}

// config is what WASI shows to an instance.
func (m *Module) config(inst *instance, stdin io.Reader, stdout io.Writer, args []string) wazero.ModuleConfig {
	c := wazero.NewModuleConfig().WithName("").WithStartFunctions().
		WithStdout(stdout).WithStderr(inst.stderr).
		WithArgs(args...).
		WithSysWalltime().WithSysNanotime().
		WithNanosleep(func(ns int64) { inst.call.sleep(ns) }).
		WithRandSource(guestRandom{inst})
	if stdin != nil {
		c = c.WithStdin(stdin)
	}
	keys := make([]string, 0, len(m.settings.Env))
	for k := range m.settings.Env {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		c = c.WithEnv(k, m.settings.Env[k])
	}
	return c
}

// guestRandom is the source of WASI's random_get.
type guestRandom struct{ inst *instance }

func (r guestRandom) Read(p []byte) (int, error) {
	const part = 1 << 20
	for n := 0; n < len(p); n += part {
		r.inst.call.check()
		rand.Read(p[n:min(n+part, len(p))]) // never fails: see its documentation
	}
	return len(p), nil
}

// startReactor makes an instance of a reactor and initialises it within the handler's time limits.
func (m *Module) startReactor(ctx context.Context) (*instance, error) {
	inst := newInstance()
	ctx, c := m.newCall(ctx, inst, nil, nil)
	defer c.watch.end()
	inst.call = c
	defer inst.finish()

	mod, err := m.host.runtime.InstantiateModule(ctx, m.compiled, m.config(inst, nil, inst.stdout, []string{m.settings.Name}))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInit, c.failure(err))
	}
	inst.mod, inst.handle = mod, mod.ExportedFunction(exportHandle)
	if err := m.initialise(ctx, c, inst); err != nil {
		inst.close(ctx)
		return nil, fmt.Errorf("%w: %w", ErrInit, err)
	}
	return inst, nil
}

func (m *Module) initialise(ctx context.Context, c *call, inst *instance) error {
	if f := inst.mod.ExportedFunction(exportInitialize); f != nil {
		if _, err := f.Call(ctx); err != nil {
			return fmt.Errorf("%s: %w", exportInitialize, c.guestError(err))
		}
	}
	f := inst.mod.ExportedFunction(exportInit)
	if f == nil {
		return nil
	}
	results, err := f.Call(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", exportInit, c.guestError(err))
	}
	if result := int32(results[0]); result != 0 {
		err := fmt.Errorf("%s returned %d", exportInit, result)
		if c.reason != "" {
			err = fmt.Errorf("%w: %s", err, c.reason)
		}
		return err
	}
	return nil
}

// guestError is failure for a reactor, in which exiting is a failure too.
func (c *call) guestError(err error) error {
	var exit *sys.ExitError
	if c.stop == nil && errors.As(err, &exit) {
		return c.withStderr(fmt.Errorf("%w with status %d", ErrExited, int32(exit.ExitCode())))
	}
	return c.failure(err)
}

// handle runs one message and reports whether the instance may be used again.
func (m *Module) handle(ctx context.Context, inst *instance, msg *Msg, effects Effects) (Outcome, bool) {
	ctx, c := m.newCall(ctx, inst, msg, effects)
	var o Outcome
	if inst.lines != nil {
		o = inst.lines.handle(c)
	} else {
		inst.call = c
		o = inst.react(ctx, c)
	}
	o.CPU = c.watch.total
	inst.finish()
	inst.calls++
	grown := int64(inst.mod.Memory().Size()) > max(m.limits.MemoryBytes/recyclePart, m.info.MemoryBytes)
	return o, o.Kind != Failed && inst.calls < recycleCalls && !grown
}

// react calls a reactor.
func (i *instance) react(ctx context.Context, c *call) Outcome {
	var result [1]uint64
	err := i.handle.CallWithStack(ctx, result[:])
	c.watch.end()
	if err != nil {
		return c.failed(c.guestError(err))
	}
	return c.outcome(uint32(result[0]))
}

// finish ends the instance's use by a call.
func (i *instance) finish() {
	i.stdout.flush()
	i.stderr.flush()
	i.call.log.close()
	i.call = nil
}

// close frees the instance's memory, which nothing else does.
func (i *instance) close(ctx context.Context) {
	if i.lines != nil {
		i.lines.end()
	}
	_ = i.mod.Close(ctx) // it has no files to close, nothing else can fail
}
