// Package stats carries the demo's handler as a built WebAssembly module of a few kilobytes. Its source is stats.wat,
// written by hand; ../go-stats describes what it does and is the same handler in Go. Rebuild it with ../build.sh.
package stats

import _ "embed"

// Module is the handler, a reactor that imports only rmds_v1. It may be given one configured value, alert-percent, and
// needs permission to send on the channel alerts.
//
//go:embed stats.wasm
var Module []byte
