package wasmhost

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/getevo/rmds/wasmhost/internal/meter"
)

// Options configures a Host.
type Options struct {
	// CacheDir keeps compiled modules between starts of the program. Whoever can write to it can run code in this
	// process: it is created for its owner alone, and refused if others may write to it. Empty keeps them in memory.
	CacheDir string
	// Logger gets the lines of handlers whose settings name no other. nil discards them.
	Logger *slog.Logger
	// Interpreter runs guests without machine code, some fifty times slower. It is what happens anyway on processors
	// that the compiler does not know and where the system forbids executable memory.
	Interpreter bool
	// Compiler, if it has a command, compiles modules in a process of its own. It needs CacheDir.
	Compiler Compiler
}

// Host holds the compiler and the host functions. Its methods may be called by any goroutine.
type Host struct {
	logger  *slog.Logger
	cache   wazero.CompilationCache
	runtime wazero.Runtime
	// exports are the functions that guests may import, by module and name.
	exports map[string]map[string]api.FunctionDefinition

	compiler Compiler
	cacheDir string

	compiling sync.Mutex // one compilation at a time: it uses much memory
}

// New returns a Host without modules.
func New(ctx context.Context, o Options) (*Host, error) {
	h := &Host{logger: o.Logger, exports: map[string]map[string]api.FunctionDefinition{}}
	if h.logger == nil {
		h.logger = slog.New(slog.DiscardHandler)
	}
	config := runtimeConfig(o.Interpreter)
	if len(o.Compiler.Command) > 0 && !o.Interpreter {
		if o.CacheDir == "" || o.Compiler.Timeout <= 0 {
			return nil, errors.New("a compiler needs a cache and a time limit")
		}
		h.compiler, h.cacheDir = o.Compiler, o.CacheDir
	}
	if o.CacheDir != "" {
		if err := makePrivate(o.CacheDir); err != nil {
			return nil, fmt.Errorf("compilation cache: %w", err)
		}
		cache, err := wazero.NewCompilationCacheWithDir(o.CacheDir)
		if err != nil {
			return nil, fmt.Errorf("compilation cache: %w", err)
		}
		h.cache = cache
		config = config.WithCompilationCache(cache)
	}
	h.runtime = wazero.NewRuntimeWithConfig(ctx, config)
	if err := h.export(ctx); err != nil {
		_ = h.Close(ctx) // the first error says more
		return nil, err
	}
	return h, nil
}

// makePrivate makes a directory for its owner alone, and refuses one that others can write to.
func makePrivate(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s can be written to by others (%v): what is in it is run as code; chmod 700 it", dir, info.Mode())
	}
	return nil
}

// Close frees the compiler and what is left of modules. Close the modules first: it does not wait for their calls.
func (h *Host) Close(ctx context.Context) error {
	err := h.runtime.Close(ctx)
	if h.cache != nil {
		if cerr := h.cache.Close(ctx); err == nil {
			err = cerr
		}
	}
	return err
}

// export makes the modules that guests import from.
func (h *Host) export(ctx context.Context) error {
	v1 := h.runtime.NewHostModuleBuilder(guestModule)
	for _, f := range hostFuncs {
		params := make([]api.ValueType, f.params)
		for i := range params {
			params[i] = api.ValueTypeI32
		}
		v1.NewFunctionBuilder().WithGoModuleFunction(f.wazeroFunc(), params, f.results).Export(f.name)
	}
	wasi := h.runtime.NewHostModuleBuilder(wasi_snapshot_preview1.ModuleName)
	wasi_snapshot_preview1.NewFunctionExporter().ExportFunctions(wasi)
	env := h.runtime.NewHostModuleBuilder(abortModule)
	env.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(abort), abortParams, nil).Export(abortName)
	refill := h.runtime.NewHostModuleBuilder(meter.ImportModule)
	refill.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(
		func(ctx context.Context, _ api.Module, stack []uint64) { stack[0] = callOf(ctx).refill() }),
		nil, []api.ValueType{api.ValueTypeI64}).Export(meter.ImportRefill)

	for name, b := range map[string]wazero.HostModuleBuilder{
		guestModule: v1, wasi_snapshot_preview1.ModuleName: wasi, abortModule: env, meter.ImportModule: refill,
	} {
		compiled, err := b.Compile(ctx)
		if err != nil {
			return fmt.Errorf("host module %s: %w", name, err)
		}
		if _, err := h.runtime.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithName(name)); err != nil {
			return fmt.Errorf("host module %s: %w", name, err)
		}
		if name != meter.ImportModule {
			h.exports[name] = compiled.ExportedFunctions()
		}
	}
	return nil
}
