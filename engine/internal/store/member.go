package store

// Member is a reader that this node knows: a membership of another node in one of this node's streams.
type Member struct {
	Node                  string
	Membership            uint64
	Channel               string // "" for what is addressed to the node
	Domain                string // its ordering domain, as the caller names it
	JoinedAt              int64  // by the reader's clock, unix ns
	StartSeq              int64  // decided once (P23)
	Acked, Count, Scanned int64  // the cursor
	Silence               int64  // ns that this node was up and connected and did not hear of the reader (P25)
	StoreID               uint64 // of the reader's database when it was last heard
	Ended                 bool
	EndReason             string
}

// Cursor is how far a member has acknowledged its stream. It may go back: what the reader states counts (P3). A cursor of
// a membership that is not known, or has ended, changes nothing: it came too late.
type Cursor struct {
	Node       string
	Membership uint64
	Acked      int64 // seq
	Count      int64 // records of the stream at or below Acked: Stream.Count minus this is the depth of the queue
	Scanned    int64 // seq up to which nothing is owed; for deletion only (P28)
}

// Skip says that a member will never get the records after Prev up to To (P27).
type Skip struct {
	Node       string
	Membership uint64
	Prev, To   int64 // seq
	Reason     string
	Count      int64 // records
}

// Members returns all members, those that have ended included.
func (s *Store) Members() ([]Member, error) {
	return list(s, "Members", `SELECT node, membership, channel, domain, joined_at, start_seq, acked, count, scanned, silence, store_id, ended,
		ended_reason FROM member ORDER BY node, channel`, nil, func(scan func(...any) error, m *Member) error {
		var membership, storeID int64
		err := scan(&m.Node, &membership, &m.Channel, &m.Domain, &m.JoinedAt, &m.StartSeq, &m.Acked, &m.Count, &m.Scanned, &m.Silence,
			&storeID, &m.Ended, &m.EndReason)
		m.Membership, m.StoreID = uint64(membership), uint64(storeID)
		return err
	})
}

// PutMember stores a member, in place of what was stored of that membership.
func (s *Store) PutMember(m Member) error {
	return s.write("PutMember", func(t *tx) error { return t.putMember(m) })
}

func (t *tx) putMember(m Member) error {
	_, err := t.run(`INSERT OR REPLACE INTO member (node, membership, channel, domain, joined_at, start_seq, acked, count, scanned, silence,
		store_id, ended, ended_reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, m.Node, int64(m.Membership), m.Channel, m.Domain,
		m.JoinedAt, m.StartSeq, m.Acked, m.Count, m.Scanned, m.Silence, int64(m.StoreID), m.Ended, m.EndReason)
	return err
}

// EndMember marks a membership as ended, with the reason, and forgets its skips. What is not known is not an error.
func (s *Store) EndMember(node string, membership uint64, reason string) error {
	return s.write("EndMember", func(t *tx) error {
		if _, err := t.run(`UPDATE member SET ended = 1, ended_reason = ? WHERE node = ? AND membership = ?`, reason, node, int64(membership)); err != nil {
			return err
		}
		_, err := t.run(`DELETE FROM skip WHERE node = ? AND membership = ?`, node, int64(membership))
		return err
	})
}

func (t *tx) setCursors(cursors []Cursor) error {
	for _, c := range cursors {
		n, err := t.run(`UPDATE member SET acked = ?, count = ?, scanned = ? WHERE node = ? AND membership = ? AND NOT ended`,
			c.Acked, c.Count, c.Scanned, c.Node, int64(c.Membership))
		if err != nil {
			return err
		}
		if n == 0 {
			continue
		}
		if _, err := t.run(`DELETE FROM skip WHERE node = ? AND membership = ? AND upto <= ?`, c.Node, int64(c.Membership), c.Acked); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) addSkips(skips []Skip) error {
	for i := range skips {
		k := &skips[i]
		if _, err := t.run(`INSERT OR REPLACE INTO skip (node, membership, prev, upto, reason, count) VALUES (?, ?, ?, ?, ?, ?)`,
			k.Node, int64(k.Membership), k.Prev, k.To, k.Reason, k.Count); err != nil {
			return err
		}
	}
	return nil
}

// Skips returns what a member has still to be told of, in seq order. A skip goes when the member's cursor has passed it.
func (s *Store) Skips(node string, membership uint64) ([]Skip, error) {
	return list(s, "Skips", `SELECT prev, upto, reason, count FROM skip WHERE node = ? AND membership = ? ORDER BY upto`,
		[]any{node, int64(membership)}, func(scan func(...any) error, k *Skip) error {
			k.Node, k.Membership = node, membership
			return scan(&k.Prev, &k.To, &k.Reason, &k.Count)
		})
}
