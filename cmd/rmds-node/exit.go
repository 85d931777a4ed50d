package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/getevo/rmds/cmd/rmds-node/internal/admin"
	"github.com/getevo/rmds/cmd/rmds-node/internal/config"
	"github.com/spf13/cobra"
)

// Exit codes. Scripts rely on them.
const (
	exitOK          = 0
	exitFailed      = 1 // the command was understood and did not succeed
	exitUsage       = 2 // unknown command or flag, wrong number of arguments, a value that makes no sense
	exitConfig      = 3 // the configuration, or a file that it names, is bad
	exitUnreachable = 4 // no node answers on the socket
)

// usageError is a mistake on the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// configError is a configuration that cannot be used, for another reason than Faults.
type configError struct{ error }

func (e configError) Unwrap() error { return e.error }

// exitCode classes an error that a command returned.
func exitCode(err error) int {
	var usage usageError
	var bad configError
	var faults config.Faults
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &bad), errors.As(err, &faults):
		return exitConfig
	case errors.Is(err, admin.ErrUnreachable):
		return exitUnreachable
	}
	return exitFailed
}

// execute runs the command line and returns the exit code. Results go to out, everything else to errs.
func execute(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	addCompletion(root)
	cmd, err := root.ExecuteContextC(ctx)
	report(errs, cmd, err)
	return exitCode(err)
}

// report prints an error: what went wrong, and where there is one, what to do about it.
func report(w io.Writer, cmd *cobra.Command, err error) {
	if err == nil {
		return
	}
	var faults config.Faults
	if errors.As(err, &faults) {
		fmt.Fprintln(w, faults.Error())
		fmt.Fprintf(w, "error: the configuration has %s\n", count(len(faults), "fault"))
		return
	}
	fmt.Fprintf(w, "error: %v\n", err)
	switch exitCode(err) {
	case exitUsage:
		fmt.Fprintf(w, "hint: %s --help\n", cmd.CommandPath())
	case exitUnreachable:
		fmt.Fprintln(w, "hint: is the node running? Name its socket with --socket, or its configuration with --config")
	}
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// args makes a mistake in the number of arguments a usage error that shows what the command takes.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if check(cmd, args) == nil {
			return nil
		}
		return usagef("%s: %s given; usage: %s", cmd.CommandPath(), count(len(args), "argument"), strings.TrimSuffix(cmd.UseLine(), " [flags]"))
	}
}

// group makes a command that only has others below it.
func group(cmd *cobra.Command) *cobra.Command {
	cmd.Args = cobra.ArbitraryArgs
	cmd.SuggestionsMinimumDistance = 2
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		text := fmt.Sprintf("unknown command %q for %s", args[0], cmd.CommandPath())
		if s := cmd.SuggestionsFor(args[0]); len(s) > 0 {
			text += "; did you mean " + strings.Join(s, " or ") + "?"
		}
		return usagef("%s", text)
	}
	return cmd
}
