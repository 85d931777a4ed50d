package main

import (
	"time"

	"github.com/getevo/rmds/cmd/rmds-node/internal/admin"
	"github.com/spf13/cobra"
)

func newRequestCommand() *cobra.Command {
	var node nodeFlags
	var message messageFlags
	timeout := durationFlag(admin.DefaultTimeout)
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "request CHANNEL [CONTENT]",
		Short: "Send a message and print the reply to it",
		Long: `request sends a message to a node, or to every reader of the channel without --to, waits for the first reply, and
prints its content as it is.

The message is as durable as any other: after a timeout it is still delivered, and handled, and only the reply is then
without a reader.

Without CONTENT, or with -, the content is read from standard input.`,
		Example: `  rmds-node request plant.query '{"last":"1h"}' --to hub --timeout 30s`,
		Args:    args(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := message.message(cmd, args[0], args[1:])
			if err != nil {
				return err
			}
			c, err := node.client()
			if err != nil {
				return err
			}
			defer c.Close()
			reply, err := c.Request(cmd.Context(), m, time.Duration(timeout))
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), reply)
			}
			_, err = cmd.OutOrStdout().Write(reply.Content)
			return err
		},
	}
	node.add(cmd)
	message.add(cmd)
	cmd.Flags().Var(&timeout, "timeout", "how long to wait for the reply, a `duration`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the whole reply as JSON, its content in base64")
	return cmd
}
