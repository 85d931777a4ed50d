package engine

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestTopology asks nodes that observe and one that does not.
func TestTopology(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		a := f.add("a", writes("x"), nil)
		f.add("b", reads(t, "x", "y"), nil)
		blind := f.add("blind", nil, func(c *Config) { c.Observe = false })
		time.Sleep(3 * time.Second)
		for _, n := range []*simNode{a, blind} {
			m := n.conn.Mgmt
			var ids []string
			for _, node := range m.Nodes() {
				if !node.Online || node.Self != (node.ID == n.id) {
					t.Errorf("%s sees %+v", n.id, node)
				}
				ids = append(ids, node.ID)
			}
			if !slices.Equal(ids, []string{"a", "b", "blind"}) {
				t.Errorf("%s sees %v", n.id, ids)
			}
			if got := m.Channels(); !slices.Equal(got, []string{"x", "y"}) {
				t.Errorf("%s sees the channels %v", n.id, got)
			}
			if got := m.GetSubscribers("x"); !slices.Equal(got, []string{"b"}) {
				t.Errorf("%s sees %v read x", n.id, got)
			}
			if top := m.Topology(); len(top.Nodes) != 3 || len(top.Channels) != 2 || !slices.Equal(top.Channels[0].Writers, []string{"a"}) {
				t.Errorf("%s sees %+v", n.id, top)
			}
		}
		if _, err := blind.conn.Mgmt.Kick("b"); err != nil {
			t.Error(err)
		}
		if nodes := a.conn.Mgmt.Nodes(); !nodes[1].Kicked {
			t.Errorf("a does not show the kick: %+v", nodes[1])
		}
		f.nodes["b"].stop()
		f.nodes["b"].mem.Close()
		time.Sleep(time.Second)
		if nodes := a.conn.Mgmt.Nodes(); nodes[1].Online {
			t.Error("a closed node is shown as online")
		}
		send(t, a.conn, "x", 1, 2)
		if s := a.conn.Mgmt.Statistic(); s["accepted"] != 2 || s["delivered"] != 0 || s["queued"] != 0 || s["dropped"] != 0 {
			t.Errorf("statistic %v", s)
		}
	})
}
