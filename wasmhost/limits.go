package wasmhost

import (
	"fmt"
	"time"
)

// Limits bounds one handler. Use DefaultLimits and change what needs changing: a zero is a limit of nothing, and Load
// refuses it where a handler could not run with it.
type Limits struct {
	// Timeout is the wall time of one call, sleeps and storage included. Initialisation gets as much again.
	Timeout time.Duration
	// CPU is the processor time of one call. It is checked about every millisecond of computing.
	CPU time.Duration
	// MemoryBytes is the most that one instance's memory may grow to, rounded down to pages of 64 KiB. A module that
	// starts with more is refused.
	MemoryBytes int64
	// ModuleBytes is the most that the module's binary may have.
	ModuleBytes int64
	// Sends is how many replies and sends one message may cause, SendBytes the bytes of their contents and headers
	// together.
	Sends     int
	SendBytes int64
	// KVKeyBytes and KVValueBytes bound one key and one value; KVWrites and KVBytes the number of writes and deletions
	// for one message and the bytes of their keys and values. The size of the whole store is up to Effects.
	KVKeyBytes   int
	KVValueBytes int64
	KVWrites     int
	KVBytes      int64
	// LogBytes is what one message may log, and what the handler may log per second on average.
	LogBytes int
	// Instances is how many calls run at once. Each instance takes up to MemoryBytes.
	Instances int
}

// DefaultLimits returns the limits that apply where a handler's configuration says nothing.
func DefaultLimits() Limits {
	return Limits{
		Timeout:      5 * time.Second,
		CPU:          time.Second,
		MemoryBytes:  64 << 20,
		ModuleBytes:  32 << 20,
		Sends:        100,
		SendBytes:    4 << 20,
		KVKeyBytes:   1024,
		KVValueBytes: 1 << 20,
		KVWrites:     1000,
		KVBytes:      4 << 20,
		LogBytes:     64 << 10,
		Instances:    4,
	}
}

func (l *Limits) check() error {
	const minMemory, maxMemory = 64 << 10, 4 << 30
	switch {
	case l.Timeout <= 0:
		return fmt.Errorf("%w: timeout is %v, it must be positive", ErrLimits, l.Timeout)
	case l.CPU <= 0:
		return fmt.Errorf("%w: cpu is %v, it must be positive", ErrLimits, l.CPU)
	case l.MemoryBytes < minMemory || l.MemoryBytes > maxMemory:
		return fmt.Errorf("%w: memory is %d bytes, it must be from 64 KiB to 4 GiB", ErrLimits, l.MemoryBytes)
	case l.Instances < 1:
		return fmt.Errorf("%w: instances is %d, it must be at least 1", ErrLimits, l.Instances)
	case l.ModuleBytes <= 0:
		return fmt.Errorf("%w: module size is %d bytes, it must be positive", ErrLimits, l.ModuleBytes)
	}
	return nil
}
