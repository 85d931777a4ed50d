package wasmhost

import "errors"

// Why Load refuses a module. The error's text says which part is at fault and what to do.
var (
	ErrNotModule = errors.New("not a WebAssembly module that can run here")
	ErrComponent = errors.New("a WebAssembly component")
	ErrTooLarge  = errors.New("module over a limit")
	ErrImport    = errors.New("import that this host does not have")
	ErrExport    = errors.New("export missing or of the wrong type")
	ErrInit      = errors.New("module did not initialise")
	ErrLimits    = errors.New("limits that no handler can run with")
	ErrSettings  = errors.New("settings that no handler can run with")
	ErrClosed    = errors.New("closed")
	// ErrCompileTime: the module took longer to compile than Compiler.Timeout.
	ErrCompileTime = errors.New("compilation exceeds its time limit")
)

// What an Effects wraps to refuse something. The guest gets the code and may go on.
var (
	ErrNotPermitted = errors.New("not permitted") // -2
	ErrOverLimit    = errors.New("over a limit")  // -3
	ErrBadArgument  = errors.New("bad argument")  // -4
)

// Why a call failed; Outcome.Err wraps one of these, or an error from Effects, or the error of the caller's context.
var (
	ErrTimeout = errors.New("time limit exceeded")
	ErrCPU     = errors.New("CPU limit exceeded")
	ErrTrap    = errors.New("trap")                  // unreachable, memory out of bounds, division by zero, stack overflow …
	ErrResult  = errors.New("failure by its result") // returned neither 0, 65 nor 75
	ErrExited  = errors.New("exited")                // a reactor called proc_exit, a command in lines mode ended
	ErrAnswer  = errors.New("bad answer")            // of a command in lines mode
)
