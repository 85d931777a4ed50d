// Command rmds-node runs an RMDS node and talks to running ones.
//
// Each command is a file of this package with a constructor, newXCommand, that root.go lists. What they share with each
// other is in exit.go (how an error becomes an exit code) and node.go (how to find a running node). This program is the
// only place that sees the engine, the WebAssembly host and the configuration together: see internal/node.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
