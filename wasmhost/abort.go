package wasmhost

import (
	"context"
	"fmt"
	"unicode/utf16"

	"github.com/tetratelabs/wazero/api"
)

// AssemblyScript calls env.abort when an assertion fails or an exception is thrown.
const (
	abortModule = "env"
	abortName   = "abort"
)

var abortParams = []api.ValueType{api.ValueTypeI32, api.ValueTypeI32, api.ValueTypeI32, api.ValueTypeI32}

// abort is env.abort(message, file, line, column). Strings are UTF-16 with their length in bytes before them.
func abort(ctx context.Context, mod api.Module, stack []uint64) {
	message, file := abortText(mod.Memory(), uint32(stack[0])), abortText(mod.Memory(), uint32(stack[1]))
	c := callOf(ctx)
	c.abort(fmt.Errorf("%w: abort: %s at %s:%d:%d", ErrTrap, message, file, uint32(stack[2]), uint32(stack[3])))
}

func abortText(mem api.Memory, ptr uint32) string {
	const most = 1 << 10
	if ptr < 4 || mem == nil {
		return "?"
	}
	n, ok := mem.ReadUint32Le(ptr - 4)
	if !ok {
		return "?"
	}
	b, ok := mem.Read(ptr, min(n, most)&^1)
	if !ok {
		return "?"
	}
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = uint16(b[2*i]) | uint16(b[2*i+1])<<8
	}
	return string(utf16.Decode(units))
}
