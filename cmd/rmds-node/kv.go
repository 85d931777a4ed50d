package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newKVCommand() *cobra.Command {
	cmd := group(&cobra.Command{Use: "kv", Short: "Read the key-value store of a handler"})
	cmd.AddCommand(newKVListCommand(), newKVGetCommand())
	return cmd
}

func newKVListCommand() *cobra.Command {
	var node nodeFlags
	var prefix, after string
	var limit int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ls HANDLER",
		Short: "List the keys of a handler's store with their values",
		Args:  args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := node.client()
			if err != nil {
				return err
			}
			defer c.Close()
			page, err := c.List(cmd.Context(), args[0], prefix, after, limit)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), page)
			}
			t := newTable(cmd.OutOrStdout(), "KEY", "VALUE")
			for _, e := range page.Entries {
				t.row(printable([]byte(e.Key)), printable(e.Value))
			}
			if err := t.flush(); err != nil {
				return err
			}
			if page.More {
				fmt.Fprintf(cmd.ErrOrStderr(), "there are more: --after %q\n", page.Entries[len(page.Entries)-1].Key)
			}
			return nil
		},
	}
	node.add(cmd)
	cmd.Flags().StringVar(&prefix, "prefix", "", "only keys that begin with `text`")
	cmd.Flags().StringVar(&after, "after", "", "only keys after this `key`, in byte order")
	cmd.Flags().IntVar(&limit, "limit", 0, "at most `n` keys, 1 to 1000 (default 100)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, values in base64")
	return cmd
}

func newKVGetCommand() *cobra.Command {
	var node nodeFlags
	cmd := &cobra.Command{
		Use:   "get HANDLER KEY",
		Short: "Print the value of a key as it is",
		Args:  args(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := node.client()
			if err != nil {
				return err
			}
			defer c.Close()
			value, err := c.Get(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(value)
			return err
		},
	}
	node.add(cmd)
	return cmd
}
