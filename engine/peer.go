package engine

import (
	"time"

	"github.com/getevo/rmds/engine/internal/store"
	"github.com/getevo/rmds/engine/internal/wire"
)

// peer is another node as this one knows it. The loop owns it.
type peer struct {
	l       *loop
	node    string
	online  bool
	heard   time.Time
	storeID uint64
	run     uint64
	state   string
	offset  int64 // added to the peer's stamps to compare them with this node's clock

	silence   time.Duration // that this node was up and connected and did not hear of the peer (P25)
	silenceAt time.Time     // when silence was last counted

	toldRun  uint64          // the run whose open was last compared with this node's positions
	lostRuns map[uint64]bool // of the peer, which it knows no more; told

	reads            map[string]wire.Member  // of channels that this node writes, by the peer's word
	members          map[uint64]*member      // what this node owes it
	suspended        map[uint64]store.Member // memberships that a kick has ended; they go on if the kick is lifted and the peer still has them
	held             int                     // while not 0, no links to the peer: a purge is under way
	nonce            uint64                  // for the next management command to it
	reading, writing []string                // by its presence
	kicks            kickTalk
	out              map[string]*outLink // by domain
	in               map[string]*inLink  // by domain
	domains          map[string]*domain  // receiving side, by domain; they outlive links
}

func (l *loop) peer(node string) *peer {
	p := l.peers[node]
	if p == nil {
		p = &peer{l: l, node: node, reads: map[string]wire.Member{}, members: map[uint64]*member{},
			suspended: map[uint64]store.Member{}, out: map[string]*outLink{},
			in: map[string]*inLink{}, domains: map[string]*domain{}}
		l.peers[node] = p
	}
	return p
}

// loadPeers restores what this node owes to whom. Before the loop runs.
func (l *loop) loadPeers() error {
	list, err := l.c.st.Members()
	if err != nil {
		return err
	}
	for _, m := range list {
		if m.Ended && m.EndReason != reasonKicked {
			continue
		}
		p := l.peer(m.Node)
		if m.Ended {
			p.suspended[m.Membership] = m
			continue
		}
		stream := streamKey{channel: m.Channel}
		if m.Channel == "" {
			stream = streamKey{to: m.Node}
		}
		mm := &member{node: m.Node, id: m.Membership, stream: stream, domain: m.Domain, storeID: m.StoreID, start: m.StartSeq,
			joined: m.JoinedAt, acked: m.Acked, count: m.Count}
		p.silence = max(p.silence, time.Duration(m.Silence))
		p.members[m.Membership] = mm
		l.c.ledger.addMember(mm)
		skips, err := l.c.st.Skips(m.Node, m.Membership)
		if err != nil {
			return err
		}
		l.c.ledger.setAside(mm, skips)
	}
	return nil
}

// sawAlive notes what presence says of the node itself.
func (p *peer) sawAlive(now time.Time, pr *wire.Presence) {
	if p.heard.Before(p.l.since) { // this node reconnected before the peer: what was sent again meanwhile went nowhere
		for _, o := range p.out {
			o.kick(now)
		}
	}
	if p.run != pr.Run {
		p.run = pr.Run
		clear(p.reads)
	}
	p.online, p.heard, p.storeID, p.state = true, now, pr.StoreID, pr.State
	p.nonce, p.reading, p.writing = pr.Nonce, pr.Reads, pr.Writes
	p.offset = p.l.c.wall().UnixNano() - pr.Now
}

// goOffline stops talking to a node until it is heard again. What it is owed stays owed.
func (p *peer) goOffline() {
	p.online = false
	clear(p.out)
	p.watch()
}

// watch listens to the presence of the peer itself, if it is a reader of this node's: one that was kicked meanwhile is no
// reader of any channel any more, on whose subjects it could be heard.
func (p *peer) watch() {
	if !p.l.c.cfg.Observe && len(p.members) > 0 {
		p.l.watch(p.node)
	}
}

// countSilence adds the time since the last count in which the peer could have been heard and was not.
func (p *peer) countSilence(now time.Time) {
	from := p.silenceAt
	p.silenceAt = now
	if p.heard.After(from) {
		p.silence, from = 0, p.heard
	}
	if p.l.since.After(from) {
		from = p.l.since
	}
	if p.l.connected && !from.IsZero() && now.After(from) {
		p.silence += now.Sub(from)
	}
}

// openNeeded opens the links over which this node has, or may have, something to send to the peer.
func (p *peer) openNeeded(now time.Time) {
	if !p.online || !p.l.connected || p.held > 0 || p.l.c.kicks.denies(p.node, wire.KickNode) {
		return
	}
	for channel, m := range p.reads {
		if ch := p.l.c.channel(channel); ch != nil && ch.role.writes() && ch.permitsReader(p.node) && !p.l.c.kicks.denies(p.node, channel) {
			p.open(m.Domain, now)
		}
	}
	for _, m := range p.members {
		if p.l.c.ledger.behind(m) && m.stream.channel != "" {
			p.open(m.domain, now)
		}
	}
	if p.l.c.ledger.owes(streamKey{to: p.node}) {
		p.open(domainAddressed, now)
	}
}

func (p *peer) open(domain string, now time.Time) {
	if p.out[domain] == nil {
		p.out[domain] = newOutLink(p, domain, now)
	}
}

// owed wakes whoever reads a stream that has grown.
func (l *loop) owed(k streamKey) {
	if k.to != "" {
		p := l.peer(k.to)
		if !l.c.cfg.Observe {
			l.watch(k.to)
		}
		p.openNeeded(time.Now())
		if o := p.out[domainAddressed]; o != nil {
			o.dirty = true
		}
		return
	}
	for _, p := range l.peers {
		for _, o := range p.out {
			if o.byStream[k] != nil {
				o.dirty = true
			}
		}
	}
}

// memberFor returns what is known of the peer's membership of a stream.
func (p *peer) memberFor(k streamKey) *member {
	for _, m := range p.members {
		if m.stream == k {
			return m
		}
	}
	return nil
}

// end forgets a membership that the peer has ended.
func (p *peer) end(m *member, reason string) error {
	if err := p.save(m); err != nil { // how far it had come: the janitor asks
		return err
	}
	if err := p.l.c.st.EndMember(m.node, m.id, reason); err != nil {
		return err
	}
	delete(p.members, m.id)
	p.l.c.ledger.removeMember(m)
	p.l.c.emit(Event{Kind: "member_left", Node: m.node, Channel: m.stream.channel, Text: reason})
	return nil
}

// save keeps a membership, its start decided.
func (p *peer) save(m *member) error { return p.l.c.st.PutMember(p.row(m)) }

// row is a member as the store keeps it.
func (p *peer) row(m *member) store.Member {
	acked, count := p.l.c.ledger.cursor(m)
	return store.Member{Node: m.node, Membership: m.id, Channel: m.stream.channel, Domain: m.domain, JoinedAt: m.joined,
		StartSeq: m.start, Acked: acked, Count: count, Scanned: acked, Silence: int64(p.silence), StoreID: m.storeID}
}
