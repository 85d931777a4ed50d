package store

import "fmt"

// Block is a stretch of the message log, packed by the caller.
type Block struct {
	First, Last int64 // seq of the first and the last record
	Count       int   // records
	CreatedHi   int64 // the newest creation time, unix ns
	Enc         uint8 // the body's encoding, as the caller knows it
	RawLen      int   // bytes of the body unpacked
	Body        []byte
	Streams     []StreamPart // what the block holds of each stream; counts add up to Count
}

// StoredBlock is a block as it is read back.
type StoredBlock struct {
	First, Last int64
	Enc         uint8
	RawLen      int
	Body        []byte
}

// tip is the log's end as the last commit left it.
type tip struct {
	known     bool
	next      int64 // the least seq that may be appended
	createdHi int64
	streams   map[streamKey]streamTip // those that were appended to since the tip became known
}

const (
	newestBlock = `SELECT last, created_hi FROM block ORDER BY last DESC LIMIT 1`
	readMeta    = `SELECT value FROM meta WHERE key = ?`
)

// nextAfter returns the least seq that may come next: above the newest block, and not below the floor that deletions
// leave behind.
func nextAfter(row func(query string, args []any, dest ...any) (bool, error)) (next, createdHi int64, err error) {
	var last int64
	if _, err := row(readMeta, []any{metaSeqFloor}, &next); err != nil {
		return 0, 0, err
	}
	if _, err := row(newestBlock, nil, &last, &createdHi); err != nil {
		return 0, 0, err
	}
	return max(next, last+1), createdHi, nil
}

func (t *tx) nextSeq() (int64, error) {
	next, _, err := nextAfter(t.row)
	return next, err
}

// NextSeq returns the seq that the next record gets. It never goes back, whatever is deleted.
func (s *Store) NextSeq() (next int64, err error) {
	err = s.readSnapshot("NextSeq", func(q *snapshot) error {
		next, _, err = nextAfter(q.row)
		return err
	})
	return next, err
}

// loadTip reads the log's end unless it is known.
func (s *Store) loadTip(t *tx) (err error) {
	if s.tip.known {
		return nil
	}
	tip := tip{known: true, streams: map[streamKey]streamTip{}}
	if tip.next, tip.createdHi, err = nextAfter(t.row); err != nil {
		return err
	}
	s.tip = tip
	return nil
}

// appendBlocks adds blocks to the log. The tip in memory moves when the transaction has happened.
func (s *Store) appendBlocks(t *tx, blocks []Block) error {
	if len(blocks) == 0 {
		return nil
	}
	if err := s.loadTip(t); err != nil {
		return err
	}
	next, createdHi := s.tip.next, s.tip.createdHi
	moved := map[streamKey]streamTip{}
	for i := range blocks {
		b := &blocks[i]
		if err := b.check(next); err != nil {
			return fmt.Errorf("block %d: %w", i, err)
		}
		next, createdHi = b.Last+1, max(createdHi, b.CreatedHi)
		if _, err := t.run(`INSERT INTO block (last, first, count, created_hi, enc, raw_len, body) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			b.Last, b.First, b.Count, createdHi, b.Enc, b.RawLen, blob(b.Body)); err != nil {
			return err
		}
		for j := range b.Streams {
			if err := s.appendPart(t, moved, b.Last, &b.Streams[j]); err != nil {
				return err
			}
		}
	}
	t.committed = append(t.committed, func() {
		s.tip.next, s.tip.createdHi = next, createdHi
		for k, st := range moved {
			s.tip.streams[k] = st
		}
	})
	return nil
}

// check refuses a block that would break what reading relies on: a fault of the caller, not of the disk.
func (b *Block) check(next int64) error {
	if b.First < next || b.Last < b.First || int64(b.Count) > b.Last-b.First+1 {
		return fmt.Errorf("%d records in seq %d to %d, next is %d", b.Count, b.First, b.Last, next)
	}
	count := 0
	for i := range b.Streams {
		p := &b.Streams[i]
		if p.Count < 1 || p.Bytes < 0 || p.First < b.First || p.Last > b.Last || int64(p.Count) > p.Last-p.First+1 {
			return fmt.Errorf("stream %q/%q: %d records in seq %d to %d of %d to %d", p.Channel, p.To, p.Count, p.First, p.Last, b.First, b.Last)
		}
		count += p.Count
	}
	if count != b.Count || count == 0 {
		return fmt.Errorf("%d records, %d in its streams", b.Count, count)
	}
	return nil
}

// blob makes an empty value of nil, which the driver would store as NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// ReadLog returns the blocks that hold records above after, in order: the first in any case, and more while the bodies'
// sum stays within maxBytes. None: there is nothing above.
func (s *Store) ReadLog(after int64, maxBytes int) (out []StoredBlock, err error) {
	size := 0
	err = s.read("ReadLog", func(q *snapshot) error {
		return q.rows(`SELECT first, last, enc, raw_len, body FROM block WHERE last > ? ORDER BY last`, []any{after},
			func(scan func(...any) error) (bool, error) {
				var b StoredBlock
				if err := scan(&b.First, &b.Last, &b.Enc, &b.RawLen, &b.Body); err != nil {
					return false, err
				}
				if size += len(b.Body); len(out) > 0 && size > maxBytes {
					return false, nil
				}
				out = append(out, b)
				return size < maxBytes, nil
			})
	})
	return out, err
}

// FirstCreatedAtOrAfter returns the first seq of the first block that may hold a record created then or later, by the
// stamps of this node's clock: before it, all are older. Where the clock went back, blocks count as new as the newest
// before them. NextSeq if there is none.
//
// The newest stamp so far only rises along the log, so it is found by bisection.
func (s *Store) FirstCreatedAtOrAfter(created int64) (seq int64, err error) {
	err = s.readSnapshot("FirstCreatedAtOrAfter", func(q *snapshot) error {
		if seq, _, err = nextAfter(q.row); err != nil {
			return err
		}
		var lo int64
		if found, err := q.row(`SELECT last FROM block ORDER BY last LIMIT 1`, nil, &lo); err != nil || !found {
			return err
		}
		for hi := seq - 1; lo <= hi; {
			mid := lo + (hi-lo)/2
			var first, last, newest int64
			found, err := q.row(`SELECT first, last, created_hi FROM block WHERE last >= ? ORDER BY last LIMIT 1`, []any{mid}, &first, &last, &newest)
			switch {
			case err != nil:
				return err
			case found && newest < created:
				lo = last + 1
			default:
				hi = mid - 1
				if found {
					seq = min(seq, first)
				}
			}
		}
		return nil
	})
	return seq, err
}
