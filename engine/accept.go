package engine

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/getevo/rmds/engine/internal/store"
	"github.com/getevo/rmds/engine/internal/wire"
)

// opened takes a receiver's accept: it decides what the receiver is owed and from where (P3, P7, P23).
func (o *outLink) opened(a *wire.Accept) error {
	p := o.p
	p.storeID, p.run = a.StoreID, a.Run
	p.offset = p.l.c.wall().UnixNano() - a.Now
	p.compareKicks(time.Now(), a.Kicks)
	o.accept, o.members, o.byStream = a, map[uint64]*member{}, map[streamKey]*member{}
	clear(p.reads)
	p.l.c.clean.opening()
	deleted, err := p.l.c.deletedSeqs()
	if err != nil {
		return err
	}
	first := p.l.c.tail.lastSeq()
	for i := range a.Members {
		am := &a.Members[i]
		if am.Channel != "" {
			p.reads[am.Channel] = *am
		}
		m, err := o.admit(a, am)
		if err != nil {
			return err
		}
		if m == nil || am.Dormant || am.Domain != o.domain {
			continue
		}
		if err := p.settle(m); err != nil {
			return err
		}
		if m.skips, err = p.l.c.st.Skips(m.node, m.id); err != nil {
			return err
		}
		slices.SortFunc(m.skips, func(x, y store.Skip) int { return cmp.Compare(x.To, y.To) })
		p.l.c.ledger.setAside(m, m.skips)
		m.framed, _ = p.l.c.ledger.cursor(m)
		if d := deleted[m.stream]; d > m.framed { // counted as acknowledged already
			m.skips = slices.DeleteFunc(m.skips, func(s store.Skip) bool { return s.To <= d })
			m.skips = slices.Insert(m.skips, 0, store.Skip{Node: m.node, Membership: m.id, Prev: m.framed, To: d, Reason: "deleted"})
		}
		o.members[m.id], o.byStream[m.stream] = m, m
		first = min(first, m.framed)
	}
	o.scan = first
	return nil
}

// admit brings what is known of a membership up to date with what the receiver says. nil: nothing is owed to it.
func (o *outLink) admit(a *wire.Accept, am *wire.Member) (*member, error) {
	p, c := o.p, o.p.l.c
	stream := streamKey{channel: am.Channel}
	if am.Channel == "" {
		stream = streamKey{to: p.node}
	}
	if c.kicks.denies(p.node, am.Channel) {
		return nil, nil
	}
	if s, ok := p.suspended[am.ID]; ok {
		return p.revive(a, am, s)
	}
	m := p.members[am.ID]
	if m == nil {
		if am.Channel != "" {
			if ch := c.channel(am.Channel); ch == nil || !ch.role.writes() || !ch.permitsReader(p.node) {
				return nil, nil
			}
		}
		start, err := p.start(a, am, stream)
		if err != nil {
			return nil, err
		}
		m = &member{node: p.node, id: am.ID, stream: stream, start: start, joined: am.JoinedAt, acked: start}
	} else if other := p.out[m.domain]; other != nil && other != o && other.members[m.id] == m && am.Domain == m.domain && a.StoreID == m.storeID {
		return m, nil // it has an open link of its own, whose acks are newer than this
	}
	at := m.start // without a position it has handled nothing, whatever it had acknowledged: it was restored (P3)
	if am.HasPos {
		at = am.Pos // the receiver's word, also when it is less than the cursor: its effects were rolled back too
	}
	acked, covered := c.ledger.cursor(m)
	if at == acked && am.Domain == m.domain && a.StoreID == m.storeID && p.members[am.ID] == m {
		return m, nil
	}
	m.domain, m.storeID = am.Domain, a.StoreID
	count, err := c.countThrough(stream, at)
	if err != nil {
		return nil, err
	}
	fresh := p.members[am.ID] == nil
	c.ledger.move(m, at, count)
	if !fresh && at > acked {
		c.count.delivered.Add(count - covered) // their acks were lost with the link before this one
	}
	if err := p.save(m); err != nil {
		return nil, err
	}
	if fresh {
		if old := p.memberFor(stream); old != nil {
			if err := p.end(old, "replaced by a new membership"); err != nil {
				return nil, err
			}
		}
		p.members[m.id] = m
		c.ledger.addMember(m)
		c.emit(Event{Kind: "member_joined", Node: p.node, Channel: am.Channel, Text: fmt.Sprintf("from seq %d on", at+1)})
	}
	return m, nil
}

// start decides where a new membership begins.
func (p *peer) start(a *wire.Accept, am *wire.Member, stream streamKey) (int64, error) {
	old := p.memberFor(stream)
	if am.Channel == "" {
		if old != nil { // the reader's database is new: what the old one had acknowledged is done
			acked, _ := p.l.c.ledger.cursor(old)
			return acked, nil
		}
		return 0, nil
	}
	derived, err := p.joinDerived(am)
	if err != nil {
		return 0, err
	}
	if old != nil && old.storeID != a.StoreID {
		acked, _ := p.l.c.ledger.cursor(old)
		return min(acked, derived), nil // a wiped reader is still owed what it had not acknowledged
	}
	return derived, nil
}

// joinSlack is what the estimate of the clocks' offset may be wrong by: the way that a frame has taken, and more. In doubt
// a reader is owed a message (P23).
const joinSlack = time.Second

// joinDerived returns the seq before the first message that a reader is owed by its own choice and the time of its join.
func (p *peer) joinDerived(am *wire.Member) (int64, error) {
	c := p.l.c
	switch Start(am.Start) {
	case StartAll:
		return 0, nil
	case StartNew:
		return c.tail.lastSeq(), nil
	}
	since := am.JoinedAt + p.offset - int64(joinSlack)
	first, err := c.st.FirstCreatedAtOrAfter(since)
	if err != nil {
		return 0, err
	}
	stored, err := c.st.ReadLog(first-1, 1)
	if err != nil || len(stored) == 0 {
		return first - 1, err
	}
	b, err := loadBlock(&stored[0])
	if err != nil {
		return 0, err
	}
	for i := range b.recs {
		if b.recs[i].Created >= since {
			return b.recs[i].Seq - 1, nil
		}
	}
	return first - 1, nil
}

// deletedSeqs returns the newest deleted seq of each stream.
func (c *Connection) deletedSeqs() (map[streamKey]int64, error) {
	streams, err := c.st.Streams()
	if err != nil {
		return nil, err
	}
	deleted := map[streamKey]int64{}
	for _, s := range streams {
		deleted[streamKey{s.Channel, s.To}] = s.DeletedSeq
	}
	return deleted, nil
}

// countThrough counts the records of a stream up to seq.
func (c *Connection) countThrough(k streamKey, seq int64) (int64, error) {
	n, straddle, err := c.st.StreamCountThrough(k.channel, k.to, seq)
	if err != nil || straddle == nil {
		return n, err
	}
	b, err := loadBlock(straddle)
	if err != nil {
		return 0, err
	}
	for i := range b.recs {
		if b.recs[i].Seq <= seq && streamOf(&b.recs[i]) == k {
			n++
		}
	}
	return n, nil
}

// endUnlisted ends the memberships that the receiver, its database being the one that is known, does not list any more.
func (o *outLink) endUnlisted() {
	if !o.p.kicksAgree(time.Now()) {
		return // it may have been kicked, which is no leave: the next presence looks again
	}
	listed := map[uint64]bool{}
	for i := range o.accept.Members {
		listed[o.accept.Members[i].ID] = true
	}
	for id, m := range o.p.members {
		if !listed[id] && m.storeID == o.accept.StoreID {
			if err := o.p.end(m, "left"); err != nil {
				o.p.l.c.log.Error("end membership", "peer", m.node, "channel", m.stream.channel, "err", err)
			}
		}
	}
}
