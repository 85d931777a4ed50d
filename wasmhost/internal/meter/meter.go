// Package meter makes a WebAssembly module count the work it does, so that its host can stop it.
//
// Instrument rewrites a module's binary. It adds one mutable i64 global, the fuel, and one imported function, the
// refill. At every function entry, loop head and a few more places (see charge.go) the module subtracts from the fuel
// the number of instructions ahead; when the fuel is below zero it calls refill, which either returns new fuel or ends
// the call by panicking. A module that has been through Instrument cannot run longer than one refill's worth of work
// without the host being asked.
//
//	               before                     after
//	functions      imports | defined          imports, refill | defined, wrappers of imports, remainder functions
//	globals        defined                    defined, fuel
//	types          types                      types, added ones
//	memory, table  declared maximum           the smaller of the declared maximum and the configured one
//	custom         anything                   none
//
// An import is no longer called directly: every reference to it goes to a wrapper that first charges Config.ImportCost.
// So a guest cannot spend the host's time in calls that cost it no fuel, not even through a table.
//
// The decoder accepts the binary format of WebAssembly core 2.0 and refuses everything else by offset. It does not
// validate types: the engine that compiles the result does. Whatever it is given, it returns an error or a module; it
// never panics.
package meter

import (
	"errors"
	"fmt"
)

// The import that Instrument adds.
const (
	ImportModule = "rmds_meter"
	ImportRefill = "refill" // () -> i64: the new fuel
)

// PageSize is the size of a page of WebAssembly memory.
const PageSize = 64 << 10

// Errors that a caller may want to explain.
var (
	// ErrNotWasm: the bytes are not a WebAssembly binary.
	ErrNotWasm = errors.New("not a WebAssembly binary")
	// ErrComponent: the binary is a component, not a core module.
	ErrComponent = errors.New("a WebAssembly component, not a core module")
	// ErrTooMuch: the module needs more memory, table elements or locals than is allowed.
	ErrTooMuch = errors.New("over a limit")
)

// Config says what Instrument builds in.
type Config struct {
	// MaxPages caps the module's memory, in pages of 64 KiB. A module that starts with more is refused.
	MaxPages uint32
	// MaxElements caps what all tables together may hold. A module that starts with more is refused.
	MaxElements uint32
	// ImportCost is the fuel that a call of an import costs. At least 0.
	ImportCost int64
	// ExpandRem replaces the integer remainder instructions by functions that divide, multiply and subtract: wazero
	// 1.12.0 compiles them wrongly on arm64.
	ExpandRem bool
}

// ExternKind says what an import or export is.
type ExternKind byte

// The kinds of WebAssembly core 2.0.
const (
	Func ExternKind = iota
	Table
	Memory
	Global
)

func (k ExternKind) String() string {
	switch k {
	case Func:
		return "function"
	case Table:
		return "table"
	case Memory:
		return "memory"
	case Global:
		return "global"
	}
	return fmt.Sprintf("extern kind %d", byte(k))
}

// FuncType is a function's signature, in the binary format's value type bytes.
type FuncType struct{ Params, Results []byte }

func (t FuncType) String() string {
	return "(" + valTypes(t.Params) + ") -> (" + valTypes(t.Results) + ")"
}

func valTypes(types []byte) string {
	s := ""
	for i, t := range types {
		if i > 0 {
			s += " "
		}
		switch t {
		case typeI32:
			s += "i32"
		case typeI64:
			s += "i64"
		case typeF32:
			s += "f32"
		case typeF64:
			s += "f64"
		case typeV128:
			s += "v128"
		case typeFuncref:
			s += "funcref"
		case typeExternref:
			s += "externref"
		}
	}
	return s
}

// Import is one import of a module. Type is set for functions.
type Import struct {
	Module, Name string
	Kind         ExternKind
	Type         FuncType
}

// Export is one export of a module. Type is set for functions.
type Export struct {
	Name  string
	Kind  ExternKind
	Index uint32
	Type  FuncType
}
