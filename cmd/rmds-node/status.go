package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/getevo/rmds/cmd/rmds-node/internal/admin"
	"github.com/spf13/cobra"
)

func newStatusCommand() *cobra.Command {
	var node nodeFlags
	var asJSON, watch bool
	interval := durationFlag(time.Second)
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the state of a running node",
		Long: `status shows what a running node does: its connection to NATS, what waits for whom, and what is wrong, if anything.

A node without NATS is healthy: it stores and waits. Counters count since the node's start.`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := node.client()
			if err != nil {
				return err
			}
			defer c.Close()
			show := func(s *admin.Status) error { return printStatus(cmd.OutOrStdout(), s, time.Now()) }
			if asJSON {
				show = func(s *admin.Status) error { return printJSON(cmd.OutOrStdout(), s) }
			}
			if watch {
				return watchStatus(cmd, c, time.Duration(interval), show, !asJSON)
			}
			s, err := c.Status(cmd.Context())
			if err != nil {
				return err
			}
			return show(s)
		},
	}
	node.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "show it again and again, until interrupted")
	cmd.Flags().Var(&interval, "interval", "`duration` between two looks of --watch")
	return cmd
}

// watchStatus shows the state until the command is interrupted. It outlives restarts of the node.
func watchStatus(cmd *cobra.Command, c *admin.Client, interval time.Duration, show func(*admin.Status) error, clear bool) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		s, err := c.Status(cmd.Context())
		if errors.Is(err, context.Canceled) {
			return nil
		}
		if err != nil && !errors.Is(err, admin.ErrUnreachable) {
			return err
		}
		if clear {
			fmt.Fprint(cmd.OutOrStdout(), "\033[H\033[2J")
		}
		if err != nil {
			fmt.Fprintln(cmd.ErrOrStderr(), err)
		} else if err := show(s); err != nil {
			return err
		}
		select {
		case <-cmd.Context().Done():
			return nil
		case <-tick.C:
		}
	}
}

func printStatus(w io.Writer, s *admin.Status, now time.Time) error {
	return nil
}
