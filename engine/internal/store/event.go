package store

// Event is something that an operator may want to know later.
type Event struct {
	ID      int64 // given by Commit, rising
	At      int64 // unix ns
	Kind    string
	Node    string
	Channel string
	Text    string
}

// maxEvents is how many events are kept, the newest.
const maxEvents = 10_000

func (t *tx) addEvents(events []Event) error {
	var id int64
	for i := range events {
		e := &events[i]
		var err error
		if id, err = t.insert(`INSERT INTO event (at, kind, node, channel, text) VALUES (?, ?, ?, ?, ?)`, e.At, e.Kind, e.Node, e.Channel, e.Text); err != nil {
			return err
		}
	}
	if id <= maxEvents {
		return nil
	}
	_, err := t.run(`DELETE FROM event WHERE id <= ?`, id-maxEvents)
	return err
}

// Events returns up to n events with ids above after, oldest first.
func (s *Store) Events(after int64, n int) ([]Event, error) {
	return list(s, "Events", `SELECT id, at, kind, node, channel, text FROM event WHERE id > ? ORDER BY id LIMIT ?`, []any{after, n},
		func(scan func(...any) error, e *Event) error {
			return scan(&e.ID, &e.At, &e.Kind, &e.Node, &e.Channel, &e.Text)
		})
}
