package store

// AttemptKey names a message at one of this node's memberships.
type AttemptKey struct {
	Sender     string
	Run        uint64
	Seq        int64
	Membership uint64
}

// Attempt is what is known of a message whose handling has failed, or was begun (P14).
type Attempt struct {
	AttemptKey
	Count     int
	NextAt    int64 // unix ns
	LastError string
}

func (t *tx) setAttempts(set []Attempt, drop []AttemptKey) error {
	for i := range set {
		a := &set[i]
		if _, err := t.run(`INSERT INTO attempt (sender, run, seq, membership, count, next_at, last_error) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET count = excluded.count, next_at = excluded.next_at, last_error = excluded.last_error`,
			a.Sender, int64(a.Run), a.Seq, int64(a.Membership), a.Count, a.NextAt, a.LastError); err != nil {
			return err
		}
	}
	for _, k := range drop {
		if _, err := t.run(`DELETE FROM attempt WHERE sender = ? AND run = ? AND seq = ? AND membership = ?`,
			k.Sender, int64(k.Run), k.Seq, int64(k.Membership)); err != nil {
			return err
		}
	}
	return nil
}

// AttemptCount returns how many attempts at a message are stored; 0 if none.
func (s *Store) AttemptCount(k AttemptKey) (n int, err error) {
	err = s.read("AttemptCount", func(q *snapshot) error {
		_, err := q.row(`SELECT count FROM attempt WHERE sender = ? AND run = ? AND seq = ? AND membership = ?`,
			[]any{k.Sender, int64(k.Run), k.Seq, int64(k.Membership)}, &n)
		return err
	})
	return n, err
}
