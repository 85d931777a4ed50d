package engine

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"
)

// Status is a snapshot of a node.
type Status struct {
	Node      string   `json:"node"`
	StoreID   string   `json:"store_id"`
	Run       string   `json:"run"`
	Connected bool     `json:"connected"`
	Health    string   `json:"health"`   // "ok", or the first of Troubles
	Troubles  []string `json:"troubles"` // each "kind: text"

	Accepted  int64            `json:"accepted"`    // messages stored for others since the start
	Refused   int64            `json:"refused"`     // sends refused because a queue was full, since the start
	Delivered int64            `json:"delivered"`   // acknowledgements received, one per message and reader, since the start
	Queued    int64            `json:"queued"`      // messages not acknowledged, summed over readers
	Handled   int64            `json:"handled"`     // messages handled and committed since the start
	Retries   int64            `json:"retries"`     // failed attempts that will be repeated, since the start
	NotDone   int64            `json:"not_handled"` // messages that their readers have set aside, since the start
	Dead      int64            `json:"dead"`        // dead letters made since the start
	DeadBy    map[string]int64 `json:"dead_by"`     // the same by reason
	DeadKept  int64            `json:"dead_kept"`   // dead letters kept now, those of earlier starts among them
	Gaps      int64            `json:"gaps"`        // skips received since the start
	Resets    int64            `json:"resets"`      // links that had to start again, since the start
	Corrupt   int64            `json:"corrupt"`     // frames that were no frames, since the start

	DiskBytes int64 `json:"disk_bytes"` // of the database and its journal

	Channels []ChannelStatus `json:"channels"`
	Handlers []HandlerStatus `json:"handlers"` // by name
	Peers    []PeerStatus    `json:"peers"`
}

// ChannelStatus is a joined channel.
type ChannelStatus struct {
	Name  string `json:"name"`
	Role  string `json:"role"`
	Awake bool   `json:"awake"` // something handles its messages
}

// PeerStatus is another node.
type PeerStatus struct {
	Node      string         `json:"node"`
	Online    bool           `json:"online"`
	LastHeard time.Time      `json:"last_heard"` // zero if not heard since the start
	State     string         `json:"state"`      // its own word on its health
	Queued    int64          `json:"queued"`     // messages for it, not acknowledged
	Readers   []ReaderStatus `json:"readers"`
	Handled   int64          `json:"handled"` // of its messages, since the start
	Links     []LinkStatus   `json:"links"`
}

// LinkStatus is one link, by its ordering domain.
type LinkStatus struct {
	Out      bool          `json:"out"`      // from this node to the peer; else from it to this one
	Domain   string        `json:"domain"`   // s: all channels in one order, a: what is addressed, c:NAME: one channel by itself
	Open     bool          `json:"open"`     // else it is being opened
	Channels []string      `json:"channels"` // what it carries; addressed messages have none
	Frames   int           `json:"frames"`   // out: sent and not known to have arrived
	Waiting  int           `json:"waiting"`  // in: messages that have arrived and wait for their handler
	RTT      time.Duration `json:"rtt"`      // out: the estimated round trip; 0 before the first estimate
}

// ReaderStatus is one channel that a peer reads and this node writes.
type ReaderStatus struct {
	Channel string    `json:"channel"` // "" for messages addressed to the peer
	Acked   int64     `json:"acked"`   // seq up to which it has acknowledged
	Queued  int64     `json:"queued"`
	Count   int64     `json:"count"`           // messages of the channel that it is past: acknowledged, or never owed
	Oldest  time.Time `json:"oldest,omitzero"` // when the oldest of the queued was created, by this node's clock
}

// Status returns a snapshot. After Close it is what can still be told.
func (c *Connection) Status() Status {
	s := Status{Node: c.cfg.NodeID, StoreID: runText(c.st.Meta().StoreID), Run: runText(c.run), Connected: c.bus.Connected(), Health: "ok",
		Accepted: c.count.accepted.Load(), Refused: c.count.rejected.Load(), Delivered: c.count.delivered.Load(), Handled: c.count.handled.Load(),
		Retries: c.count.retries.Load(), NotDone: c.count.negative.Load(), Gaps: c.count.gaps.Load(), Resets: c.count.resets.Load(), Corrupt: c.count.corrupt.Load()}
	s.Dead, s.DeadBy = c.count.dead.load()
	s.DeadKept, _ = c.st.DeadCount() // a database that cannot be read shows in Troubles
	s.DiskBytes, _ = c.st.DiskUsage()
	s.Handlers = c.handlerStatus()
	s.Troubles = c.troubles()
	if len(s.Troubles) > 0 {
		s.Health = s.Troubles[0]
	}
	c.mu.RLock()
	for _, ch := range c.channels {
		s.Channels = append(s.Channels, ChannelStatus{Name: ch.name, Role: ch.role.String(), Awake: ch.awake()})
	}
	c.mu.RUnlock()
	sort.Slice(s.Channels, func(i, j int) bool { return s.Channels[i].Name < s.Channels[j].Name })
	c.loop.call(func() {
		for _, p := range c.loop.peers {
			ps := p.status()
			s.Queued += ps.Queued
			s.Peers = append(s.Peers, ps)
		}
	})
	for i := range s.Peers {
		for j := range s.Peers[i].Readers {
			c.findOldest(s.Peers[i].Node, &s.Peers[i].Readers[j])
		}
	}
	sort.Slice(s.Peers, func(i, j int) bool { return s.Peers[i].Node < s.Peers[j].Node })
	return s
}

// Ping returns when the loop that owns the links has answered, for a watchdog. It does not touch the disk.
func (c *Connection) Ping() { c.loop.call(func() {}) }

func (p *peer) status() PeerStatus {
	ps := PeerStatus{Node: p.node, Online: p.online, LastHeard: p.heard, State: p.state}
	for _, m := range p.members {
		acked, count := p.l.c.ledger.cursor(m)
		r := ReaderStatus{Channel: m.stream.channel, Acked: acked, Queued: p.l.c.ledger.depth(m), Count: count}
		ps.Queued += r.Queued
		ps.Readers = append(ps.Readers, r)
	}
	sort.Slice(ps.Readers, func(i, j int) bool { return ps.Readers[i].Channel < ps.Readers[j].Channel })
	for _, d := range p.domains {
		ps.Handled += d.done()
	}
	for _, o := range p.out {
		ps.Links = append(ps.Links, o.status())
	}
	for _, in := range p.in {
		ps.Links = append(ps.Links, in.status())
	}
	slices.SortFunc(ps.Links, func(a, b LinkStatus) int {
		return strings.Compare(fmt.Sprint(!a.Out, a.Domain), fmt.Sprint(!b.Out, b.Domain))
	})
	return ps
}

func (o *outLink) status() LinkStatus {
	s := LinkStatus{Out: true, Domain: o.domain, Open: o.accept != nil, RTT: o.s.RTT()}
	s.Frames, _ = o.s.Outstanding()
	for k := range o.byStream {
		if k.channel != "" {
			s.Channels = append(s.Channels, k.channel)
		}
	}
	slices.Sort(s.Channels)
	return s
}

func (in *inLink) status() LinkStatus {
	s := LinkStatus{Domain: in.domain, Open: true, Waiting: in.d.waiting()}
	for _, p := range in.have {
		if p.channel != "" {
			s.Channels = append(s.Channels, p.channel)
		}
	}
	slices.Sort(s.Channels)
	return s
}

// findOldest looks up when the first message after a reader's cursor was created: in memory, or else by its block on disk.
func (c *Connection) findOldest(node string, r *ReaderStatus) {
	if r.Queued <= 0 {
		return
	}
	k := streamKey{channel: r.Channel}
	if r.Channel == "" {
		k.to = node
	}
	created, ok := c.tail.createdAfter(k, r.Acked)
	if !ok {
		created, ok, _ = c.st.CreatedAfter(k.channel, k.to, r.Acked) // a database that cannot be read shows in Troubles
	}
	if ok {
		r.Oldest = time.Unix(0, created)
	}
}

func runText(id uint64) string { return fmt.Sprintf("%016x", id) }

// KV reads a handler's key-value store from outside of it.
type KV struct {
	c    *Connection
	name string
}

// KV returns the store of the handler with that name; one that was never written is empty.
func (c *Connection) KV(store string) *KV { return &KV{c, store} }

// Get returns the committed value of a key and whether there is one.
func (k *KV) Get(key string) ([]byte, bool, error) { return k.c.st.KVGet(k.name, key) }

// Next returns the first committed key after the given one in byte order, "" asking for the first of all.
func (k *KV) Next(after string) (key string, ok bool, err error) { return k.c.st.KVNext(k.name, after) }
