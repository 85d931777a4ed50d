package engine

import (
	"errors"
	"fmt"
	"time"

	"github.com/getevo/rmds/engine/internal/store"
)

// reasonPurged is why an operator's purge sets messages aside.
const reasonPurged = "purged"

// Purging a queue is a claim made from a cursor, which may lag behind the reader. It is settled when the reader next states
// its position: what it had handled after all is no dead letter, and the skip that it is told of begins where it is.
//
//	hold links ──► per member: log pieces ──► dead letters + skip, one transaction each ──► release: links open
//	                                                                  accept with position ──► settle ──► skip is framed

// purgeQueues sets aside what every reader of this node's messages waits for, and returns how many messages that were.
func (g *manager) purgeQueues() (n int64, err error) {
	var members []*member
	g.c.loop.call(func() {
		for _, p := range g.c.loop.peers {
			for _, m := range p.members {
				if g.c.ledger.depth(m) > 0 {
					members = append(members, m)
				}
			}
		}
	})
	for _, m := range members {
		k, err := g.drain(m, reasonPurged, "purged by an operator")
		n += k
		if err != nil {
			return n, fmt.Errorf("purge the queue of %s in %q: %w", m.node, m.stream.channel, err)
		}
	}
	return n, nil
}

// drain sets aside what a member waits for now. Its links stay closed meanwhile.
func (g *manager) drain(m *member, reason, detail string) (n int64, err error) {
	c := g.c
	c.clean.work.Lock()
	defer c.clean.work.Unlock()
	if !c.loop.call(func() { c.loop.peer(m.node).hold() }) {
		return 0, ErrClosed
	}
	defer c.loop.call(func() { c.loop.peer(m.node).release() })
	if err := c.commitNow(&unit{}); err != nil { // what the link has handed to the committer is done after this
		return 0, err
	}
	acked, last := int64(0), c.tail.lastSeq()
	c.loop.call(func() {
		if c.loop.peer(m.node).members[m.id] != m {
			acked = last // it has ended meanwhile
			return
		}
		acked, _ = c.ledger.cursor(m)
	})
	skips, err := c.st.Skips(m.node, m.id)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, g.reloadSkips(m)) }()
	from := acked
	for _, s := range append(skips, store.Skip{Prev: last, To: last}) { // what is set aside already stays so
		if s.Prev > from {
			k, err := g.drainSpan(m, from, s.Prev, reason, detail)
			n += k
			if err != nil {
				return n, err
			}
		}
		from = max(from, s.To)
	}
	if n > 0 {
		c.emit(Event{Kind: "dead_letter", Node: m.node, Channel: m.stream.channel, Text: fmt.Sprintf("%s: %d message(s)", reason, n)})
	}
	return n, nil
}

func (g *manager) reloadSkips(m *member) error {
	skips, err := g.c.st.Skips(m.node, m.id)
	if err == nil {
		g.c.loop.call(func() { g.c.ledger.setAside(m, skips) })
	}
	return err
}

// drainSpan sets aside the records of a member's stream in (from, to], piece by piece under one growing skip.
func (g *manager) drainSpan(m *member, from, to int64, reason, detail string) (int64, error) {
	c := g.c
	skip := store.Skip{Node: m.node, Membership: m.id, Prev: from, Reason: reason}
	for at := from; at < to; {
		blocks, err := c.st.ReadLog(at, diskReadBytes)
		if err != nil {
			return skip.Count, err
		}
		if len(blocks) == 0 {
			break
		}
		var dead []store.Dead
		next := skip
		for i := range blocks {
			b, err := loadBlock(&blocks[i])
			if err != nil {
				return skip.Count, err
			}
			for k := range b.recs {
				if r := &b.recs[k]; r.Seq > at && r.Seq <= to && streamOf(r) == m.stream {
					next.To = r.Seq
					next.Count++
					dead = append(dead, store.Dead{At: c.wall().UnixNano(), Side: "sender", Sender: c.cfg.NodeID, Run: runAt(c.lineage, r.Seq), Seq: r.Seq,
						Channel: r.Channel, ToNode: r.To, Reader: m.node, Reason: reason, Detail: detail, Created: r.Created,
						Headers: encodeHeaders(r.Headers), Content: r.Content})
				}
			}
			at = b.last
		}
		if len(dead) == 0 {
			continue
		}
		if err := c.st.SetAside(next, dead); err != nil {
			return skip.Count, errors.Join(ErrStorage, err)
		}
		skip = next
		c.count.dead.Add(reason, int64(len(dead)))
	}
	return skip.Count, nil
}

// hold closes the links to the peer until as many calls of release: what they are owed is about to change (P8).
func (p *peer) hold() {
	p.held++
	clear(p.out)
}

func (p *peer) release() {
	if p.held--; p.held == 0 {
		p.openNeeded(time.Now())
	}
}

// settle compares what was set aside from a member's cursor alone with the position that the reader has just stated, which
// is the cursor now.
func (p *peer) settle(m *member) error {
	c := p.l.c
	doubts, err := c.st.Doubts(m.node, m.id)
	if err != nil || len(doubts) == 0 {
		return err
	}
	at, rest := m.acked, int64(0)
	for _, d := range doubts {
		if d.Prev < at && at < d.To {
			before, err := c.countThrough(m.stream, at)
			if err != nil {
				return err
			}
			through, err := c.countThrough(m.stream, d.To)
			if err != nil {
				return err
			}
			rest = through - before
		}
	}
	withdrawn, err := c.st.Confirm(m.node, m.id, m.stream.channel, at, rest)
	if err != nil {
		return err
	}
	if withdrawn > 0 {
		c.emit(Event{Kind: "withdrawn", Node: m.node, Channel: m.stream.channel,
			Text: fmt.Sprintf("%d dead letter(s): the reader had handled them before they were set aside", withdrawn)})
	}
	return nil
}
