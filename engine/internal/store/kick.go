package store

// Kick is one entry of the kick list: a node is out of a channel, of all, or altogether, or no longer is.
type Kick struct {
	Node, Channel string // as the caller encodes all channels and the whole node
	Lifted        bool
	Stamp         int64
	By            string // node
	Key           string
	Signature     []byte
}

// Kicks returns the kick list.
func (s *Store) Kicks() ([]Kick, error) {
	return list(s, "Kicks", `SELECT node, channel, lifted, stamp, by_node, key, signature FROM kick ORDER BY node, channel`, nil,
		func(scan func(...any) error, k *Kick) error {
			return scan(&k.Node, &k.Channel, &k.Lifted, &k.Stamp, &k.By, &k.Key, &k.Signature)
		})
}

// PutKicks stores entries in place of those of the same node and channel, and ends this node's own memberships in the
// channels of leave, all in one transaction.
func (s *Store) PutKicks(kicks []Kick, leave []string) error {
	return s.write("PutKicks", func(t *tx) error {
		for i := range kicks {
			k := &kicks[i]
			if _, err := t.run(`INSERT OR REPLACE INTO kick (node, channel, lifted, stamp, by_node, key, signature) VALUES (?, ?, ?, ?, ?, ?, ?)`,
				k.Node, k.Channel, k.Lifted, k.Stamp, k.By, k.Key, blob(k.Signature)); err != nil {
				return err
			}
		}
		for _, channel := range leave {
			n, err := t.run(`DELETE FROM membership WHERE channel = ?`, channel)
			if err != nil {
				return err
			}
			if n > 0 {
				if err := t.raiseVersion(); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// ReviveMember stores a member that had ended, with one skip, or none if its Count is 0, in place of all that it had.
func (s *Store) ReviveMember(m Member, k Skip) error {
	return s.write("ReviveMember", func(t *tx) error {
		for _, query := range []string{
			`DELETE FROM skip WHERE node = ? AND membership = ?`,
			`DELETE FROM doubt WHERE node = ? AND membership = ?`,
		} {
			if _, err := t.run(query, m.Node, int64(m.Membership)); err != nil {
				return err
			}
		}
		if err := t.putMember(m); err != nil || k.Count == 0 {
			return err
		}
		return t.addSkips([]Skip{k})
	})
}
