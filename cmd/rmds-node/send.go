package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/getevo/rmds/cmd/rmds-node/internal/admin"
	"github.com/getevo/rmds/cmd/rmds-node/internal/config"
	"github.com/spf13/cobra"
)

func newSendCommand() *cobra.Command {
	var node nodeFlags
	var message messageFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "send CHANNEL [CONTENT]",
		Short: "Send a message and print its id",
		Long: `send hands a message to the running node and prints its id once the node has it on disk. From then on it is the
node's duty to deliver it, whether or not NATS or any reader can be reached now.

Without CONTENT, or with -, the content is read from standard input.`,
		Example: `  rmds-node send plant.temperature 21.5
  tar c logs | rmds-node send archive.logs --header name=logs.tar
  rmds-node send orders '{"id":7}' --to hub --ttl 3d`,
		Args: args(cobra.RangeArgs(1, 2)),
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
			id, err := c.Send(cmd.Context(), m)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), admin.Sent{ID: id})
			}
			fmt.Fprintln(cmd.OutOrStdout(), id)
			return nil
		},
	}
	node.add(cmd)
	message.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// messageFlags are the flags of commands that send a message.
type messageFlags struct {
	to      string
	headers []string
	file    string
	ttl     durationFlag
}

func (f *messageFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.to, "to", "", "send to this `node` alone")
	cmd.Flags().Var(&f.ttl, "ttl", "set it aside as a dead letter if it is not delivered within this `duration` (default the channel's)")
	cmd.Flags().StringArrayVarP(&f.headers, "header", "H", nil, "add a header, `name=value`; may be repeated")
	cmd.Flags().StringVarP(&f.file, "file", "f", "", "read the content from a `file`")
}

// message makes the message to send; content is what follows the fixed arguments: nothing, or one argument.
func (f *messageFlags) message(cmd *cobra.Command, channel string, content []string) (admin.Outgoing, error) {
	m := admin.Outgoing{Channel: channel, To: f.to, TTL: time.Duration(f.ttl)}
	for _, h := range f.headers {
		key, value, ok := strings.Cut(h, "=")
		if !ok || key == "" {
			return m, usagef("--header %q: write name=value", h)
		}
		if m.Headers == nil {
			m.Headers = map[string]string{}
		}
		m.Headers[key] = value
	}
	var err error
	switch {
	case f.file != "" && len(content) > 0:
		return m, usagef("give the content as an argument or by --file, not both")
	case f.file != "":
		m.Content, err = os.ReadFile(f.file)
	case len(content) == 0 || content[0] == "-":
		m.Content, err = io.ReadAll(cmd.InOrStdin())
	default:
		m.Content = []byte(content[0])
	}
	if err != nil {
		return m, fmt.Errorf("read the content: %w", err)
	}
	return m, nil
}

// durationFlag is a flag with the units of the configuration file, days included.
type durationFlag time.Duration

func (d *durationFlag) String() string {
	if *d == 0 {
		return ""
	}
	return config.Duration(*d).String()
}

// Type names the kind of the flag in the help text.
func (d *durationFlag) Type() string { return "duration" }

// Set parses the flag. Zero is refused: leaving the flag out says the same more clearly.
func (d *durationFlag) Set(s string) error {
	v, err := config.ParseDuration(s)
	if err == nil && v == 0 {
		err = fmt.Errorf("%q: use more than zero", s)
	}
	*d = durationFlag(v)
	return err
}
