package engine

import (
	"math"
	"sort"
	"sync"

	"github.com/getevo/rmds/engine/internal/store"
	"github.com/getevo/rmds/engine/internal/wire"
)

// block is one stretch of the message log: what one group commit appended, or a piece of it. Immutable.
type block struct {
	first, last int64
	recs        []wire.Record // contents alias raw
	body        wire.Body
	raw         int // bytes of the body unpacked
	streams     []store.StreamPart
}

func recordSize(r *wire.Record) int {
	n := len(r.Content) + 16
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value) + 4
	}
	return n
}

func newBlock(recs []wire.Record, p *packer) *block {
	body := p.pack(recs)
	return &block{first: recs[0].Seq, last: recs[len(recs)-1].Seq, recs: recs, body: body, raw: body.RawLen, streams: streamParts(recs)}
}

// streamParts counts the records of each stream, in order of appearance.
func streamParts(recs []wire.Record) []store.StreamPart {
	var parts []store.StreamPart
	index := map[streamKey]int{}
	for i := range recs {
		r := &recs[i]
		k := streamOf(r)
		j, ok := index[k]
		if !ok {
			j = len(parts)
			index[k] = j
			parts = append(parts, store.StreamPart{Channel: k.channel, To: k.to, First: r.Seq})
		}
		parts[j].Count++
		parts[j].Bytes += int64(len(r.Content))
		parts[j].Last = r.Seq
	}
	return parts
}

// stored is the block as the store keeps it.
func (b *block) stored() store.Block {
	s := store.Block{First: b.first, Last: b.last, Count: len(b.recs), Enc: b.body.Enc, RawLen: b.body.RawLen, Body: b.body.Data, Streams: b.streams}
	for i := range b.recs {
		s.CreatedHi = max(s.CreatedHi, b.recs[i].Created)
	}
	return s
}

// loadBlock decodes a block that was read back from the store.
func loadBlock(s *store.StoredBlock) (*block, error) {
	body := wire.Body{Enc: s.Enc, RawLen: s.RawLen, Data: s.Body}
	raw, err := body.Unpack(maxStoredBlock)
	if err != nil {
		return nil, err
	}
	recs, err := wire.DecodeBlock(raw)
	if err != nil {
		return nil, err
	}
	return &block{first: s.First, last: s.Last, recs: recs, body: body, raw: len(raw), streams: streamParts(recs)}, nil
}

// maxStoredBlock bounds what a block may unpack to: the largest message and its neighbours.
const maxStoredBlock = 64<<20 + 1<<20

// tail keeps the newest blocks of the log in memory, so that links in step with the log never read the disk.
// Written by the committer, read by the loop.
type tail struct {
	mu     sync.Mutex
	blocks []*block
	bytes  int
	limit  int
	last   int64 // the newest seq of the log, also when no block is held
}

func newTail(limit int, last int64) *tail { return &tail{limit: limit, last: last} }

func (t *tail) append(blocks []*block) {
	if len(blocks) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, b := range blocks {
		t.blocks = append(t.blocks, b)
		t.bytes += b.raw + len(b.body.Data)
		t.last = b.last
	}
	drop := 0
	for drop < len(t.blocks)-1 && t.bytes > t.limit {
		t.bytes -= t.blocks[drop].raw + len(t.blocks[drop].body.Data)
		drop++
	}
	if drop > 0 {
		t.blocks = append([]*block(nil), t.blocks[drop:]...)
	}
}

// after returns up to max blocks that hold records above seq, if the tail reaches back to seq; ok=false sends the
// caller to the disk.
func (t *tail) after(seq int64, max int) (blocks []*block, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if seq >= t.last {
		return nil, true
	}
	if len(t.blocks) == 0 || t.blocks[0].first > seq+1 {
		return nil, false
	}
	i := sort.Search(len(t.blocks), func(i int) bool { return t.blocks[i].last > seq })
	return t.blocks[i : i+min(max, len(t.blocks)-i)], true
}

// reset forgets all blocks: the log has some that were never here.
func (t *tail) reset(last int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.blocks, t.bytes, t.last = nil, 0, last
}

// createdAfter returns when the first record of a stream above seq was created, if the tail reaches back to seq.
func (t *tail) createdAfter(k streamKey, seq int64) (created int64, ok bool) {
	blocks, ok := t.after(seq, math.MaxInt)
	if !ok {
		return 0, false
	}
	for _, b := range blocks {
		for _, p := range b.streams {
			if p.Channel != k.channel || p.To != k.to || p.Last <= seq {
				continue
			}
			for i := range b.recs {
				if r := &b.recs[i]; r.Seq > seq && streamOf(r) == k {
					return r.Created, true
				}
			}
		}
	}
	return 0, false
}

func (t *tail) lastSeq() int64 { t.mu.Lock(); defer t.mu.Unlock(); return t.last }
