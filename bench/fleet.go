package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/getevo/rmds/engine"
)

// fleet is what idle nodes cost: writers of one channel that one hub reads, at the default intervals.
type fleet struct {
	Nodes    int
	Up, Down float64 // bytes per second and node, from it and to it
}

// measureFleet runs nodes in this process, on a connection each that a meter relays, and counts while nothing is sent.
func measureFleet(t tools, nodes int, settle, watch time.Duration) (f fleet, err error) {
	s, err := systems[0].start(t, 1, true)
	if err != nil {
		return f, err
	}
	defer s.stop()
	var conns []*engine.Connection
	defer func() {
		for _, c := range conns {
			err = errors.Join(err, c.Close())
		}
	}()
	for i := range nodes {
		c, err := engine.New(rmdsConfig(clientConfig{Dir: s.dir, URL: s.sendURL}, fmt.Sprintf("box%d", i)))
		if err != nil {
			return f, err
		}
		conns = append(conns, c)
		if err := c.Join(rmdsChannel, engine.WriteOnly).Err(); err != nil {
			return f, err
		}
	}
	time.Sleep(settle)
	up, down := s.uplink.up.Load(), s.uplink.down.Load()
	time.Sleep(watch)
	per := func(bytes int64) float64 { return float64(bytes) / watch.Seconds() / float64(nodes+1) } // the sender is a writer, too
	return fleet{nodes + 1, per(s.uplink.up.Load() - up), per(s.uplink.down.Load() - down)}, nil
}

func (r *results) fleetTable(w io.Writer) {
	if len(r.fleets) == 0 {
		return
	}
	fmt.Fprint(w, "\n## Idle fleet\n\nNodes that write one channel, one hub that reads it, nothing sent, default intervals (presence 10 s, discovery 30 s): "+
		"bytes per second on each node's connection.\n\n| nodes | from the node | to the node |\n|---|---|---|\n")
	for _, f := range r.fleets {
		fmt.Fprintf(w, "| %d | %.1f | %.1f |\n", f.Nodes, f.Up, f.Down)
	}
}
