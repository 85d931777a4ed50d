//go:build tools

package main

import _ "github.com/nats-io/nats-server/v2" // measured as a program: keeps its requirements in go.mod
