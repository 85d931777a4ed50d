package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/getevo/rmds/cmd/rmds-node/internal/config"
	"github.com/getevo/rmds/wasmhost"
)

// modules are the modules of the configured handlers.
type modules struct {
	host   *wasmhost.Host
	loaded []*module // by the handlers' order in the configuration
}

// module is a handler's module and the file that it comes from.
type module struct {
	*wasmhost.Slot
	config  *config.Config
	handler *config.Handler
	key     string // of the handler's table
	log     *slog.Logger
	file    watched
}

// hostOptions is how a running node compiles modules.
func hostOptions(c *config.Config, program Program, log *slog.Logger) wasmhost.Options {
	o := wasmhost.Options{CacheDir: c.ModuleCache(), Logger: log}
	if c.Node.CompileTimeout > 0 {
		o.Compiler = wasmhost.Compiler{Command: program.Compiler, Timeout: time.Duration(c.Node.CompileTimeout)}
	}
	return o
}

// loadModules loads every handler's module. All modules that cannot be loaded are reported together, as Faults.
func loadModules(ctx context.Context, c *config.Config, o wasmhost.Options) (*modules, error) {
	host, err := wasmhost.New(ctx, o)
	if err != nil {
		return nil, err
	}
	m := &modules{host: host}
	var faults config.Faults
	for i := range c.Handlers {
		loaded, fault := loadModule(ctx, host, c, i, o.Logger)
		if fault != nil {
			faults = append(faults, *fault)
			continue
		}
		m.loaded = append(m.loaded, loaded)
	}
	if err := faults.Err(); err != nil {
		return nil, errors.Join(err, m.close(ctx))
	}
	return m, nil
}

func loadModule(ctx context.Context, host *wasmhost.Host, c *config.Config, i int, log *slog.Logger) (*module, *config.Fault) {
	h := &c.Handlers[i]
	m := &module{config: c, handler: h, key: fmt.Sprintf("handler[%d]", i), log: log.With("handler", h.Name)}
	m.file.look(h.Module) // before the reading: what is written meanwhile is a change
	wasm, _, fault := m.read()
	if fault != nil {
		return nil, fault
	}
	settings := wasmhost.Settings{Name: h.Name, Mode: modeOf(h), Config: h.Config, Env: h.Env, Sends: h.Send, Logger: log}
	slot, err := host.NewSlot(ctx, wasm, limitsOf(h), settings)
	if err != nil {
		f := c.Fault(m.key+".module", h.Module+": "+err.Error(), remedy(err))
		return nil, &f
	}
	m.Slot = slot
	return m, nil
}

func limitsOf(h *config.Handler) wasmhost.Limits {
	l := wasmhost.DefaultLimits()
	l.Timeout, l.CPU, l.MemoryBytes = time.Duration(h.Timeout), time.Duration(h.CPU), int64(h.Memory)
	return l
}

func modeOf(h *config.Handler) wasmhost.Mode {
	if h.Mode == config.ModeAuto {
		return wasmhost.ModeAuto
	}
	return wasmhost.Mode(h.Mode)
}

// read reads the module's file, never more than the limit and a byte, and checks its sum, which it returns too if it got
// that far.
func (m *module) read() (wasm []byte, sum string, fault *config.Fault) {
	bad := func(name, message, hint string) ([]byte, string, *config.Fault) {
		f := m.config.Fault(m.key+"."+name, message, hint)
		return nil, sum, &f
	}
	f, err := os.Open(m.handler.Module)
	if err != nil {
		return bad("module", err.Error(), "name a .wasm file that the node may read; relative names start at the configuration file's directory")
	}
	defer f.Close()
	limits := limitsOf(m.handler)
	wasm, err = io.ReadAll(io.LimitReader(f, limits.ModuleBytes+1))
	if err != nil {
		return bad("module", err.Error(), "name a .wasm file that the node may read")
	}
	digest := sha256.Sum256(wasm)
	sum = hex.EncodeToString(digest[:])
	if want := m.handler.SHA256; want != "" && !strings.EqualFold(want, sum) {
		return bad("sha256", fmt.Sprintf("%s is another module: its sum is %s", m.handler.Module, sum), "put the right module there, or, if this is it, write its sum here")
	}
	return wasm, sum, nil
}

// reload offers the file as it is now to the handler's slot and reports whether another module runs.
func (m *module) reload(ctx context.Context) (changed bool, err error) {
	before := m.Info()
	wasm, sum, fault := m.read()
	if fault != nil {
		err = errors.New(fault.Message)
		m.Refuse(sum, err)
	} else {
		changed, err = m.Replace(ctx, wasm)
	}
	switch {
	case err != nil:
		m.log.Error("module refused, the old one runs on", "module", m.handler.Module, "sha256", sum, "running", before.SHA256, "error", err)
	case changed:
		m.log.Info("module replaced", "module", m.handler.Module, "sha256", sum, "before", before.SHA256)
	}
	return changed, err
}

// remedy says what to do about a module that the host refuses, where the host's own words do not.
func remedy(err error) string {
	switch {
	case errors.Is(err, wasmhost.ErrImport):
		return "build it against rmds_v1 and wasip1 alone"
	case errors.Is(err, wasmhost.ErrExport):
		return "it must export memory and either rmds_handle or _start"
	case errors.Is(err, wasmhost.ErrCompileTime):
		return "raise node.compile_timeout if the module can be trusted"
	case errors.Is(err, wasmhost.ErrInit):
		return "see what it logged; its config and env are part of this file"
	}
	return ""
}

// close frees the modules. None may be in use.
func (m *modules) close(ctx context.Context) error {
	var errs []error
	for _, l := range m.loaded {
		errs = append(errs, l.Close(ctx))
	}
	return errors.Join(append(errs, m.host.Close(ctx))...)
}
