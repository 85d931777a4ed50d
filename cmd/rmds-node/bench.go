package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/getevo/rmds/cmd/rmds-node/internal/bench"
	"github.com/spf13/cobra"
)

// receiverCommand is the hidden command that bench starts its second process with.
const receiverCommand = "bench-receiver"

func newBenchCommand() *cobra.Command {
	o := bench.Options{}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure messages sent, handled and acknowledged per second between two processes",
		Long: `bench sends messages from this process to a second one over a nats-server (its own, on loopback, or --server). Each is
fsynced here before it counts as sent, handled there in a transaction that is fsynced, and acknowledged. Contents are
random bytes, so that compression gains nothing.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			self, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this program to start it again: %w", err)
			}
			o.Receiver = []string{self, receiverCommand}
			result, err := bench.Run(cmd.Context(), o)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(&result)
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), result.String())
			return err
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.Messages, "messages", 200_000, "number of messages")
	f.IntVar(&o.Size, "size", 256, "bytes of each message, at least 8")
	f.IntVar(&o.Window, "window", 8192, "messages on their way to the sender's disk at a time")
	f.StringVar(&o.Server, "server", "", "URL of a nats-server; empty starts one in this process")
	f.StringVar(&o.Dir, "dir", "", "directory of the two databases; empty is a temporary one")
	f.BoolVar(&asJSON, "json", false, "print the result as one JSON object")
	return cmd
}

func newBenchReceiverCommand() *cobra.Command {
	var url, dir string
	cmd := &cobra.Command{
		Use:    receiverCommand,
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return bench.RunReceiver(url, dir, cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&url, "url", "", "URL of the NATS server")
	cmd.Flags().StringVar(&dir, "dir", "", "directory of the database")
	return cmd
}
