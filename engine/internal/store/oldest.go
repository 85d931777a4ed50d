package store

// CreatedAfter returns when the first record of a stream above a seq was created, unix ns, or ok=false if the log holds
// none. Within a block it does not look: the answer is the newest creation time of that block and of all before it,
// which is late by no more than what one commit gathers, and by jumps of the clock.
func (s *Store) CreatedAfter(channel, to string, seq int64) (created int64, ok bool, err error) {
	err = s.read("CreatedAfter", func(q *snapshot) error {
		var id int64
		found, err := q.row(`SELECT id FROM stream WHERE channel = ? AND node = ?`, []any{channel, to}, &id)
		if err != nil || !found {
			return err
		}
		ok, err = q.row(`SELECT b.created_hi FROM part p JOIN block b ON b.last = p.block
			WHERE p.stream = ? AND p.block > ? AND p.last > ? ORDER BY p.block LIMIT 1`, []any{id, seq, seq}, &created)
		return err
	})
	return created, ok, err
}
