package engine

import (
	"fmt"
	"time"

	"github.com/getevo/rmds/engine/internal/link"
	"github.com/getevo/rmds/engine/internal/store"
	"github.com/getevo/rmds/engine/internal/wire"
)

// Skips: what will never come is stated to the receiver, in its place in the order (P4). A skip is durable before it is
// framed, in the transaction that keeps the messages as dead letters (P27).

// firstSkip returns the member with the earliest skip that ends at or below seq, or nil.
func (o *outLink) firstSkip(seq int64) *member {
	var first *member
	for _, m := range o.members {
		for len(m.skips) > 0 && m.skips[0].To <= m.framed {
			m.skips = m.skips[1:]
		}
		if len(m.skips) > 0 && m.skips[0].To <= seq && (first == nil || m.skips[0].To < first.skips[0].To) {
			first = m
		}
	}
	return first
}

func (o *outLink) skipUnit(m *member) link.Unit {
	s := m.skips[0]
	u := link.Unit{Skips: []wire.SkipRec{{Member: m.id, Prev: m.framed, To: s.To, Reason: s.Reason, Count: s.Count}}}
	m.framed = s.To
	m.skips = m.skips[1:]
	o.scan = max(o.scan, s.To)
	return u
}

// lateSkip frames skips that no record follows.
func (o *outLink) lateSkip() (link.Unit, bool) {
	if m := o.firstSkip(o.p.l.c.tail.lastSeq()); m != nil {
		return o.skipUnit(m), true
	}
	return link.Unit{}, false
}

// unsendable says why a record cannot go over this link, or "".
func (o *outLink) unsendable(r *wire.Record, now int64) string {
	switch {
	case r.TTL > 0 && now-r.Created > r.TTL:
		return "ttl"
	case int64(recordSize(r)) > o.accept.MaxMessage:
		return "too_large"
	}
	return ""
}

// setAside makes dead letters of a record and of those of the same member that follow it for the same reason. The link
// goes on when that is on disk.
func (o *outLink) setAside(b *block, from int, m *member, reason string) {
	c := o.p.l.c
	now := c.wall().UnixNano()
	s := store.Skip{Node: m.node, Membership: m.id, Prev: m.framed, Reason: reason}
	u := &unit{}
	for i := from; i < len(b.recs); i++ {
		r := &b.recs[i]
		if o.byStream[streamOf(r)] != m {
			continue
		}
		if o.unsendable(r, now) != reason || m.skipped(r.Seq) {
			break
		}
		s.To = r.Seq
		s.Count++
		u.dead = append(u.dead, store.Dead{At: now, Side: "sender", Sender: c.cfg.NodeID, Run: runAt(c.lineage, r.Seq), Seq: r.Seq, Channel: r.Channel,
			ToNode: r.To, Reader: m.node, Reason: reason, Detail: asideDetail(r, reason, o.accept.MaxMessage), Created: r.Created,
			Headers: encodeHeaders(r.Headers), Content: r.Content})
	}
	u.skips = []store.Skip{s}
	o.waiting = true
	u.done = func(err error) {
		o.p.l.post(func() {
			o.waiting = false
			if err != nil {
				c.log.Error("set aside", "peer", m.node, "err", err)
				o.next = time.Now().Add(time.Second)
				return
			}
			o.dirty = true
			m.addSkip(s)
			c.ledger.setAside(m, append(m.aside, s))
			c.count.dead.Add(reason, s.Count)
			c.emit(Event{Kind: "dead_letter", Node: m.node, Channel: m.stream.channel, Text: fmt.Sprintf("%s: %d message(s) up to seq %d", reason, s.Count, s.To)})
		})
	}
	if c.commit.add(u) != nil {
		return // closing: the next run sets it aside
	}
}

func asideDetail(r *wire.Record, reason string, most int64) string {
	if reason == "too_large" {
		return fmt.Sprintf("%d bytes, the reader takes %d", recordSize(r), most)
	}
	return "expired before it was sent"
}

// runAt returns the run that a seq belongs to.
func runAt(lineage []store.Run, seq int64) uint64 {
	for i := len(lineage) - 1; i > 0; i-- {
		if lineage[i].First <= seq {
			return lineage[i].Run
		}
	}
	return lineage[0].Run
}
