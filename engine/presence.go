package engine

import (
	"fmt"
	"strings"
	"time"

	"github.com/getevo/rmds/engine/internal/wire"
)

// housekeep does what is due by the clock: announcing this node, asking who is there, noticing who is gone.
func (l *loop) housekeep(now time.Time) {
	if !l.announceAt.IsZero() && !l.announceAt.After(now) {
		l.announceNow(now)
	}
	if !l.discoverAt.IsZero() && !l.discoverAt.After(now) {
		l.discoverMissing(now)
	}
	for _, p := range l.peers {
		if p.online && l.connected && now.Sub(p.heard) > l.c.cfg.NodeOfflineTimeout && now.Sub(l.since) > l.c.cfg.NodeOfflineTimeout {
			p.goOffline()
		}
	}
}

// announce publishes this node's presence soon: at once, unless it was just done.
func (l *loop) announce(now time.Time) {
	at := l.announcedAt.Add(presencePause)
	if at.After(now) {
		l.announceAt = at
		return
	}
	l.announceNow(now)
}

func (l *loop) announceNow(now time.Time) {
	l.announcedAt, l.announceAt = now, now.Add(l.c.cfg.KeepaliveInterval)
	if !l.connected {
		return
	}
	own, members := l.presence()
	subject := l.c.cfg.NATSPrefix + l.c.cfg.KeepaliveChannel + "." + l.c.cfg.NodeID
	l.publish(subject, &own)
	for i := range members {
		m := own
		m.Member = &members[i]
		l.publish(subject+"."+members[i].Channel, &m)
	}
}

// presence states who this node is and what it reads and writes.
func (l *loop) presence() (wire.Presence, []wire.Member) {
	c := l.c
	p := wire.Presence{Node: c.cfg.NodeID, StoreID: c.st.Meta().StoreID, Run: c.run, Version: c.version.Load(), Now: c.wall().UnixNano()}
	p.State, p.Nonce, p.Kicks = c.health(), c.manager.present(), c.kicks.sum()
	members, err := l.ownMembers()
	if err != nil {
		c.log.Error("read memberships", "err", err)
	}
	for _, m := range members {
		p.Reads = append(p.Reads, m.Channel)
	}
	c.mu.RLock()
	for name, ch := range c.channels {
		if ch.role.writes() {
			p.Writes = append(p.Writes, name)
		}
	}
	c.mu.RUnlock()
	return p, members
}

// ownMembers lists this node's memberships of channels. One whose channel was not joined in this run, or that has no
// handler yet, is dormant (P16).
func (l *loop) ownMembers() ([]wire.Member, error) {
	list, err := l.c.st.Memberships()
	if err != nil {
		return nil, err
	}
	members := make([]wire.Member, 0, len(list)+1)
	for _, m := range list {
		ch := l.c.channel(m.Channel)
		members = append(members, wire.Member{Channel: m.Channel, ID: m.ID, Domain: m.Domain, Start: m.Start, JoinedAt: m.JoinedAt,
			Dormant: ch == nil || !ch.awake()})
	}
	return members, nil
}

// discover asks who reads the channels that this node writes; readers answer with their presence. A node that observes asks
// everybody.
func (l *loop) discover(now time.Time) { l.ask(now, func(string) bool { return true }) }

// discoverMissing is discover for the channels that no reader was heard of: the presence of the others is enough. Nodes
// that all asked all the time would cost a fleet traffic that grows with its square.
func (l *loop) discoverMissing(now time.Time) {
	l.ask(now, func(channel string) bool {
		for _, p := range l.peers {
			if _, reads := p.reads[channel]; reads && p.online {
				return false
			}
		}
		return true
	})
}

func (l *loop) ask(now time.Time, about func(channel string) bool) {
	l.discoverAt = now.Add(l.c.cfg.DiscoveryBroadcastInterval)
	d := &wire.Discover{}
	if !l.c.cfg.Observe {
		l.c.mu.RLock()
		for name, ch := range l.c.channels {
			if ch.role.writes() && about(name) {
				d.Channels = append(d.Channels, name)
			}
		}
		l.c.mu.RUnlock()
		if len(d.Channels) == 0 {
			return
		}
	}
	l.publish(l.c.cfg.NATSPrefix+l.c.cfg.DiscoveryChannel+"."+l.c.cfg.NodeID, d)
}

func (l *loop) onDiscover(from string, f wire.Frame) {
	if d, ok := f.(*wire.Discover); ok && from != l.c.cfg.NodeID && (len(d.Channels) == 0 || l.readsOneOf(d.Channels)) {
		l.announce(time.Now())
	}
}

func (l *loop) readsOneOf(channels []string) bool {
	l.c.mu.RLock()
	defer l.c.mu.RUnlock()
	for _, name := range channels {
		if ch := l.c.channels[name]; ch != nil && ch.role.reads() {
			return true
		}
	}
	return false
}

// onPresence learns of a node. Presence is a hint to open links; what is owed to whom, the accept decides (P7).
func (l *loop) onPresence(from string, f wire.Frame) {
	pr, ok := f.(*wire.Presence)
	if !ok {
		return
	}
	if from == l.c.cfg.NodeID {
		l.ownPresence(pr)
		return
	}
	if pr.Member != nil && pr.Member.Channel == "" {
		return
	}
	p := l.peer(from)
	if pr.Leaving {
		p.goOffline()
		return
	}
	now := time.Now()
	p.sawAlive(now, pr)
	p.compareKicks(now, pr.Kicks)
	if pr.Member != nil {
		p.reads[pr.Member.Channel] = *pr.Member
	}
	for _, o := range p.out {
		if o.accept != nil && (o.accept.Run != pr.Run || o.accept.Version < pr.Version) {
			o.reopen(now)
		} else if o.confirmed {
			o.endUnlisted()
		}
	}
	p.openNeeded(now)
}

// ownPresence hears this node's own voice, or that of another with the same name (a cloned box).
func (l *loop) ownPresence(pr *wire.Presence) {
	if pr.Run == l.c.run || pr.Leaving {
		return
	}
	text := fmt.Sprintf("another node calls itself %s too (run %016x): stop one of them, or give it an id of its own", l.c.cfg.NodeID, pr.Run)
	l.c.identityConflict(l.c.cfg.NodeID, text)
}

func (c *Connection) noteVersion() { c.version.Add(1) }

// channelsChanged tells the others that this node reads or writes something else now.
func (l *loop) channelsChanged(ch *Channel) {
	l.c.noteVersion()
	l.post(func() {
		now := time.Now()
		l.listenForReaders(ch)
		if ch.role.reads() {
			if err := l.listenForQuestions(); err != nil {
				l.c.emit(Event{Kind: "bus_error", Channel: ch.name, Text: err.Error()})
			}
		}
		for _, p := range l.peers {
			for _, in := range p.in {
				in.reset("memberships changed") // P8: what is owed has changed
			}
			for _, o := range p.out {
				if o.lacks(ch.name) {
					o.reopen(now)
				}
			}
			p.openNeeded(now)
		}
		l.announce(now)
		if ch.role.writes() {
			l.discover(now)
		}
	})
}

// listenForQuestions hears who asks for readers. Nodes that only write have no answer, and need not hear the whole fleet.
func (l *loop) listenForQuestions() error {
	return l.subscribe(l.c.cfg.NATSPrefix+l.c.cfg.DiscoveryChannel+".*", lastToken, l.onDiscover)
}

// listenForReaders hears the presence of a written channel's readers.
func (l *loop) listenForReaders(ch *Channel) {
	if !ch.role.writes() {
		return
	}
	prefix := l.c.cfg.NATSPrefix + l.c.cfg.KeepaliveChannel + "."
	err := l.subscribe(prefix+"*."+ch.name, func(subject string) string {
		node, _, _ := strings.Cut(subject[len(prefix):], ".")
		return node
	}, l.onPresence)
	if err != nil {
		l.c.emit(Event{Kind: "bus_error", Channel: ch.name, Text: err.Error()})
	}
}

// watch hears the presence of one node that something is addressed to.
func (l *loop) watch(node string) {
	if err := l.subscribe(l.c.cfg.NATSPrefix+l.c.cfg.KeepaliveChannel+"."+node, lastToken, l.onPresence); err != nil {
		l.c.emit(Event{Kind: "bus_error", Node: node, Text: err.Error()})
	}
}

// farewell sends the last acks and tells the others that this node goes away.
func (l *loop) farewell() {
	for _, p := range l.peers {
		for _, in := range p.in {
			l.progress(in)
			if p.in[in.domain] == in {
				p.answer(in.r.Ack()) // due or not
			}
		}
	}
	pr, _ := l.presence()
	pr.Leaving = true
	l.publish(l.c.cfg.NATSPrefix+l.c.cfg.KeepaliveChannel+"."+l.c.cfg.NodeID, &pr)
	for _, stop := range l.subs {
		stop()
	}
}
