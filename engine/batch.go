package engine

import (
	"github.com/getevo/rmds/engine/internal/store"
	"github.com/getevo/rmds/engine/internal/wire"
)

// build turns units into one store batch, numbering records in order and cutting them into blocks.
func (c *committer) build(units []*unit) (*store.Batch, []*block, int64) {
	now := c.wall()
	b := &store.Batch{Now: now, Cursors: c.cursors()}
	next := c.nextSeq
	var recs []wire.Record
	var blocks []*block
	size := 0
	cut := func() {
		if len(recs) > 0 {
			blocks = append(blocks, newBlock(recs, &c.packer))
			recs, size = nil, 0
		}
	}
	chains, written := map[chainKey]int{}, map[kvKey]int{}
	for _, u := range units {
		for i := range u.records {
			r := &u.records[i]
			r.Seq = next
			next++
			if size > 0 && size+len(r.Content) > blockBytes {
				cut()
			}
			if recs == nil {
				recs = make([]wire.Record, 0, min(len(units), 256))
			}
			recs = append(recs, *r)
			size += recordSize(r)
		}
		for _, w := range u.kv {
			addWrites(b, written, w.writes)
		}
		b.Skips = append(b.Skips, u.skips...)
		b.Dead = append(b.Dead, u.dead...)
		b.Attempts = append(b.Attempts, u.attempts...)
		b.DropAttempts = append(b.DropAttempts, u.undo...)
		b.DeadRemove = append(b.DeadRemove, u.removed...)
		b.Events = append(b.Events, u.events...)
		if u.handled != nil && u.handled.membership != 0 {
			addAdvance(b, chains, u.handled)
		}
	}
	cut()
	for _, bl := range blocks {
		b.Blocks = append(b.Blocks, bl.stored())
	}
	return b, blocks, next
}

type kvKey struct{ store, key string }

// addWrites keeps only the last write of a batch to each key: a handler's counter costs one statement a commit.
func addWrites(b *store.Batch, written map[kvKey]int, writes []store.KVWrite) {
	for _, w := range writes {
		k := kvKey{w.Store, w.Key}
		if i, ok := written[k]; ok {
			b.KV[i] = w
			continue
		}
		written[k] = len(b.KV)
		b.KV = append(b.KV, w)
	}
}

type chainKey struct {
	sender     string
	membership uint64
}

// addAdvance joins consecutive advances of one membership into one conditional update per run.
func addAdvance(b *store.Batch, chains map[chainKey]int, a *advance) {
	k := chainKey{a.sender, a.membership}
	if i, ok := chains[k]; ok {
		segs := b.Advances[i].Segments
		last := &segs[len(segs)-1]
		switch {
		case last.Seq == a.prev && last.Run == a.run:
			last.Seq = a.seq
			return
		case last.Seq == a.prev:
			b.Advances[i].Segments = append(segs, store.Segment{Run: a.run, Prev: a.prev, Seq: a.seq})
			return
		}
	}
	chains[k] = len(b.Advances)
	b.Advances = append(b.Advances, store.Advance{Sender: a.sender, Lineage: a.lineage, Membership: a.membership, First: a.first,
		Segments: []store.Segment{{Run: a.run, Prev: a.prev, Seq: a.seq}}})
}
