package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/getevo/rmds/engine/internal/link"
	"github.com/getevo/rmds/engine/internal/wire"
)

// diskReadBytes is how much of the log one link reads from disk at a time.
const diskReadBytes = 512 << 10

// readPause is between attempts to read a log that cannot be read.
const readPause = time.Second

// outLink is the sending end of one domain to one peer. It reads the log in order, from the earliest of what its members
// are owed, and states for every record what came before it.
type outLink struct {
	p      *peer
	domain string
	id     wire.LinkID
	s      *link.Sender
	next   time.Time
	dirty  bool

	accept    *wire.Accept // nil until the peer has answered
	confirmed bool         // an ack has followed the accept: what the accept does not list is ended (P7)
	members   map[uint64]*member
	byStream  map[streamKey]*member
	scan      int64    // every record up to here was framed, or is nobody's
	ahead     []*block // blocks above scan
	waiting   bool     // for the commit of a skip
	unread    bool     // the log could not be read: try again soon
}

func newOutLink(p *peer, domain string, now time.Time) *outLink {
	l := p.l
	l.linkNumber++
	o := &outLink{p: p, domain: domain, dirty: true, id: wire.LinkID{Run: l.c.run, Number: l.linkNumber}}
	lineage := make([]wire.RunStart, len(l.c.lineage))
	for i, r := range l.c.lineage {
		lineage[i] = wire.RunStart{Run: r.Run, First: r.First}
	}
	open := wire.Open{ID: o.id, Domain: domain, StoreID: l.c.st.Meta().StoreID, Lineage: lineage, Now: l.c.wall().UnixNano(), LastSeq: l.c.tail.lastSeq()}
	o.s = link.NewSender(link.SenderConfig{ID: o.id, Open: open, MaxFrame: min(l.c.bus.MaxPayload(), maxFrameBytes)}, now)
	return o
}

// reopen starts again with a new number: what is owed may have changed (P8).
func (o *outLink) reopen(now time.Time) {
	if o.p.out[o.domain] == o {
		o.p.out[o.domain] = newOutLink(o.p, o.domain, now)
	}
}

// lacks reports whether the receiver reads a channel by this link, which was opened before this node wrote it.
func (o *outLink) lacks(channel string) bool {
	return o.accept != nil && o.byStream[streamKey{channel: channel}] == nil && slices.ContainsFunc(o.accept.Members, func(m wire.Member) bool {
		return m.Channel == channel && m.Domain == o.domain && !m.Dormant
	})
}

func (o *outLink) kick(now time.Time) {
	o.s.Kick(now)
	o.dirty = true
}

func (o *outLink) step(now time.Time) {
	o.dirty, o.unread = false, false
	frames, next := o.s.Step(now, o.pull)
	if retry := now.Add(readPause); o.unread && (next.IsZero() || next.After(retry)) {
		next = retry
	}
	o.next = next
	for _, f := range frames {
		o.send(f)
	}
}

func (o *outLink) send(f wire.Frame) {
	l := o.p.l
	l.publish(l.c.cfg.NATSPrefix+"data."+o.p.node+"."+l.c.cfg.NodeID, f)
}

// onAck takes a frame that a receiver sent back.
func (l *loop) onAck(from string, f wire.Frame) {
	if l.c.manager.takes(from, f) {
		return
	}
	p := l.peers[from]
	if p == nil {
		return
	}
	var domain string
	switch f := f.(type) {
	case *wire.Accept:
		domain = f.Domain
	case *wire.Ack:
		domain = f.Domain
	case *wire.Busy:
		domain = f.Domain
	case *wire.Reset:
		domain = f.Domain
	case *wire.Refuse:
		domain = f.Domain
	default:
		return
	}
	o := p.out[domain]
	if o == nil {
		return
	}
	now := time.Now()
	o.dirty = true
	if a, ok := f.(*wire.Ack); ok && o.accept != nil && a.ID == o.accept.ID && !o.confirmed {
		o.confirmed = true
		o.endUnlisted()
	}
	for _, e := range o.s.OnFrame(now, f) {
		if p.out[domain] != o {
			return // an event before this one has ended the link
		}
		o.event(e, now)
	}
}

func (o *outLink) event(e link.SenderEvent, now time.Time) {
	c := o.p.l.c
	switch e := e.(type) {
	case link.Opened:
		if err := o.opened(e.Accept); err != nil {
			c.log.Error("open link", "peer", o.p.node, "domain", o.domain, "err", err)
			delete(o.p.out, o.domain) // the next presence tries again
			return
		}
		o.send(&wire.Probe{ID: e.Accept.ID, Domain: o.domain, Want: true}) // its ack confirms the accept (P7)
	case link.Progress:
		for _, m := range e.Moved {
			o.moved(m)
		}
	case link.Negatives:
		for _, n := range e.List {
			c.count.negative.Add(1)
			c.emit(Event{Kind: "not_handled", Node: o.p.node, Channel: n.Channel, Text: MessageID{n.Run, n.Seq}.String() + " " + n.Outcome + ": " + n.Reason})
		}
	case link.Broken:
		c.count.resets.Add(1)
		if e.Refused && e.Reason == reasonKicked {
			c.log.Info("refused: this node is kicked out", "peer", o.p.node)
			delete(o.p.out, o.domain) // presence will try again
			return
		}
		if e.Refused {
			c.identityConflict(c.cfg.NodeID, "node "+o.p.node+" refuses this node: "+e.Reason)
			delete(o.p.out, o.domain) // presence will try again
			return
		}
		o.reopen(now)
	}
}

// moved takes an advance of a cursor.
func (o *outLink) moved(mv link.Moved) {
	m := o.members[mv.Member]
	if m == nil {
		return
	}
	acked, count := o.p.l.c.ledger.cursor(m)
	if mv.Seq > acked {
		skipped := m.set
		o.p.l.c.ledger.move(m, mv.Seq, count+mv.Count)
		o.p.l.c.count.delivered.Add(mv.Count - (skipped - m.set))
		for len(m.skips) > 0 && m.skips[0].To <= mv.Seq {
			m.skips = m.skips[1:]
		}
	}
}

// pull gives the link what comes next.
func (o *outLink) pull(maxRaw int64) (link.Unit, bool) {
	for o.accept != nil && !o.waiting {
		if len(o.ahead) == 0 {
			if err := o.readAhead(); err != nil {
				o.p.l.c.log.Error("read the log", "peer", o.p.node, "after", o.scan, "err", err)
				o.unread = true
				return link.Unit{}, false
			}
			if len(o.ahead) == 0 {
				return o.lateSkip()
			}
		}
		b := o.ahead[0]
		if b.last <= o.scan {
			o.ahead = o.ahead[1:]
			continue
		}
		cut := o.firstSkip(b.last)
		if cut == nil && int64(b.raw+len(b.recs)*link.RecordCost) > maxRaw {
			return link.Unit{}, false
		}
		u, ok := o.frame(b, cut)
		if ok {
			return u, true
		}
	}
	return link.Unit{}, false
}

// readAhead fetches the blocks after scan from the tail, or from disk.
func (o *outLink) readAhead() error {
	c := o.p.l.c
	blocks, ok := c.tail.after(o.scan, 64)
	if !ok {
		stored, err := c.st.ReadLog(o.scan, diskReadBytes)
		if err != nil {
			return err
		}
		for i := range stored {
			b, err := loadBlock(&stored[i])
			if err != nil {
				return fmt.Errorf("block %d: %w", stored[i].First, err)
			}
			blocks = append(blocks, b)
		}
	}
	o.ahead = blocks
	return nil
}

// frame makes a unit of what is owed of a block, up to the next skip.
func (o *outLink) frame(b *block, cut *member) (link.Unit, bool) {
	end := b.last
	if cut != nil {
		end = min(end, cut.skips[0].To-1)
	}
	if end > o.scan {
		u, ok, aside := o.records(b, end)
		if ok || aside {
			return u, ok
		}
	}
	if cut != nil {
		return o.skipUnit(cut), true
	}
	return link.Unit{}, false
}

// records makes a unit of a block's owed records in (scan, end]. aside says that a record cannot be sent: the link waits
// until it has been set aside.
func (o *outLink) records(b *block, end int64) (u link.Unit, ok, aside bool) {
	if !o.interested(b) {
		o.scan = end
		return link.Unit{}, false, false
	}
	c := o.p.l.c
	now := c.wall().UnixNano()
	var owed []wire.Record
	whole := true // the block can go as it lies
	var prev []wire.Prev
	started := map[uint64]bool{}
	for i := range b.recs {
		r := &b.recs[i]
		if r.Seq > end {
			whole = false
			break
		}
		m := o.byStream[streamOf(r)]
		if m == nil || r.Seq <= m.framed || m.skipped(r.Seq) {
			whole = false
			continue
		}
		if reason := o.unsendable(r, now); reason != "" {
			whole = false
			if len(u.Refs) == 0 {
				o.setAside(b, i, m, reason)
				return link.Unit{}, false, true
			}
			end = r.Seq - 1
			break
		}
		if !started[m.id] {
			started[m.id] = true
			prev = append(prev, wire.Prev{Member: m.id, Seq: m.framed})
		}
		m.framed = r.Seq
		u.Refs = append(u.Refs, link.Ref{Member: m.id, Seq: r.Seq})
		owed = append(owed, *r)
	}
	o.scan = end
	if len(owed) == 0 {
		return link.Unit{}, false, false
	}
	u.Prev = prev
	if u.Body = b.body; !whole {
		u.Body = wire.Pack(nil, wire.AppendBlock(nil, owed), c.cfg.EnableCompression)
	}
	return u, true, false
}

// interested reports whether a block holds anything for the members of this link.
func (o *outLink) interested(b *block) bool {
	for _, part := range b.streams {
		if o.byStream[streamKey{part.Channel, part.To}] != nil {
			return true
		}
	}
	return false
}
