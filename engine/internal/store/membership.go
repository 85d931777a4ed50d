package store

import "time"

// Membership is a channel that this node reads.
type Membership struct {
	Channel  string
	ID       uint64 // random, minted at the join
	JoinedAt int64  // unix ns
	Start    uint8  // from where, as the caller numbers it
	Domain   string // ordering domain, as the caller names it
}

const readMembership = `SELECT channel, id, joined_at, start, domain FROM membership`

func scanMembership(scan func(...any) error, m *Membership) error {
	var id int64
	err := scan(&m.Channel, &id, &m.JoinedAt, &m.Start, &m.Domain)
	m.ID = uint64(id)
	return err
}

// Memberships returns the channels that this node reads, by name.
func (s *Store) Memberships() ([]Membership, error) {
	return list(s, "Memberships", readMembership+` ORDER BY channel`, nil, scanMembership)
}

// Join makes this node a reader of the channel, with a new id. One that it is already keeps its id and time, and takes the
// new start and domain. If neither changes, nothing is written.
func (s *Store) Join(channel string, start uint8, domain string, now time.Time) (m Membership, err error) {
	err = s.write("Join", func(t *tx) error {
		scan := func(dest ...any) error {
			_, err := t.row(readMembership+` WHERE channel = ?`, []any{channel}, dest...)
			return err
		}
		if err := scanMembership(scan, &m); err != nil {
			return err
		}
		switch {
		case m.ID == 0:
			m = Membership{Channel: channel, ID: randomID(), JoinedAt: now.UnixNano()}
		case m.Start == start && m.Domain == domain:
			return nil
		}
		m.Start, m.Domain = start, domain
		if _, err := t.run(`INSERT OR REPLACE INTO membership (channel, id, joined_at, start, domain) VALUES (?, ?, ?, ?, ?)`,
			m.Channel, int64(m.ID), m.JoinedAt, m.Start, m.Domain); err != nil {
			return err
		}
		return t.raiseVersion()
	})
	if err != nil {
		return Membership{}, err
	}
	return m, nil
}

// Leave ends the membership of the channel, if there is one: a later Join is a new one.
func (s *Store) Leave(channel string) error {
	return s.write("Leave", func(t *tx) error {
		n, err := t.run(`DELETE FROM membership WHERE channel = ?`, channel)
		if err != nil || n == 0 {
			return err
		}
		return t.raiseVersion()
	})
}

func (t *tx) raiseVersion() error {
	_, err := t.run(`UPDATE meta SET value = value + 1 WHERE key = ?`, metaVersion)
	return err
}

// Version returns the number of the memberships' state. It rises with every Join and Leave that changes something.
func (s *Store) Version() (version uint64, err error) {
	err = s.read("Version", func(q *snapshot) error {
		_, err := q.row(readMeta, []any{metaVersion}, &version)
		return err
	})
	return version, err
}
