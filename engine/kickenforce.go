package engine

import (
	"errors"
	"fmt"
	"time"

	"github.com/getevo/rmds/engine/internal/store"
	"github.com/getevo/rmds/engine/internal/wire"
)

// takeKicks takes over those orders that are news, on disk first, and enforces them. It returns how many there were. The
// manager's goroutine.
func (g *manager) takeKicks(orders []wire.Kick) (n int, err error) {
	c := g.c
	fresh, refused := c.kicks.news(orders)
	if len(fresh) == 0 {
		return 0, refused
	}
	if err := g.storeKicks(fresh); err != nil {
		return 0, errors.Join(ErrStorage, err)
	}
	for _, o := range fresh {
		kind := "kicked"
		if o.Lifted {
			kind = "unkicked"
		}
		c.emit(Event{Kind: kind, Node: o.Node, Channel: o.Channel, Text: "by " + o.By})
	}
	return len(fresh), errors.Join(refused, g.enforce(fresh))
}

// storeKicks keeps orders and ends this node's own memberships where it is out now, in one transaction.
func (g *manager) storeKicks(fresh []wire.Kick) error {
	c := g.c
	c.mu.Lock() // nobody joins meanwhile
	defer c.mu.Unlock()
	members, err := c.st.Memberships()
	if err != nil {
		return err
	}
	var leave []string
	for _, m := range members {
		for _, o := range fresh {
			if o.Node == c.cfg.NodeID && !o.Lifted && kickDenies(o.Node, m.Channel, func(k kickKey) bool { return k == kickKey{o.Node, o.Channel} }) {
				leave = append(leave, m.Channel)
			}
		}
	}
	rows := make([]store.Kick, len(fresh))
	for i, o := range fresh {
		rows[i] = store.Kick{Node: o.Node, Channel: o.Channel, Lifted: o.Lifted, Stamp: o.Stamp, By: o.By, Key: o.Key, Signature: o.Signature}
	}
	if err := c.st.PutKicks(rows, leave); err != nil {
		return err
	}
	c.kicks.put(fresh)
	return nil
}

// enforce makes links and memberships follow the kick list, of which fresh has just changed.
func (g *manager) enforce(fresh []wire.Kick) error {
	c := g.c
	self := false
	for _, o := range fresh {
		self = self || o.Node == c.cfg.NodeID
	}
	if out := c.kicks.outOf(c.cfg.NodeID); len(out) > 0 {
		c.setTrouble("kicked", "an operator has kicked this node out: "+commandArgs(activeKicks(c.cfg.NodeID, out)))
	} else {
		c.setTrouble("kicked", "")
	}
	var err error
	if self {
		err = g.rejoin()
	}
	var out []*member
	c.loop.call(func() { out = c.loop.followKicks(fresh, self) })
	for _, m := range out {
		err = errors.Join(err, g.suspend(m))
	}
	return err
}

func activeKicks(node string, channels []string) []wire.Kick {
	kicks := make([]wire.Kick, len(channels))
	for i, channel := range channels {
		kicks[i] = wire.Kick{Node: node, Channel: channel}
	}
	return kicks
}

// rejoin begins the memberships of the channels that this node reads and is not out of any more.
func (g *manager) rejoin() error {
	c := g.c
	c.mu.Lock()
	defer c.mu.Unlock()
	members, err := c.st.Memberships()
	if err != nil {
		return errors.Join(ErrStorage, err)
	}
	reads := map[string]bool{}
	for _, m := range members {
		reads[m.Channel] = true
	}
	for name, ch := range c.channels {
		if !reads[name] {
			err = errors.Join(err, c.join(ch))
		}
	}
	return err
}

// followKicks closes and opens links after a change of the kick list, and returns the members that are out.
func (l *loop) followKicks(fresh []wire.Kick, self bool) (out []*member) {
	now := time.Now()
	touched := map[string]bool{}
	for _, o := range fresh {
		touched[o.Node] = true
	}
	if self {
		l.c.noteVersion()
	}
	for node, p := range l.peers {
		if self || l.c.kicks.denies(node, wire.KickNode) {
			for _, in := range p.in {
				in.reset(reasonKicked)
			}
		}
		if touched[node] {
			for _, o := range p.out {
				o.reopen(now) // P8
			}
			if l.c.kicks.denies(node, wire.KickNode) {
				clear(p.out)
			}
		}
		for _, m := range p.members {
			if l.c.kicks.denies(node, m.stream.channel) {
				out = append(out, m)
			}
		}
		p.openNeeded(now)
	}
	l.announce(now)
	return out
}

// suspend ends a kicked node's membership: what it is owed is set aside. The membership keeps its place, in case that the
// kick is lifted and the node, which may never have heard of it, still has it.
func (g *manager) suspend(m *member) error {
	n, err := g.drain(m, reasonKicked, "the reader was kicked out")
	if err != nil {
		return fmt.Errorf("end the membership of %s in %q: %w", m.node, m.stream.channel, err)
	}
	c := g.c
	c.loop.call(func() {
		p := c.loop.peer(m.node)
		if p.members[m.id] != m {
			return // it has left meanwhile
		}
		row := p.row(m)
		row.Ended, row.EndReason = true, reasonKicked
		if err = c.st.PutMember(row); err != nil {
			return
		}
		p.suspended[m.id] = row
		delete(p.members, m.id)
		c.ledger.removeMember(m)
		c.emit(Event{Kind: "member_left", Node: m.node, Channel: m.stream.channel, Text: fmt.Sprintf("kicked out, %d message(s) became dead letters", n)})
	})
	return err
}

// revive takes a membership up again that a kick had ended and that its reader still has. What was sent since the reader's
// position will not come.
func (p *peer) revive(a *wire.Accept, am *wire.Member, row store.Member) (*member, error) {
	c := p.l.c
	m := &member{node: p.node, id: am.ID, stream: streamKey{channel: row.Channel}, domain: am.Domain, storeID: a.StoreID, start: row.StartSeq,
		joined: row.JoinedAt, acked: row.Acked}
	if row.Channel == "" {
		m.stream = streamKey{to: p.node}
	}
	if am.HasPos {
		m.acked = am.Pos
	}
	last := c.tail.lastSeq()
	passed, err := c.countThrough(m.stream, m.acked)
	if err != nil {
		return nil, err
	}
	all, err := c.countThrough(m.stream, last)
	if err != nil {
		return nil, err
	}
	if err := p.settle(m); err != nil {
		return nil, err
	}
	m.count = passed
	gap := store.Skip{Node: m.node, Membership: m.id, Prev: m.acked, To: last, Reason: reasonKicked, Count: max(all-passed, 0)}
	if err := c.st.ReviveMember(p.row(m), gap); err != nil {
		return nil, err
	}
	delete(p.suspended, m.id)
	p.members[m.id] = m
	c.ledger.addMember(m)
	if gap.Count > 0 {
		c.ledger.setAside(m, []store.Skip{gap})
	}
	c.emit(Event{Kind: "member_joined", Node: p.node, Channel: row.Channel, Text: fmt.Sprintf("again after a kick, from seq %d on", last+1)})
	return m, nil
}
