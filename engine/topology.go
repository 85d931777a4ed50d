package engine

import (
	"maps"
	"slices"
	"time"

	"github.com/getevo/rmds/engine/internal/wire"
)

// lookAroundTime is how long a discovery round listens.
const lookAroundTime = time.Second

// Node is a node of the network as this one knows it.
type Node struct {
	ID        string    `json:"id"`
	Self      bool      `json:"self,omitempty"`
	Online    bool      `json:"online"`
	LastHeard time.Time `json:"last_heard,omitzero"` // zero: not since this node's start
	State     string    `json:"state,omitempty"`     // its own word on its health
	StoreID   string    `json:"store_id,omitempty"`  // of its database
	Reads     []string  `json:"reads"`               // channels
	Writes    []string  `json:"writes"`              // channels
	Kicked    bool      `json:"kicked,omitempty"`    // out altogether
	KickedOf  []string  `json:"kicked_of,omitempty"` // channels that it is out of; "*" is all
}

// ChannelNodes is a channel with the nodes that are known to use it.
type ChannelNodes struct {
	Name    string   `json:"name"`
	Readers []string `json:"readers"`
	Writers []string `json:"writers"`
}

// Topology is the network as this node knows it.
type Topology struct {
	Nodes    []Node         `json:"nodes"`    // by id
	Channels []ChannelNodes `json:"channels"` // by name
}

// Nodes returns the nodes that this one knows, itself included: those it has heard since its start, and the readers of its
// messages. With Config.Observe off it hears only the nodes that it has to do with, and asks around first, which takes a
// second.
func (m *Mgmt) Nodes() []Node {
	c := m.c
	found := map[string]Node{}
	around := c.lookAround()
	c.loop.call(func() {
		for id, p := range c.loop.peers {
			if n := p.describe(); !p.heard.IsZero() || len(n.Reads) > 0 {
				found[id] = n
			}
		}
		pr, _ := c.loop.presence()
		found[c.cfg.NodeID] = Node{ID: c.cfg.NodeID, Self: true, Online: true, LastHeard: c.wall(), State: pr.State, StoreID: runText(pr.StoreID),
			Reads: pr.Reads, Writes: pr.Writes}
	})
	for id, pr := range around {
		found[id] = Node{ID: id, Online: true, LastHeard: c.wall(), State: pr.State, StoreID: runText(pr.StoreID), Reads: pr.Reads, Writes: pr.Writes}
	}
	list := make([]Node, 0, len(found))
	for _, id := range slices.Sorted(maps.Keys(found)) {
		n := found[id]
		slices.Sort(n.Reads)
		slices.Sort(n.Writes)
		for _, channel := range c.kicks.outOf(id) {
			if channel == wire.KickNode {
				n.Kicked = true
			} else {
				n.KickedOf = append(n.KickedOf, channel)
			}
		}
		list = append(list, n)
	}
	return list
}

// describe says what is known of the peer. Loop's goroutine.
func (p *peer) describe() Node {
	n := Node{ID: p.node, Online: p.online, LastHeard: p.heard, State: p.state, Reads: slices.Clone(p.reading), Writes: slices.Clone(p.writing)}
	if p.storeID != 0 {
		n.StoreID = runText(p.storeID)
	}
	for _, m := range p.members {
		if m.stream.channel != "" && !slices.Contains(n.Reads, m.stream.channel) && !p.online {
			n.Reads = append(n.Reads, m.stream.channel)
		}
	}
	return n
}

// Topology returns the nodes that Nodes returns, and the channels that they use.
func (m *Mgmt) Topology() Topology {
	t := Topology{Nodes: m.Nodes()}
	channels := map[string]*ChannelNodes{}
	at := func(name string) *ChannelNodes {
		if channels[name] == nil {
			channels[name] = &ChannelNodes{Name: name}
		}
		return channels[name]
	}
	for _, n := range t.Nodes {
		for _, name := range n.Reads {
			at(name).Readers = append(at(name).Readers, n.ID)
		}
		for _, name := range n.Writes {
			at(name).Writers = append(at(name).Writers, n.ID)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(channels)) {
		t.Channels = append(t.Channels, *channels[name])
	}
	return t
}

// Channels returns the names of the channels that the nodes of Nodes use.
func (m *Mgmt) Channels() []string {
	var names []string
	for _, ch := range m.Topology().Channels {
		names = append(names, ch.Name)
	}
	return names
}

// GetSubscribers returns the ids of the nodes that read a channel.
func (m *Mgmt) GetSubscribers(channel string) []string {
	for _, ch := range m.Topology().Channels {
		if ch.Name == channel {
			return ch.Readers
		}
	}
	return nil
}

// Statistic returns the figures of Status by name: delivered, queued and dropped, which are dead letters made, then
// accepted, refused, handled, retries, not_handled, gaps, resets and corrupt. All but queued count from the start.
func (m *Mgmt) Statistic() map[string]int64 {
	s := m.c.Status()
	return map[string]int64{"delivered": s.Delivered, "queued": s.Queued, "dropped": s.Dead, "accepted": s.Accepted, "refused": s.Refused,
		"handled": s.Handled, "retries": s.Retries, "not_handled": s.NotDone, "gaps": s.Gaps, "resets": s.Resets, "corrupt": s.Corrupt}
}

// lookAround asks all nodes to announce themselves and returns those that do. A node that observes hears them anyhow: nil.
func (c *Connection) lookAround() map[string]*wire.Presence {
	if c.cfg.Observe || !c.bus.Connected() {
		return nil
	}
	heard := map[string]*wire.Presence{} // the loop's goroutine only, until the subscription has ended
	var stop func()
	c.loop.call(func() {
		subject := c.cfg.NATSPrefix + c.cfg.KeepaliveChannel + ".*"
		unsubscribe, err := c.loop.attend(subject, lastToken, func(from string, f wire.Frame) {
			if pr, ok := f.(*wire.Presence); ok && from != c.cfg.NodeID && !pr.Leaving && heard != nil {
				heard[from] = pr
			}
		})
		if err != nil {
			c.emit(Event{Kind: "bus_error", Text: err.Error()})
			return
		}
		stop = unsubscribe
		c.loop.publish(c.cfg.NATSPrefix+c.cfg.DiscoveryChannel+"."+c.cfg.NodeID, &wire.Discover{})
	})
	if stop == nil {
		return nil
	}
	select {
	case <-time.After(lookAroundTime):
	case <-c.stopping:
	}
	stop()
	var found map[string]*wire.Presence
	c.loop.call(func() { found, heard = heard, nil })
	return found
}
