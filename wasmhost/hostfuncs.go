package wasmhost

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"github.com/tetratelabs/wazero/api"
)

// guestModule is the name of the module that guests import. It is the contract's version.
const guestModule = "rmds_v1"

// Codes that host functions return for "no".
const (
	codeAbsent       = -1
	codeNotPermitted = -2
	codeOverLimit    = -3
	codeBadArgument  = -4
)

// Limits of the contract itself.
const (
	maxReason     = 1 << 10
	maxKey        = 1 << 10 // of msg_get, cfg_get and note
	maxRandom     = 64 << 10
	maxHeads      = 32
	maxHeadKey    = 128
	maxHeadValue  = 4 << 10
	maxRetryAfter = 24 * time.Hour
)

// hostFunc is a function of rmds_v1. It gets its arguments as the guest passed them.
type hostFunc struct {
	name    string
	params  int // all i32
	results []api.ValueType
	fn      func(c *call, mem guestMemory, args []uint64) int64
}

var i32Result = []api.ValueType{api.ValueTypeI32}

var hostFuncs = []hostFunc{
	{"msg_get", 4, i32Result, msgGet},
	{"cfg_get", 4, i32Result, cfgGet},
	{"kv_get", 4, i32Result, kvGet},
	{"kv_set", 4, i32Result, kvSet},
	{"kv_del", 2, i32Result, kvDel},
	{"kv_next", 4, i32Result, kvNext},
	{"reply", 2, i32Result, reply},
	{"send", 4, i32Result, send},
	{"head", 4, i32Result, head},
	{"note", 4, i32Result, note},
	{"log", 3, nil, logLine},
	{"now", 0, []api.ValueType{api.ValueTypeI64}, now},
	{"random", 2, i32Result, random},
}

// wazeroFunc adapts f to wazero's calling convention.
func (f hostFunc) wazeroFunc() api.GoModuleFunc {
	return func(ctx context.Context, mod api.Module, stack []uint64) {
		c := callOf(ctx)
		r := f.fn(c, guestMemory{c, mod.Memory()}, stack)
		if len(f.results) == 0 {
			return
		}
		if f.results[0] == api.ValueTypeI32 {
			stack[0] = api.EncodeI32(int32(r))
		} else {
			stack[0] = api.EncodeI64(r)
		}
	}
}

// guestMemory is a guest's memory during one host function.
type guestMemory struct {
	c   *call
	mem api.Memory
}

// at returns the n bytes at ptr, which the guest may change as soon as the host function returns. An empty range may lie
// anywhere: languages give empty slices made-up addresses.
func (g guestMemory) at(ptr, n uint64) []byte {
	if n == 0 {
		return nil
	}
	b, ok := g.mem.Read(uint32(ptr), uint32(n))
	if !ok {
		g.c.abort(errPointer)
	}
	return b
}

var errPointer = errors.Join(ErrTrap, errors.New("a pointer outside memory was passed to the host"))

// clone returns a copy of the n bytes at ptr.
func (g guestMemory) clone(ptr, n uint64) []byte { return append([]byte{}, g.at(ptr, n)...) }

// put copies data to the guest's buffer if it fits, and returns its length either way.
func put[T string | []byte](buf []byte, data T) int64 {
	if len(data) <= len(buf) {
		copy(buf, data)
	}
	return int64(len(data))
}

// code is what the guest is told about an error from Effects.
func (c *call) code(err error) int64 {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, ErrNotPermitted):
		return codeNotPermitted
	case errors.Is(err, ErrOverLimit):
		return codeOverLimit
	case errors.Is(err, ErrBadArgument):
		return codeBadArgument
	}
	c.abort(err)
	return 0
}

// stored runs f, which works for the guest in the host's storage, outside the guest's CPU time.
func (c *call) stored(f func() error) int64 {
	c.watch.pause()
	err := f()
	c.watch.resume()
	return c.code(err)
}

func cfgGet(c *call, mem guestMemory, a []uint64) int64 {
	key, buf := mem.at(a[0], a[1]), mem.at(a[2], a[3])
	if len(key) > maxKey {
		return codeBadArgument
	}
	v, ok := c.mod.settings.Config[string(key)]
	if !ok {
		return codeAbsent
	}
	return put(buf, v)
}

func note(c *call, mem guestMemory, a []uint64) int64 {
	key, value := mem.at(a[0], a[1]), mem.at(a[2], a[3])
	switch string(key) {
	case "reason":
		c.reason = clip(string(value[:min(len(value), maxReason)]), maxReason)
		return 0
	case "retry-after-ms":
		if len(value) > 20 {
			return codeBadArgument
		}
		ms, err := strconv.ParseUint(string(value), 10, 64)
		if errors.Is(err, strconv.ErrRange) || ms > uint64(maxRetryAfter.Milliseconds()) {
			return codeOverLimit
		}
		if err != nil {
			return codeBadArgument
		}
		c.retryAfter = time.Duration(ms) * time.Millisecond
		return 0
	}
	return codeBadArgument
}

func logLine(c *call, mem guestMemory, a []uint64) int64 {
	level := slog.LevelError
	switch uint32(a[0]) {
	case 0:
		level = slog.LevelDebug
	case 1:
		level = slog.LevelInfo
	case 2:
		level = slog.LevelWarn
	}
	c.log.line(level, mem.at(a[1], a[2]))
	return 0
}

func now(*call, guestMemory, []uint64) int64 { return time.Now().UnixNano() }

func random(c *call, mem guestMemory, a []uint64) int64 {
	buf := mem.at(a[0], a[1])
	if len(buf) > maxRandom {
		return codeOverLimit
	}
	rand.Read(buf) // never fails: see its documentation
	return 0
}
