package main

import (
	"os"

	"github.com/getevo/rmds/wasmhost"
	"github.com/spf13/cobra"
)

// compileCommand is the hidden command with which a node has a module compiled in a process that it can kill.
const compileCommand = "compile-module"

// compilerCommand is the command line for it, empty where this program cannot be found again.
func compilerCommand() []string {
	self, err := os.Executable()
	if err != nil {
		return nil
	}
	return []string{self, compileCommand}
}

func newCompileCommand() *cobra.Command {
	return &cobra.Command{
		Use:    compileCommand + " CACHE",
		Hidden: true,
		Args:   args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return wasmhost.Compile(cmd.Context(), args[0], cmd.InOrStdin())
		},
	}
}
