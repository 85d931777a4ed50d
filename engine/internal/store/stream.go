package store

// StreamPart is what a block holds of one stream: a channel's broadcasts (To ""), or all that is addressed to one node
// (Channel "").
type StreamPart struct {
	Channel, To string
	Count       int   // records
	Bytes       int64 // of their contents
	First, Last int64 // seq of the first and the last of them
}

// Stream is what the log has held of one stream so far. What it holds now is the difference to what was deleted.
type Stream struct {
	Channel, To  string // as in StreamPart
	Count, Bytes int64  // of all records ever appended, deleted ones included
	LastSeq      int64  // of the newest record ever appended
	DeletedSeq   int64  // of the newest record deleted; 0 none
	DeletedCount int64
	DeletedBytes int64
}

type streamKey struct{ channel, to string }

// streamTip is a stream's row and its running totals.
type streamTip struct{ id, count, bytes int64 }

// loadStream returns a stream's totals, creating its row at its first record.
func (s *Store) loadStream(t *tx, k streamKey) (st streamTip, err error) {
	if st, ok := s.tip.streams[k]; ok {
		return st, nil
	}
	found, err := t.row(`SELECT id, deleted_count, deleted_bytes FROM stream WHERE channel = ? AND node = ?`, []any{k.channel, k.to},
		&st.id, &st.count, &st.bytes)
	if err != nil {
		return st, err
	}
	if !found {
		st.id, err = t.insert(`INSERT INTO stream (channel, node) VALUES (?, ?)`, k.channel, k.to)
		return st, err
	}
	_, err = t.row(`SELECT count_hi, bytes_hi FROM part WHERE stream = ? ORDER BY block DESC LIMIT 1`, []any{st.id}, &st.count, &st.bytes)
	return st, err
}

// appendPart adds a block's part to its stream. moved holds the totals that this transaction has changed.
func (s *Store) appendPart(t *tx, moved map[streamKey]streamTip, block int64, p *StreamPart) error {
	k := streamKey{p.Channel, p.To}
	st, ok := moved[k]
	if !ok {
		var err error
		if st, err = s.loadStream(t, k); err != nil {
			return err
		}
	}
	st.count += int64(p.Count)
	st.bytes += p.Bytes
	moved[k] = st
	_, err := t.run(`INSERT INTO part (stream, block, first, last, count_hi, bytes_hi) VALUES (?, ?, ?, ?, ?, ?)`,
		st.id, block, p.First, p.Last, st.count, st.bytes)
	return err
}

// Streams returns all streams that the log has ever held. Its cost is that of their number, not of their length.
func (s *Store) Streams() ([]Stream, error) {
	return list(s, "Streams", `
		SELECT channel, node, coalesce(count_hi, deleted_count), coalesce(bytes_hi, deleted_bytes), coalesce(last, deleted_seq),
			deleted_seq, deleted_count, deleted_bytes
		FROM stream LEFT JOIN part ON part.stream = stream.id
			AND part.block = (SELECT block FROM part WHERE part.stream = stream.id ORDER BY block DESC LIMIT 1)
		ORDER BY channel, node`, nil,
		func(scan func(...any) error, v *Stream) error {
			return scan(&v.Channel, &v.To, &v.Count, &v.Bytes, &v.LastSeq, &v.DeletedSeq, &v.DeletedCount, &v.DeletedBytes)
		})
}

// StreamCountThrough returns how many records of a stream, ever appended, have a seq at or below the given one. Those of
// straddle, if there is one, are not counted: it holds records of the stream on both sides, and the caller, who can
// decode it, counts those at or below seq. Below what was deleted the count is that of all deleted records.
func (s *Store) StreamCountThrough(channel, to string, seq int64) (count int64, straddle *StoredBlock, err error) {
	err = s.readSnapshot("StreamCountThrough", func(q *snapshot) error {
		var id int64
		found, err := q.row(`SELECT id, deleted_count FROM stream WHERE channel = ? AND node = ?`, []any{channel, to}, &id, &count)
		if err != nil || !found {
			return err
		}
		if _, err := q.row(`SELECT count_hi FROM part WHERE stream = ? AND block <= ? ORDER BY block DESC LIMIT 1`, []any{id, seq}, &count); err != nil {
			return err
		}
		var block, first, last, countHi int64
		found, err = q.row(`SELECT block, first, last, count_hi FROM part WHERE stream = ? AND block > ? ORDER BY block LIMIT 1`,
			[]any{id, seq}, &block, &first, &last, &countHi)
		if err != nil || !found || first > seq {
			return err
		}
		if last <= seq {
			count = countHi
			return nil
		}
		straddle = &StoredBlock{}
		b := straddle
		_, err = q.row(`SELECT first, last, enc, raw_len, body FROM block WHERE last = ?`, []any{block}, &b.First, &b.Last, &b.Enc, &b.RawLen, &b.Body)
		return err
	})
	if err != nil {
		return 0, nil, err
	}
	return count, straddle, nil
}

// DeletePiece is how many blocks one transaction of DeleteLog deletes: some milliseconds of work, so that commits in
// between do not wait long.
const DeletePiece = 256

// DeleteLog deletes the blocks whose records are all at or below through, and returns how many records that were. The
// cursors are those that the decision relied on; they are stored with the first deletion, or alone if there is nothing
// to delete, so that no crash leaves a cursor behind the log (P28). With them go dead letters of what nobody has read
// (P26), which must be of the first DeletePiece blocks. Longer stretches are deleted piece by piece: after an error some
// of it may be gone, which the count says.
func (s *Store) DeleteLog(through int64, cursors []Cursor, dead []Dead) (deleted int64, err error) {
	for more := true; more; {
		var n int64
		err = s.write("DeleteLog", func(t *tx) error {
			if err := t.setCursors(cursors); err != nil {
				return err
			}
			if _, err := t.addDead(dead); err != nil {
				return err
			}
			n, more, err = t.deleteLog(through)
			return err
		})
		if err != nil {
			return deleted, err
		}
		deleted += n
		cursors, dead = nil, nil
	}
	return deleted, nil
}

func (t *tx) deleteLog(through int64) (deleted int64, more bool, err error) {
	var upto, blocks int64
	if _, err = t.row(`SELECT coalesce(max(last), 0), count(*), coalesce(sum(count), 0)
		FROM (SELECT last, count FROM block WHERE last <= ? ORDER BY last LIMIT ?)`, []any{through, DeletePiece}, &upto, &blocks, &deleted); err != nil {
		return 0, false, err
	}
	if blocks == 0 {
		return 0, false, nil
	}
	next, err := t.nextSeq()
	if err != nil {
		return 0, false, err
	}
	if err := t.setMeta(metaSeqFloor, next); err != nil {
		return 0, false, err
	}
	for _, query := range []string{
		`UPDATE stream SET (deleted_seq, deleted_count, deleted_bytes) =
				(SELECT last, count_hi, bytes_hi FROM part WHERE stream = stream.id AND block <= ?1 ORDER BY block DESC LIMIT 1)
			WHERE EXISTS (SELECT 1 FROM part WHERE stream = stream.id AND block <= ?1)`,
		`DELETE FROM part WHERE stream IN (SELECT id FROM stream) AND block <= ?1`,
		`DELETE FROM block WHERE last <= ?1`,
	} {
		if _, err := t.run(query, upto); err != nil {
			return 0, false, err
		}
	}
	return deleted, blocks == DeletePiece, nil
}

// OldestRecords returns the seq of the oldest record that the log holds of each stream. Its cost is that of the number
// of streams.
func (s *Store) OldestRecords() (oldest map[[2]string]int64, err error) {
	oldest = map[[2]string]int64{}
	err = s.read("OldestRecords", func(q *snapshot) error {
		return q.rows(`SELECT channel, node, (SELECT first FROM part WHERE part.stream = stream.id ORDER BY block LIMIT 1) FROM stream
			WHERE EXISTS (SELECT 1 FROM part WHERE part.stream = stream.id)`, nil, func(scan func(...any) error) (bool, error) {
			var k [2]string
			var first int64
			err := scan(&k[0], &k[1], &first)
			oldest[k] = first
			return true, err
		})
	})
	return oldest, err
}
