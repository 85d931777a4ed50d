package store

import (
	"database/sql"
	"errors"
	"time"
)

// StoredBlock is a block as it was appended.
type StoredBlock struct {
	First, Last int64
	Enc         uint8
	RawLen      int
	Body        []byte
}

// StartRun begins a run: its id and first seq are on disk before anything else is (P1). It returns all runs of this
// database, oldest first, and whether the one before ended without CleanStop.
func (s *Store) StartRun(run uint64, now time.Time) (lineage []Run, unclean bool, err error) {
	err = s.update("start_run", func(tx *transaction) error {
		var clean int
		if err := tx.row("SELECT value FROM meta WHERE key = 'clean'").Scan(&clean); err != nil {
			return err
		}
		unclean = clean == 0
		if _, err := tx.exec("INSERT INTO run(first, run, started) SELECT value, ?, ? FROM meta WHERE key = 'next_seq'", int64(run), now.UnixNano()); err != nil {
			return err
		}
		_, err := tx.exec("UPDATE meta SET value = 0 WHERE key = 'clean'")
		return err
	})
	if err != nil {
		return nil, false, err
	}
	err = s.each("SELECT run, first FROM run ORDER BY ord", nil, func(scan func(...any) error) error {
		var run, first int64
		if err := scan(&run, &first); err != nil {
			return err
		}
		lineage = append(lineage, Run{uint64(run), first})
		return nil
	})
	return lineage, unclean, err
}

// CleanStop notes that the node was closed in order.
func (s *Store) CleanStop() error {
	return s.update("clean_stop", func(tx *transaction) error {
		_, err := tx.exec("UPDATE meta SET value = 1 WHERE key = 'clean'")
		return err
	})
}

// NextSeq returns the seq that the next record gets. It never goes back, whatever was deleted.
func (s *Store) NextSeq() (next int64, err error) {
	err = s.row("SELECT value FROM meta WHERE key = 'next_seq'").Scan(&next)
	return next, classify(err)
}

// ReadLog returns blocks with records above after, in order: at least one if there is one, else up to maxBytes.
func (s *Store) ReadLog(after int64, maxBytes int) ([]StoredBlock, error) {
	// The block that holds after+1 begins at or below it: start from the last block that does.
	from := after + 1
	err := s.row("SELECT first FROM log WHERE first <= ? ORDER BY first DESC LIMIT 1", after+1).Scan(&from)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, classify(err)
	}
	var blocks []StoredBlock
	size := 0
	err = s.each("SELECT first, last, enc, raw_len, body FROM log WHERE first >= ? AND last > ? ORDER BY first", []any{from, after}, func(scan func(...any) error) error {
		var b StoredBlock
		if err := scan(&b.First, &b.Last, &b.Enc, &b.RawLen, &b.Body); err != nil {
			return err
		}
		blocks = append(blocks, b)
		if size += len(b.Body); size >= maxBytes {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	return blocks, nil
}

// errEnough ends a loop over rows.
var errEnough = errors.New("enough")

// FirstCreatedAtOrAfter returns the first seq of the first block that holds something created then or later, or the next
// seq if there is none. Stamps that go back do not hide later ones: a block counts as new as any before it.
func (s *Store) FirstCreatedAtOrAfter(created int64) (seq int64, err error) {
	next, err := s.NextSeq()
	if err != nil {
		return 0, err
	}
	var low, high int64 // the answer is the first of a block, and blocks' created_hi rises with it: halve by first
	if err := s.row("SELECT coalesce(min(first), 0), coalesce(max(first), 0) FROM log").Scan(&low, &high); err != nil {
		return 0, classify(err)
	}
	if low == 0 {
		return next, nil
	}
	answer := next
	for low <= high {
		var first, hi int64
		if err := s.row("SELECT first, created_hi FROM log WHERE first <= ? ORDER BY first DESC LIMIT 1", low+(high-low)/2).Scan(&first, &hi); err != nil {
			return 0, classify(err)
		}
		if hi >= created {
			answer, high = first, first-1
			continue
		}
		var after int64
		if err := s.row("SELECT coalesce(min(first), 0) FROM log WHERE first > ?", first).Scan(&after); err != nil {
			return 0, classify(err)
		}
		if after == 0 {
			break
		}
		low = after
	}
	return answer, nil
}

// Stream is what was ever appended to a stream, and what of it was deleted.
type Stream struct {
	Channel, To              string
	Count, Bytes, LastSeq    int64 // ever appended
	DeletedSeq, DeletedCount int64 // deleted through that seq
}

// Streams returns all streams.
func (s *Store) Streams() ([]Stream, error) {
	var list []Stream
	err := s.each("SELECT channel, node, count, bytes, last_seq, deleted_seq, deleted_count FROM stream", nil, func(scan func(...any) error) error {
		var t Stream
		if err := scan(&t.Channel, &t.To, &t.Count, &t.Bytes, &t.LastSeq, &t.DeletedSeq, &t.DeletedCount); err != nil {
			return err
		}
		list = append(list, t)
		return nil
	})
	return list, err
}

// StreamCountThrough returns how many records of a stream, deleted ones included, lie in blocks that end at or below seq.
// straddle is the block that seq lies inside of, if any, for the caller to count.
func (s *Store) StreamCountThrough(channel, to string, seq int64) (count int64, straddle *StoredBlock, err error) {
	err = s.row(`SELECT coalesce((SELECT total FROM part WHERE stream = id AND block_last <= ?1 ORDER BY block_last DESC LIMIT 1),
		CASE WHEN deleted_seq <= ?1 THEN deleted_count ELSE 0 END) FROM stream WHERE channel = ?2 AND node = ?3`, seq, channel, to).Scan(&count)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil, nil
	}
	if err != nil {
		return 0, nil, classify(err)
	}
	var b StoredBlock
	err = s.row("SELECT first, last, enc, raw_len, body FROM log WHERE first <= ? ORDER BY first DESC LIMIT 1", seq).Scan(&b.First, &b.Last, &b.Enc, &b.RawLen, &b.Body)
	if errors.Is(err, sql.ErrNoRows) || err == nil && b.Last <= seq {
		return count, nil, nil
	}
	return count, &b, classify(err)
}

// DeleteLog deletes whole blocks that end at or below through, in one transaction with the cursors that allow it (P28),
// and returns how many records that were.
func (s *Store) DeleteLog(through int64, cursors []Cursor) (deleted int64, err error) {
	err = s.update("delete_log", func(tx *transaction) error {
		for i := range cursors {
			if err := tx.moveCursor(&cursors[i]); err != nil {
				return err
			}
		}
		if err := tx.row("SELECT coalesce(sum(count), 0) FROM log WHERE last <= ?", through).Scan(&deleted); err != nil {
			return err
		}
		for _, q := range []string{
			`UPDATE stream SET (deleted_seq, deleted_count) = (SELECT block_last, total FROM part WHERE stream = id AND block_last <= ?1 ORDER BY block_last DESC LIMIT 1)
				WHERE EXISTS (SELECT 1 FROM part WHERE stream = id AND block_last <= ?1)`,
			"DELETE FROM part WHERE block_last <= ?1",
			"DELETE FROM log WHERE last <= ?1",
		} {
			if _, err := tx.exec(q, through); err != nil {
				return err
			}
		}
		return nil
	})
	return deleted, err
}
