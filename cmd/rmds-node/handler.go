package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/getevo/rmds/cmd/rmds-node/internal/admin"
	"github.com/spf13/cobra"
)

func newHandlerCommand() *cobra.Command {
	cmd := group(&cobra.Command{Use: "handler", Short: "Show and reload the WebAssembly handlers of a node"})
	cmd.AddCommand(newHandlerListCommand(), newHandlerReloadCommand())
	return cmd
}

func newHandlerListCommand() *cobra.Command {
	var node nodeFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the handlers: which module runs since when, and what was refused and why",
		Args:  args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := node.client()
			if err != nil {
				return err
			}
			defer c.Close()
			s, err := c.Status(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), s.Handlers)
			}
			return printHandlers(cmd.OutOrStdout(), s.Handlers, time.Now())
		},
	}
	node.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printHandlers(w io.Writer, handlers []admin.HandlerStatus, now time.Time) error {
	t := newTable(w, "HANDLER", "KIND", "SHA256", "SINCE", "RELOADS", "RUNS", "FAILED", "REJECTED", "CHANNELS")
	for i := range handlers {
		h := &handlers[i]
		t.row(h.Name, h.Kind, shortSum(h.SHA256), ago(h.Since, now), fmt.Sprint(h.Reloads), fmt.Sprint(h.Runs), fmt.Sprint(h.Failed),
			fmt.Sprint(h.Rejected), strings.Join(h.Channels, ", "))
	}
	err := t.flush()
	for i := range handlers {
		if r := handlers[i].Refused; r != nil {
			fmt.Fprintf(w, "%s: refused %s %s: %s\n", handlers[i].Name, shortSum(r.SHA256), ago(r.At, now), printable([]byte(r.Reason)))
		}
		if h := &handlers[i]; h.Error != "" {
			fmt.Fprintf(w, "%s: last failure %s: %s\n", h.Name, ago(h.ErrorAt, now), printable([]byte(h.Error)))
		}
	}
	return err
}

// shortSum is the part of a sum that people compare.
func shortSum(sum string) string {
	if sum == "" {
		return "a module that cannot be read"
	}
	return sum[:min(len(sum), 12)]
}

func newHandlerReloadCommand() *cobra.Command {
	var node nodeFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "reload [HANDLER...]",
		Short: "Put the modules that lie in the files now in the place of those that run",
		Long: `reload reads the modules of the named handlers, or of all, from their files. One that has changed is loaded, checked and
initialised, and takes the place of the old one; messages under way end on the old one. When one is refused, the old one
runs on and the exit code is 1. A running node does the same by itself when a file changes.`,
		RunE: func(cmd *cobra.Command, names []string) error {
			c, err := node.client()
			if err != nil {
				return err
			}
			defer c.Close()
			done, err := c.Reload(cmd.Context(), names...)
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), done)
			} else {
				err = printReloaded(cmd.OutOrStdout(), done)
			}
			return errors.Join(err, refusals(done))
		},
	}
	node.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printReloaded(w io.Writer, done []admin.Reloaded) error {
	t := newTable(w, "HANDLER", "SHA256", "MODULE")
	for _, r := range done {
		what := "unchanged"
		switch {
		case r.Error != "":
			what = "the old one: " + printable([]byte(r.Error))
		case r.Changed:
			what = "new"
		}
		t.row(r.Name, shortSum(r.SHA256), what)
	}
	return t.flush()
}

func refusals(done []admin.Reloaded) error {
	n := 0
	for _, r := range done {
		if r.Error != "" {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return fmt.Errorf("refused: %s", count(n, "module"))
}
