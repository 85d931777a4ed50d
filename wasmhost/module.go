package wasmhost

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/tetratelabs/wazero"
	"golang.org/x/time/rate"

	"github.com/getevo/rmds/wasmhost/internal/meter"
)

// Names of the exports that make a handler.
const (
	exportMemory     = "memory"
	exportHandle     = "rmds_handle"
	exportInit       = "rmds_init"
	exportInitialize = "_initialize"
	exportStart      = "_start"
)

// maxTableElements bounds what all tables of one instance hold together: 8 MiB of pointers.
const maxTableElements = 1 << 20

// ModuleKind is how a module is run.
type ModuleKind string

// The kinds of module.
const (
	Reactor ModuleKind = "reactor" // exports rmds_handle; its instances stay between messages
	Command ModuleKind = "command" // exports _start; a fresh instance for every message
	Lines   ModuleKind = "lines"   // a command that lives on and takes a message a line
)

// Mode says as what a module is to be run.
type Mode string

// The modes. Auto, the zero Mode, goes by the exports: a module with rmds_handle is a reactor, else one with _start is a
// command.
const (
	ModeAuto    Mode = ""
	ModeCommand Mode = "command"
	ModeLines   Mode = "lines"
)

// Settings is what a handler is given besides its module and its limits.
type Settings struct {
	Name   string            // the handler's
	Mode   Mode              // how the module is run
	Config map[string]string // for cfg_get
	Env    map[string]string // the environment that WASI shows
	Args   []string          // further arguments of a command
	Sends  []string          // channels that send may use; none if empty
	Logger *slog.Logger      // for the guest's lines; nil for the Host's
}

// check refuses what WASI could not show to a guest.
func (s *Settings) check() error {
	if s.Mode != ModeAuto && s.Mode != ModeCommand && s.Mode != ModeLines {
		return fmt.Errorf("%w: mode %q: there are command and lines, and none for what the exports say", ErrSettings, s.Mode)
	}
	for k, v := range s.Env {
		if k == "" || strings.ContainsAny(k, "=\x00") || strings.Contains(v, "\x00") {
			return fmt.Errorf("%w: environment variable %q", ErrSettings, k)
		}
	}
	for _, a := range append([]string{s.Name}, s.Args...) {
		if strings.Contains(a, "\x00") {
			return fmt.Errorf("%w: argument %q", ErrSettings, a)
		}
	}
	return nil
}

// Info describes a loaded module.
type Info struct {
	SHA256  string // of the binary as given, hexadecimal
	Bytes   int
	Kind    ModuleKind
	Imports []string // module.name
	Exports []string // functions
	// MemoryBytes is what an instance starts with.
	MemoryBytes int64
}

// Module is a loaded handler. Its methods may be called by any goroutine.
type Module struct {
	host     *Host
	limits   Limits
	settings Settings
	logger   *slog.Logger
	logRate  *rate.Limiter
	info     Info
	compiled wazero.CompiledModule
	pool     pool
}

// Load checks, meters and compiles a module and, unless it runs afresh for every message, makes its first instance, so that a module that cannot
// start is refused here. ctx bounds the start, not the compilation.
func (h *Host) Load(ctx context.Context, wasm []byte, limits Limits, settings Settings) (*Module, error) {
	if err := limits.check(); err != nil {
		return nil, err
	}
	if err := settings.check(); err != nil {
		return nil, err
	}
	if int64(len(wasm)) > limits.ModuleBytes {
		return nil, fmt.Errorf("%w: the module has %d bytes, its limit is %d: build it without debug information, or raise the limit",
			ErrTooLarge, len(wasm), limits.ModuleBytes)
	}
	parsed, err := meter.Parse(wasm)
	if err != nil {
		return nil, explain(err)
	}
	kind, err := h.check(parsed, settings.Mode)
	if err != nil {
		return nil, err
	}
	m := &Module{host: h, limits: limits, settings: settings, logger: settings.Logger}
	if m.logger == nil {
		m.logger = h.logger
	}
	m.logger = m.logger.With("handler", settings.Name)
	m.logRate = rate.NewLimiter(rate.Limit(limits.LogBytes), limits.LogBytes)
	m.info = describe(wasm, parsed, kind)
	if m.compiled, err = h.compile(ctx, parsed, limits); err != nil {
		return nil, explain(err)
	}
	m.pool.init(limits.Instances)
	if kind != Command {
		inst, err := m.start(ctx)
		if err != nil {
			_ = m.compiled.Close(ctx) // it only forgets code
			return nil, err
		}
		m.pool.idle = append(m.pool.idle, inst)
	}
	return m, nil
}

// explain gives an error of the decoder or compiler the sentinel and remedy that it deserves.
func explain(err error) error {
	switch {
	case errors.Is(err, meter.ErrComponent):
		return fmt.Errorf("%w: handlers are core modules; build for wasip1 (GOOS=wasip1, wasm32-wasip1) instead of wasip2 and "+
			"without a componentizing step", ErrComponent)
	case errors.Is(err, ErrCompileTime), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, meter.ErrTooMuch):
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	default:
		return fmt.Errorf("%w: %w", ErrNotModule, err)
	}
}

func describe(wasm []byte, parsed *meter.Module, kind ModuleKind) Info {
	sum := sha256.Sum256(wasm)
	info := Info{SHA256: hex.EncodeToString(sum[:]), Bytes: len(wasm), Kind: kind,
		MemoryBytes: int64(parsed.MinPages) * meter.PageSize}
	for _, im := range parsed.Imports {
		info.Imports = append(info.Imports, im.Module+"."+im.Name)
	}
	for _, e := range parsed.Exports {
		if e.Kind == meter.Func {
			info.Exports = append(info.Exports, e.Name)
		}
	}
	return info
}

// Info describes the module.
func (m *Module) Info() Info { return m.info }
