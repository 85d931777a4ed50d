package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/getevo/rmds/cmd/rmds-node/internal/demo"
	"github.com/spf13/cobra"
)

// edgeCommand is the hidden command that the demo starts its second process with.
const edgeCommand = "demo-edge"

func newDemoCommand() *cobra.Command {
	o := demo.Options{}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show reliable delivery on this machine: live readings, an outage, a kill, an account",
		Long: `demo starts a NATS server, a node "sensor" and, in a process of its own, a node "edge" with a WebAssembly handler, all
on loopback and in a temporary directory. The sensor streams this machine's live readings. Meanwhile the NATS server
goes away for some seconds, and edge is killed and started again. It exits with 0 only if nothing was lost, nothing
was handled twice and order held.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			self, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this program to start it again: %w", err)
			}
			o.Edge, o.Progress = []string{self, edgeCommand}, cmd.OutOrStdout()
			if asJSON {
				o.Progress = cmd.ErrOrStderr()
			}
			account, err := demo.Run(cmd.Context(), o)
			if err != nil {
				return err
			}
			if asJSON {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(&account)
			} else {
				_, err = fmt.Fprint(cmd.OutOrStdout(), account.String())
			}
			if err == nil && !account.Good() {
				err = fmt.Errorf("the promise did not hold: %d lost, %d duplicates, %d out of order", account.Lost, account.Duplicates, account.OutOfOrder)
			}
			return err
		},
	}
	f := cmd.Flags()
	f.DurationVar(&o.Duration, "duration", 16*time.Second, "how long readings are sent, at least 2s")
	f.Float64Var(&o.Rate, "rate", 50, "readings per second")
	f.Int64Var(&o.Seed, "seed", 0, "repeat the moments of the outage and of the kill; 0 picks new ones")
	f.BoolVar(&asJSON, "json", false, "print the account as one JSON object, and progress to standard error")
	return cmd
}

func newDemoEdgeCommand() *cobra.Command {
	var url, dir string
	cmd := &cobra.Command{
		Use:    edgeCommand,
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return demo.RunEdge(cmd.Context(), url, dir, cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&url, "url", "", "URL of the NATS server")
	cmd.Flags().StringVar(&dir, "dir", "", "directory of the database")
	return cmd
}
