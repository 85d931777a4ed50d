package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/getevo/rmds/cmd/rmds-node/internal/config"
	"github.com/getevo/rmds/cmd/rmds-node/internal/node"
	"github.com/spf13/cobra"
)

func newConfigCommand() *cobra.Command {
	cmd := group(&cobra.Command{Use: "config", Short: "Write, check and show a configuration"})
	cmd.AddCommand(newConfigInitCommand(), newConfigCheckCommand(), newConfigPrintCommand())
	return cmd
}

func newConfigInitCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "init [FILE]",
		Short: "Write a configuration with every key, its default and its range",
		Long:  "init writes a commented configuration to FILE, or to standard output without one.",
		Args:  args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				_, err := fmt.Fprint(cmd.OutOrStdout(), config.Example)
				return err
			}
			file := args[0]
			if err := writeNew(file, config.Example, force); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "wrote %s; next: edit it, then rmds-node config check --config %s\n", file, file)
			return nil
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "replace a file that is there")
	return cmd
}

// writeNew writes a file that the group may read, and replaces an old one only by force.
func writeNew(file, content string, force bool) error {
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(filepath.Clean(file), flags, 0o640)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already; --force replaces it", file)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	return errors.Join(err, f.Close())
}

func newConfigCheckCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check a configuration and the modules it names; say everything that is wrong",
		Args:  args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(file)
			if err != nil {
				return err
			}
			if err := node.Check(cmd.Context(), c); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: ok: node %s, %s, %s\n", file, c.Node.ID, count(len(c.Channels), "channel"), count(len(c.Handlers), "handler"))
			return nil
		},
	}
	configFlag(cmd, &file)
	return cmd
}

func newConfigPrintCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "print",
		Short: "Print the configuration in force, defaults included",
		Long:  "print shows what a node would run with. Files with secrets are named, not read; a handler's config and env are shown.",
		Args:  args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(file)
			if err != nil {
				return err
			}
			return c.Print(cmd.OutOrStdout())
		},
	}
	configFlag(cmd, &file)
	return cmd
}
