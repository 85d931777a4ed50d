package store

import (
	"database/sql"
	"errors"
	"time"
)

// Member is a reader of one of this node's streams, with its cursor.
type Member struct {
	Node                  string
	Membership            uint64
	Channel               string // "" for what is addressed to it
	Domain                string
	JoinedAt              int64 // its clock, unix ns
	StartSeq              int64 // decided once (P23)
	Acked, Count, Scanned int64
	LastHeard             int64
	StoreID               uint64
	Ended                 bool
}

// Members returns all readers, ended ones included.
func (s *Store) Members() ([]Member, error) {
	var list []Member
	err := s.each("SELECT node, membership, channel, domain, joined_at, start_seq, acked, count, scanned, last_heard, store_id, ended FROM member", nil,
		func(scan func(...any) error) error {
			var m Member
			var id, store int64
			if err := scan(&m.Node, &id, &m.Channel, &m.Domain, &m.JoinedAt, &m.StartSeq, &m.Acked, &m.Count, &m.Scanned, &m.LastHeard, &store, &m.Ended); err != nil {
				return err
			}
			m.Membership, m.StoreID = uint64(id), uint64(store)
			list = append(list, m)
			return nil
		})
	return list, err
}

// PutMember keeps a reader.
func (s *Store) PutMember(m Member) error {
	return s.update("put_member", func(tx *transaction) error {
		_, err := tx.exec(`INSERT OR REPLACE INTO member(node, membership, channel, domain, joined_at, start_seq, acked, count, scanned, last_heard, store_id, ended)
			VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, m.Node, int64(m.Membership), m.Channel, m.Domain, m.JoinedAt, m.StartSeq, m.Acked, m.Count, m.Scanned,
			m.LastHeard, int64(m.StoreID), m.Ended)
		return err
	})
}

// EndMember notes that a membership is over.
func (s *Store) EndMember(node string, membership uint64, reason string) error {
	return s.update("end_member", func(tx *transaction) error {
		if _, err := tx.exec("DELETE FROM skip WHERE node = ? AND membership = ?", node, int64(membership)); err != nil {
			return err
		}
		_, err := tx.exec("UPDATE member SET ended = 1, reason = ? WHERE node = ? AND membership = ?", reason, node, int64(membership))
		return err
	})
}

// Skips returns what a reader will not get and has not passed yet, in order.
func (s *Store) Skips(node string, membership uint64) ([]Skip, error) {
	var list []Skip
	err := s.each("SELECT prev, seq_to, reason, count FROM skip WHERE node = ? AND membership = ? ORDER BY seq_to", []any{node, int64(membership)},
		func(scan func(...any) error) error {
			k := Skip{Node: node, Membership: membership}
			if err := scan(&k.Prev, &k.To, &k.Reason, &k.Count); err != nil {
				return err
			}
			list = append(list, k)
			return nil
		})
	return list, err
}

// Membership is a channel that this node reads.
type Membership struct {
	Channel  string
	ID       uint64 // random, of this join
	JoinedAt int64  // unix ns
	Start    uint8
	Domain   string
}

// Memberships returns what this node reads, by channel.
func (s *Store) Memberships() ([]Membership, error) {
	var list []Membership
	err := s.each("SELECT channel, id, joined_at, start, domain FROM membership ORDER BY channel", nil, func(scan func(...any) error) error {
		var m Membership
		var id int64
		if err := scan(&m.Channel, &id, &m.JoinedAt, &m.Start, &m.Domain); err != nil {
			return err
		}
		m.ID = uint64(id)
		list = append(list, m)
		return nil
	})
	return list, err
}

// Join makes this node a reader of a channel, or finds that it is one; start and domain are kept as told last.
func (s *Store) Join(channel string, start uint8, domain string, now time.Time) (m Membership, err error) {
	err = s.update("join", func(tx *transaction) error {
		m = Membership{Channel: channel, JoinedAt: now.UnixNano(), Start: start, Domain: domain}
		id := randomID()
		err := tx.row("SELECT id, joined_at FROM membership WHERE channel = ?", channel).Scan(&id, &m.JoinedAt)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		m.ID = uint64(id)
		_, err = tx.exec("INSERT OR REPLACE INTO membership(channel, id, joined_at, start, domain) VALUES(?, ?, ?, ?, ?)", channel, id, m.JoinedAt, start, domain)
		return err
	})
	return m, err
}

// Leave ends a membership for good: a later Join is a new one.
func (s *Store) Leave(channel string) error {
	return s.update("leave", func(tx *transaction) error {
		_, err := tx.exec("DELETE FROM membership WHERE channel = ?", channel)
		return err
	})
}
