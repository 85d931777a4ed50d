package store

// SetAside keeps messages as dead letters and, in the same transaction, the skip that tells their reader (P27). A skip of
// the same membership with the same Prev is replaced, so that a long stretch can be set aside piece by piece and told as
// one. Until Confirm the skip is in doubt: it was made by the cursor, and the reader may have come farther.
func (s *Store) SetAside(k Skip, dead []Dead) error {
	return s.write("SetAside", func(t *tx) error {
		for _, query := range []string{
			`DELETE FROM skip WHERE node = ? AND membership = ? AND prev = ?`,
			`DELETE FROM doubt WHERE node = ? AND membership = ? AND prev = ?`,
		} {
			if _, err := t.run(query, k.Node, int64(k.Membership), k.Prev); err != nil {
				return err
			}
		}
		if err := t.addSkips([]Skip{k}); err != nil {
			return err
		}
		if _, err := t.run(`INSERT INTO doubt (node, membership, prev, upto) VALUES (?, ?, ?, ?)`, k.Node, int64(k.Membership), k.Prev, k.To); err != nil {
			return err
		}
		_, err := t.addDead(dead)
		return err
	})
}

// Doubts returns the skips of a membership that are in doubt, in seq order. Reason and Count are not set.
func (s *Store) Doubts(node string, membership uint64) ([]Skip, error) {
	return list(s, "Doubts", `SELECT prev, upto FROM doubt WHERE node = ? AND membership = ? ORDER BY upto`, []any{node, int64(membership)},
		func(scan func(...any) error, k *Skip) error {
			k.Node, k.Membership = node, membership
			return scan(&k.Prev, &k.To)
		})
}

// Confirm ends the doubt about a membership's skips: the reader is at seq. What it has handled is no dead letter: those of
// the stream (channel, or all that is addressed to the node if channel is "") that lie inside a doubted skip at or below
// seq are withdrawn. A skip that seq lies in begins at seq from now on and leaves out rest records.
func (s *Store) Confirm(node string, membership uint64, channel string, seq, rest int64) (withdrawn int64, err error) {
	err = s.write("Confirm", func(t *tx) error {
		withdrawn, err = t.confirm(node, membership, channel, seq, rest)
		return err
	})
	return withdrawn, err
}

func (t *tx) confirm(node string, membership uint64, channel string, seq, rest int64) (withdrawn int64, err error) {
	id := int64(membership)
	if withdrawn, err = t.run(`DELETE FROM dead WHERE side = 'sender' AND reader = ?1 AND seq <= ?4 AND
			CASE ?3 WHEN '' THEN to_node = ?1 ELSE channel = ?3 AND to_node = '' END AND
			EXISTS (SELECT 1 FROM doubt WHERE node = ?1 AND membership = ?2 AND dead.seq > doubt.prev AND dead.seq <= doubt.upto)`,
		node, id, channel, seq); err != nil {
		return 0, err
	}
	if err := t.countDead(-int(withdrawn)); err != nil {
		return 0, err
	}
	if _, err := t.run(`DELETE FROM skip WHERE node = ?1 AND membership = ?2 AND upto <= ?3 AND
			EXISTS (SELECT 1 FROM doubt WHERE node = ?1 AND membership = ?2 AND doubt.upto = skip.upto)`, node, id, seq); err != nil {
		return 0, err
	}
	if _, err := t.run(`UPDATE skip SET prev = ?3, count = ?4 WHERE node = ?1 AND membership = ?2 AND prev < ?3 AND upto > ?3 AND
			EXISTS (SELECT 1 FROM doubt WHERE node = ?1 AND membership = ?2 AND doubt.upto = skip.upto)`, node, id, seq, rest); err != nil {
		return 0, err
	}
	_, err = t.run(`DELETE FROM doubt WHERE node = ? AND membership = ?`, node, id)
	return withdrawn, err
}

// FirstSeq returns the seq of a stream's oldest record in the log; found tells whether there is one.
func (s *Store) FirstSeq(channel, to string) (seq int64, found bool, err error) {
	err = s.read("FirstSeq", func(q *snapshot) error {
		found, err = q.row(`SELECT first FROM part WHERE stream = (SELECT id FROM stream WHERE channel = ? AND node = ?) ORDER BY block LIMIT 1`,
			[]any{channel, to}, &seq)
		return err
	})
	return seq, found, err
}

// DiscardLog deletes the blocks whose records are all at or below through and keeps dead letters of those that nobody
// was owed, in one transaction. It returns how many records that were.
func (s *Store) DiscardLog(through int64, dead []Dead) (deleted int64, err error) {
	err = s.write("DiscardLog", func(t *tx) error {
		deleted = 0
		for more := true; more; {
			var n int64
			if n, more, err = t.deleteLog(through); err != nil {
				return err
			}
			deleted += n
		}
		_, err := t.addDead(dead)
		return err
	})
	return deleted, err
}
