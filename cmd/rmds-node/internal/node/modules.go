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

// modules are the loaded modules of the configured handlers.
type modules struct {
	host   *wasmhost.Host
	loaded []*wasmhost.Module // by the handlers' order in the configuration
}

// loadModules loads every handler's module. cache is the directory of compiled modules, "" for none. All modules that
// cannot be loaded are reported together, as Faults.
func loadModules(ctx context.Context, c *config.Config, cache string, log *slog.Logger) (*modules, error) {
	host, err := wasmhost.New(ctx, wasmhost.Options{CacheDir: cache, Logger: log})
	if err != nil {
		return nil, err
	}
	m := &modules{host: host}
	var faults config.Faults
	for i := range c.Handlers {
		h, key := &c.Handlers[i], fmt.Sprintf("handler[%d]", i)
		limits := limitsOf(h)
		wasm, fault := readModule(c, h, key, limits.ModuleBytes)
		if fault != nil {
			faults = append(faults, *fault)
			continue
		}
		settings := wasmhost.Settings{Name: h.Name, Config: h.Config, Env: h.Env, Sends: h.Send, Logger: log}
		loaded, err := host.Load(ctx, wasm, limits, settings)
		if err != nil {
			faults = append(faults, c.Fault(key+".module", h.Module+": "+err.Error(), remedy(err)))
			continue
		}
		m.loaded = append(m.loaded, loaded)
	}
	if err := faults.Err(); err != nil {
		return nil, errors.Join(err, m.close(ctx))
	}
	return m, nil
}

func limitsOf(h *config.Handler) wasmhost.Limits {
	l := wasmhost.DefaultLimits()
	l.Timeout, l.CPU, l.MemoryBytes = time.Duration(h.Timeout), time.Duration(h.CPU), int64(h.Memory)
	return l
}

// readModule reads a module's file, never more than the limit and a byte, and checks its sum.
func readModule(c *config.Config, h *config.Handler, key string, limit int64) ([]byte, *config.Fault) {
	bad := func(name, message, hint string) ([]byte, *config.Fault) {
		f := c.Fault(key+"."+name, message, hint)
		return nil, &f
	}
	f, err := os.Open(h.Module)
	if err != nil {
		return bad("module", err.Error(), "name a .wasm file that the node may read; relative names start at the configuration file's directory")
	}
	defer f.Close()
	wasm, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return bad("module", err.Error(), "name a .wasm file that the node may read")
	}
	sum := sha256.Sum256(wasm)
	if got := hex.EncodeToString(sum[:]); h.SHA256 != "" && !strings.EqualFold(h.SHA256, got) {
		return bad("sha256", fmt.Sprintf("%s is another module: its sum is %s", h.Module, got), "put the right module there, or, if this is it, write its sum here")
	}
	return wasm, nil
}

// remedy says what to do about a module that the host refuses, where the host's own words do not.
func remedy(err error) string {
	switch {
	case errors.Is(err, wasmhost.ErrImport):
		return "build it against rmds_v1 and wasip1 alone"
	case errors.Is(err, wasmhost.ErrExport):
		return "it must export memory and either rmds_handle or _start"
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
