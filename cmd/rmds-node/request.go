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
		Use:   "request NODE CHANNEL [CONTENT]",
		Short: "Send a message to one node and print its reply",
		Long: `request sends a message to one node and waits for its reply, whose content it prints as it is.

The message is as durable as any other: after a timeout it is still delivered, and handled, and only the reply is then
without a reader.

Without CONTENT, or with -, the content is read from standard input.`,
		Example: `  rmds-node request hub plant.query '{"last":"1h"}' --timeout 30s`,
		Args:    args(cobra.RangeArgs(2, 3)),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := message.message(cmd, args[1], args[2:])
			if err != nil {
				return err
			}
			m.To = args[0]
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
