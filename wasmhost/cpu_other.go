//go:build !linux

package wasmhost

import "time"

// threadTime reports that this system has no clock per thread that Go can read.
func threadTime() (time.Duration, bool) { return 0, false }
