package engine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/getevo/rmds/engine/internal/link"
	"github.com/getevo/rmds/engine/internal/store"
	"github.com/getevo/rmds/engine/internal/wire"
)

// windowBytes is what a link admits beyond the largest message, so that one reassembly always fits (P11).
const windowBytes = 4 << 20

// maxDomains bounds the ordering domains of one peer, each of which has a goroutine.
const maxDomains = 1024

// inLink is the receiving end of one domain of one peer.
type inLink struct {
	p       *peer
	domain  string
	id      wire.LinkID
	d       *domain
	r       *link.Receiver
	accept  *wire.Accept
	lineage []store.Run
	began   time.Time            // when the open came
	theirs  int64                // the sender's clock in it
	have    map[uint64]*position // by membership
	heard   time.Time
	next    time.Time
	dirty   bool
}

// position is how far a membership has come on the open link: handed to the domain, not yet on disk.
type position struct {
	seq     int64
	known   bool // the receiver has a position, or has taken the first record without one
	channel string
}

// onData takes a frame from a sender.
func (l *loop) onData(from string, f wire.Frame) {
	if from == l.c.cfg.NodeID {
		return
	}
	now := time.Now()
	p := l.peer(from)
	var domain string
	var id wire.LinkID
	switch f := f.(type) {
	case *wire.Open:
		p.onOpen(f, now)
		return
	case *wire.Data:
		domain, id = f.Domain, f.ID
	case *wire.Skip:
		domain, id = f.Domain, f.ID
	case *wire.Probe:
		domain, id = f.Domain, f.ID
	default:
		return
	}
	in := p.in[domain]
	if in == nil || in.id != id {
		if in == nil || id.Run != in.id.Run || id.Number >= in.id.Number { // a link of a former life of this node (P6)
			p.answer(&wire.Reset{ID: id, Domain: domain, Reason: "unknown link"})
		}
		return
	}
	in.heard, in.dirty = now, true
	delivered, err := in.r.OnFrame(now, f)
	if err != nil {
		in.reset(err.Error())
		return
	}
	in.deliver(delivered)
}

func (p *peer) answer(f wire.Frame) {
	c := p.l.c
	p.l.publish(c.cfg.NATSPrefix+"ack."+p.node+"."+c.cfg.NodeID, f)
}

// onOpen answers a sender that wants to begin.
func (p *peer) onOpen(f *wire.Open, now time.Time) {
	c := p.l.c
	select {
	case <-c.stopping:
		return // no domain may start now
	default:
	}
	if !validDomain(f.Domain) || len(f.Lineage) == 0 || f.Lineage[len(f.Lineage)-1].Run != f.ID.Run {
		return
	}
	if c.kicks.denies(p.node, wire.KickNode) {
		p.answer(&wire.Refuse{ID: f.ID, Domain: f.Domain, Reason: reasonKicked})
		return
	}
	if in := p.in[f.Domain]; in != nil {
		switch {
		case in.id.Run == f.ID.Run && f.ID.Number < in.id.Number:
			return // late
		case in.id.Run == f.ID.Run && f.ID.Number == in.id.Number:
			p.answer(in.accept) // the accept was lost
			return
		case in.id.Run != f.ID.Run && !descends(f.Lineage, in.id.Run) && now.Sub(in.heard) < c.cfg.NodeOfflineTimeout:
			text := "another node of this name is connected (run " + runText(in.id.Run) + "): give one of them an id of its own"
			c.identityConflict(p.node, p.node+": "+text)
			p.answer(&wire.Refuse{ID: f.ID, Domain: f.Domain, Reason: text})
			return
		}
		delete(p.in, f.Domain)
		in.d.link = nil
	}
	if len(p.domains) >= maxDomains && p.domains[f.Domain] == nil {
		return
	}
	d := p.domain(f.Domain)
	p.l.linkNumber++
	members, err := p.l.ownMembers()
	if err != nil {
		c.log.Error("accept link", "peer", p.node, "err", err)
		return // the sender asks again
	}
	if !p.quiet(f.Domain, members) || !d.restart(p.l.linkNumber) {
		p.answer(&wire.Busy{ID: f.ID, Domain: f.Domain})
		return
	}
	in, err := p.newInLink(f, d, members, now)
	if err != nil {
		c.log.Error("accept link", "peer", p.node, "err", err)
		return // the sender asks again
	}
	p.in[f.Domain], d.link = in, in
	p.online, p.heard = true, now // whoever opens a link is there: a reply need not wait for its presence
	p.answer(in.accept)
}

func validDomain(s string) bool {
	channel, ok := strings.CutPrefix(s, domainChannel)
	return s == domainStrict || s == domainAddressed || ok && CheckChannel(channel) == nil
}

func descends(lineage []wire.RunStart, run uint64) bool {
	return slices.ContainsFunc(lineage, func(r wire.RunStart) bool { return r.Run == run })
}

// quiet reports whether what other domains of the peer were given of the memberships that now belong to this one is
// finished: a membership that has changed its domain is on one link only (P9). The other domains may be as slow as they
// like.
func (p *peer) quiet(domain string, members []wire.Member) bool {
	for name, d := range p.domains {
		if name == domain || d.quiet() {
			continue
		}
		if slices.ContainsFunc(members, func(m wire.Member) bool { return m.Domain == domain && d.carried[m.ID] }) {
			return false
		}
	}
	return true
}

func (p *peer) domain(name string) *domain {
	d := p.domains[name]
	if d == nil {
		d = newDomain(p.l.c, p.node, name)
		p.domains[name] = d
		p.l.c.domains.Go(d.run)
	}
	return d
}

// newInLink reads this node's positions from disk, which alone are true, and states them.
func (p *peer) newInLink(f *wire.Open, d *domain, members []wire.Member, now time.Time) (*inLink, error) {
	c := p.l.c
	in := &inLink{p: p, domain: f.Domain, id: f.ID, d: d, heard: now, have: map[uint64]*position{}, began: now, theirs: f.Now}
	in.id.Nonce = randomID()
	for _, r := range f.Lineage {
		in.lineage = append(in.lineage, store.Run{Run: r.Run, First: r.First})
	}
	rows, err := c.st.Positions(p.node)
	if err != nil {
		return nil, err
	}
	p.tellLostRuns(f, rows)
	meta := c.st.Meta()
	members = append(members, wire.Member{ID: meta.AddressedMembership, JoinedAt: meta.Created, Domain: domainAddressed})
	mine := map[string]uint64{}
	for i := range members {
		m := &members[i]
		m.Pos, m.HasPos = store.Resolve(rows, m.ID, in.lineage)
		if m.Domain == f.Domain && !m.Dormant {
			mine[m.Channel] = m.ID
			d.carried[m.ID] = true
			in.have[m.ID] = &position{seq: m.Pos, known: m.HasPos, channel: m.Channel}
		}
	}
	window := c.cfg.MaxMessageBytes + windowBytes
	in.r = link.NewReceiver(link.ReceiverConfig{ID: in.id, Domain: f.Domain, Window: window, MaxMessage: c.cfg.MaxMessageBytes, Members: mine}, now)
	in.accept = &wire.Accept{ID: in.id, Domain: f.Domain, StoreID: meta.StoreID, Run: c.run, Version: c.version.Load(), Now: c.wall().UnixNano(),
		MaxMessage: c.cfg.MaxMessageBytes, Credit: in.r.Credit(), Kicks: c.kicks.sum(), Members: members}
	return in, nil
}

// tellLostRuns says, once for each run of the sender, that this node has handled messages of runs that the sender does not
// know: its database was replaced by a new one, or by an older copy of itself. What those runs had accepted and not
// delivered is gone.
func (p *peer) tellLostRuns(f *wire.Open, rows []store.Position) {
	if p.toldRun == f.ID.Run {
		return
	}
	p.toldRun = f.ID.Run
	lost := map[uint64]int64{}
	known := false
	for _, r := range rows {
		if descends(f.Lineage, r.Run) {
			known = true
		} else {
			lost[r.Run] = max(lost[r.Run], r.Seq)
		}
	}
	kind, what := "sender_replaced", "has a new database"
	if known {
		kind, what = "rollback_detected", "was put back to an older state"
	}
	for run, seq := range lost {
		if p.lostRuns[run] {
			continue
		}
		if p.lostRuns == nil {
			p.lostRuns = map[uint64]bool{}
		}
		p.lostRuns[run] = true
		p.l.c.emit(Event{Kind: kind, Node: p.node, Text: fmt.Sprintf("%s %s: of its run %s the last message handled here is seq %d; what it had accepted after that is gone", p.node, what, runText(run), seq)})
	}
}

// deliver hands what has arrived in order to the domain, each with the position it moves.
func (in *inLink) deliver(delivered []link.Delivered) {
	if len(delivered) == 0 {
		return
	}
	items := make([]item, 0, len(delivered))
	for i := range delivered {
		dv := &delivered[i]
		pos := in.have[dv.Member]
		if pos == nil || pos.known && dv.Prev != pos.seq {
			in.reset("a record does not follow the position")
			break
		}
		it := item{d: *dv, lineage: in.lineage, membership: dv.Member, channel: pos.channel, first: !pos.known, gen: in.d.gen, began: in.began, theirs: in.theirs}
		it.run = runAt(in.lineage, dv.Seq())
		pos.seq, pos.known = dv.Seq(), true
		items = append(items, it)
	}
	in.d.deliver(items)
}

// progress takes what the domain has finished.
func (l *loop) progress(in *inLink) {
	processed, negatives, broken := in.d.progress()
	in.dirty = true
	for _, n := range negatives {
		in.r.AddNegative(n)
	}
	in.r.Processed(processed)
	if broken {
		in.reset("handled messages were not committed")
	}
}

// reset ends the link; the sender opens another, which is answered when the domain is quiet.
func (in *inLink) reset(reason string) {
	if in.p.in[in.domain] != in {
		return
	}
	in.p.answer(&wire.Reset{ID: in.id, Domain: in.domain, Reason: reason})
	in.p.l.c.count.resets.Add(1)
	in.d.drop()
	in.d.link = nil
	delete(in.p.in, in.domain)
}

func (in *inLink) step(now time.Time) {
	in.dirty = false
	ack, next := in.r.Step(now)
	in.next = next
	if ack != nil {
		in.p.answer(ack)
	}
}
