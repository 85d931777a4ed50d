package link

import (
	"fmt"

	"github.com/getevo/rmds/engine/internal/wire"
)

// chain gives the records of one body their memberships and the seq before them: the body's Prev for a membership's
// first record, the one before it in the body for the others.
type chain struct {
	members map[string]uint64
	links   []chainLink
	index   map[uint64]int // of links by member, when there are many
	channel string         // of the last record
	at      int            // its place in links, -1 before the first
}

type chainLink struct {
	wire.Prev
	met bool
}

// scanLinks is up to how many links a look along the list is quicker than a map.
const scanLinks = 8

func newChain(members map[string]uint64, prev []wire.Prev) (*chain, error) {
	if len(prev) > len(members) {
		return nil, fmt.Errorf("body of %d memberships, known are %d", len(prev), len(members))
	}
	c := &chain{members: members, links: make([]chainLink, len(prev)), at: -1}
	if len(prev) > scanLinks {
		c.index = make(map[uint64]int, len(prev))
	}
	for i, p := range prev {
		if p.Seq < 0 || c.find(p.Member, i) >= 0 {
			return nil, fmt.Errorf("membership %x with prev %d, or stated twice", p.Member, p.Seq)
		}
		c.links[i].Prev = p
		if c.index != nil {
			c.index[p.Member] = i
		}
	}
	return c, nil
}

// find returns where a membership is among the first n links, or -1.
func (c *chain) find(member uint64, n int) int {
	if c.index != nil {
		if i, ok := c.index[member]; ok {
			return i
		}
		return -1
	}
	for i := range n {
		if c.links[i].Member == member {
			return i
		}
	}
	return -1
}

// link fills in the membership and Prev of the next record.
func (c *chain) link(d *Delivered) error {
	rec := &d.Record
	channel := rec.Channel
	if rec.To != "" {
		channel = ""
	} else if channel == "" {
		return fmt.Errorf("record %d has neither channel nor address", rec.Seq)
	}
	if c.at < 0 || channel != c.channel {
		member, ok := c.members[channel]
		if !ok {
			return fmt.Errorf("record %d of channel %q, which has no membership on this link", rec.Seq, channel)
		}
		i := c.find(member, len(c.links))
		if i < 0 {
			return fmt.Errorf("record %d of channel %q has no prev", rec.Seq, channel)
		}
		c.channel, c.at = channel, i
	}
	l := &c.links[c.at]
	if rec.Seq <= l.Seq {
		return fmt.Errorf("record %d of channel %q after %d", rec.Seq, channel, l.Seq)
	}
	d.Member, d.Prev = l.Member, l.Seq
	l.Seq, l.met = rec.Seq, true
	return nil
}

// complete checks that every membership stated had a record.
func (c *chain) complete() error {
	for i := range c.links {
		if !c.links[i].met {
			return fmt.Errorf("membership %x stated without a record", c.links[i].Member)
		}
	}
	return nil
}
