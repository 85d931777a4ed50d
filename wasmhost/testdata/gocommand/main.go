//go:build wasip1

// Command gocommand is a handler as a WASI command: content on stdin, reply on stdout, result as exit status.
package main

import (
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	content, err := io.ReadAll(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(75)
	}
	if strings.HasPrefix(string(content), "?") {
		fmt.Fprintln(os.Stderr, "not understood")
		os.Exit(65)
	}
	if _, err := os.ReadDir("/"); err == nil {
		os.Exit(1) // a directory
	}
	fmt.Printf("%s|%s|%s|%s", strings.ToUpper(string(content)), strings.Join(os.Args, " "), os.Getenv("RMDS_HEAD_UNIT"),
		os.Getenv("RMDS_SENDER"))
}
