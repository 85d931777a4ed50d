package engine

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"github.com/getevo/rmds/engine/internal/store"
	"github.com/getevo/rmds/engine/internal/wire"
)

// stream is a part of the message log with readers of its own: a channel's broadcasts, or what is addressed to one node.
type streamKey struct{ channel, to string }

func streamOf(r *wire.Record) streamKey {
	if r.To != "" {
		return streamKey{to: r.To}
	}
	return streamKey{channel: r.Channel}
}

// member is one reader of one stream, as the sender knows it. The loop owns it, but for what ledger.mu guards.
type member struct {
	node    string
	id      uint64 // membership (P2)
	stream  streamKey
	domain  string
	storeID uint64 // the reader's database when it was last heard
	start   int64  // decided once (P23)
	joined  int64

	framed int64        // the newest seq on the open link
	skips  []store.Skip // what will never come, above framed
	aside  []store.Skip // what will never come, above the cursor

	acked, count int64 // guarded by ledger.mu: the cursor, and how many records of the stream it covers
	set          int64 // guarded by ledger.mu: the records in aside
	dirty        bool  // guarded by ledger.mu
}

// addSkip keeps the skips in the order in which they are framed.
func (m *member) addSkip(s store.Skip) {
	m.skips = append(m.skips, s)
	slices.SortFunc(m.skips, func(x, y store.Skip) int { return cmp.Compare(x.To, y.To) })
}

// skipped reports whether a seq lies in the member's next skip.
func (m *member) skipped(seq int64) bool {
	return len(m.skips) > 0 && seq > m.skips[0].Prev && seq <= m.skips[0].To
}

// ledger counts, per stream, what was appended and what each reader has acknowledged, so that queue depth is a
// subtraction. Senders ask it for room, the committer and the loop keep it up to date.
type ledger struct {
	mu      sync.Mutex
	streams map[streamKey]*streamTotal
	dirty   []*member
}

type streamTotal struct {
	appended int64 // records ever appended
	waiting  int64 // records on their way through the committer
	members  []*member
}

func newLedger(st *store.Store) (*ledger, error) {
	l := &ledger{streams: map[streamKey]*streamTotal{}}
	return l, l.load(st)
}

// load takes the counts of the disk.
func (l *ledger) load(st *store.Store) error {
	streams, err := st.Streams()
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range streams {
		l.total(streamKey{s.Channel, s.To}).appended = s.Count
	}
	return nil
}

func (l *ledger) total(k streamKey) *streamTotal {
	t := l.streams[k]
	if t == nil {
		t = &streamTotal{}
		l.streams[k] = t
	}
	return t
}

// reserve takes a place in the queue of every reader of the stream, or says whose queue is full.
func (l *ledger) reserve(k streamKey, most int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.total(k)
	for _, m := range t.members {
		if depth := t.appended + t.waiting - m.count - m.set; depth >= int64(most) {
			return fmt.Errorf("%w: %d messages wait for node %s (MaxMessagesPerReceiver): it is offline or too slow", ErrQueueFull, depth, m.node)
		}
	}
	t.waiting++
	return nil
}

// release gives back a place: the message is appended now, or will not be.
func (l *ledger) release(k streamKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total(k).waiting--
}

// appended counts the blocks of a commit.
func (l *ledger) appended(blocks []*block) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range blocks {
		for _, p := range b.streams {
			l.total(streamKey{p.Channel, p.To}).appended += int64(p.Count)
		}
	}
}

func (l *ledger) addMember(m *member) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.total(m.stream)
	t.members = append(t.members, m)
}

func (l *ledger) removeMember(m *member) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.total(m.stream)
	for i, o := range t.members {
		if o == m {
			t.members = append(t.members[:i:i], t.members[i+1:]...)
			return
		}
	}
}

// move sets a cursor. Where count is known only as a difference, pass the sum.
func (l *ledger) move(m *member, acked, count int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m.acked, m.count = acked, count
	m.countAside()
	if !m.dirty {
		m.dirty = true
		l.dirty = append(l.dirty, m)
	}
}

func (l *ledger) cursor(m *member) (acked, count int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return m.acked, m.count
}

// setAside notes what a member will not get: it waits for that no longer. Skips below its cursor do not count.
func (l *ledger) setAside(m *member, skips []store.Skip) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m.aside = slices.Clone(skips)
	m.countAside()
}

// countAside drops what the cursor has passed. ledger.mu is held.
func (m *member) countAside() {
	m.aside = slices.DeleteFunc(m.aside, func(s store.Skip) bool { return s.To <= m.acked })
	m.set = 0
	for _, s := range m.aside {
		m.set += s.Count
	}
}

// depth is how many records of its stream a member waits for.
func (l *ledger) depth(m *member) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total(m.stream).appended - m.count - m.set
}

// behind reports whether a member has yet to acknowledge records of its stream, or to be told that they will not come.
func (l *ledger) behind(m *member) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total(m.stream).appended > m.count
}

// owes reports whether a stream has records that not every reader has acknowledged, or that no reader is known for.
func (l *ledger) owes(k streamKey) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.streams[k]
	if t == nil {
		return false
	}
	for _, m := range t.members {
		if t.appended > m.count {
			return true
		}
	}
	return len(t.members) == 0 && t.appended > 0
}

// addressees lists the nodes that messages were addressed to and that have not acknowledged them all.
func (l *ledger) addressees() []string {
	l.mu.Lock()
	var keys []streamKey
	for k := range l.streams {
		if k.to != "" {
			keys = append(keys, k)
		}
	}
	l.mu.Unlock()
	var nodes []string
	for _, k := range keys {
		if l.owes(k) {
			nodes = append(nodes, k.to)
		}
	}
	return nodes
}

// keepDirty takes back that cursors are on disk: the commit that carried them has failed.
func (l *ledger) keepDirty() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range l.streams {
		for _, m := range t.members {
			if !m.dirty {
				m.dirty = true
				l.dirty = append(l.dirty, m)
			}
		}
	}
}

// takeDirty returns the cursors that moved since the last call, for the next commit to carry.
func (l *ledger) takeDirty() []store.Cursor {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]store.Cursor, 0, len(l.dirty))
	for _, m := range l.dirty {
		m.dirty = false
		out = append(out, store.Cursor{Node: m.node, Membership: m.id, Acked: m.acked, Count: m.count, Scanned: m.acked})
	}
	l.dirty = l.dirty[:0]
	return out
}
