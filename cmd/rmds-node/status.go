package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
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
	nats := "not connected: messages wait on disk"
	if s.Connected {
		nats = "connected"
	}
	fmt.Fprintf(w, "node %s: %s, up %s, version %s\n", s.Node, printable([]byte(s.Health)), span(now.Sub(s.Started)), s.Version)
	fmt.Fprintf(w, "nats %s\n", nats)
	for i, t := range s.Troubles {
		if i > 0 { // the first is the health
			fmt.Fprintf(w, "trouble: %s\n", printable([]byte(t)))
		}
	}
	fmt.Fprintf(w, "queued %d, accepted %d, delivered %d, handled %d, retries %d, dead %d, refused %d\n",
		s.Queued, s.Accepted, s.Delivered, s.Handled, s.Retries, s.Dead, s.Refused)
	if s.NotHandled+s.Gaps+s.Resets+s.Corrupt > 0 {
		fmt.Fprintf(w, "set aside by readers %d, gaps %d, link resets %d, corrupt frames %d\n", s.NotHandled, s.Gaps, s.Resets, s.Corrupt)
	}
	return errors.Join(printChannels(w, s), printPeers(w, s, now))
}

func printChannels(w io.Writer, s *admin.Status) error {
	if len(s.Channels) == 0 {
		return nil
	}
	handlers := map[string][]string{}
	for _, h := range s.Handlers {
		for _, c := range h.Channels {
			handlers[c] = append(handlers[c], h.Name)
		}
	}
	fmt.Fprintln(w)
	t := newTable(w, "CHANNEL", "ROLE", "HANDLERS")
	for _, c := range s.Channels {
		by := strings.Join(handlers[c.Name], ", ")
		if by == "" {
			by = "-"
		}
		t.row(c.Name, c.Role, by)
	}
	return t.flush()
}

func printPeers(w io.Writer, s *admin.Status, now time.Time) error {
	if len(s.Peers) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	t := newTable(w, "PEER", "STATE", "HEARD", "QUEUED", "READS")
	for _, p := range s.Peers {
		state := "offline"
		if p.Online {
			state = "online"
			if p.State != "" && p.State != "ok" {
				state += ", " + printable([]byte(p.State))
			}
		}
		var reads []string
		for _, r := range p.Readers {
			if r.Channel != "" {
				reads = append(reads, r.Channel)
			}
		}
		if len(reads) == 0 {
			reads = []string{"-"}
		}
		t.row(p.Node, state, ago(p.LastHeard, now), strconv.FormatInt(p.Queued, 10), strings.Join(reads, ", "))
	}
	return t.flush()
}
