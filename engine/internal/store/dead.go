package store

import (
	"fmt"
	"math"
)

// Dead is a dead letter: a message that left the queue unhandled, with its reason.
type Dead struct {
	ID       int64  // given by Commit; rising, never reused
	At       int64  // when it was set aside, unix ns
	Side     string // which side set it aside: "sender" or "receiver"
	Sender   string // node
	Run      uint64
	Seq      int64
	Channel  string
	ToNode   string // whom it was addressed to; "" for a broadcast
	Reader   string // the node that did not get it, or could not handle it
	Reason   string // a word that programs may test for
	Detail   string // for people
	Handler  string // "" if none ran
	Attempts int
	Created  int64  // the message's own time, by its sender's clock, unix ns
	Headers  []byte // as the caller encodes them
	Content  []byte
}

func (t *tx) addDead(dead []Dead) (ids []int64, err error) {
	for i := range dead {
		d := &dead[i]
		id, err := t.insert(`INSERT INTO dead (at, side, sender, run, seq, channel, to_node, reader, reason, detail, handler, attempts, created,
			headers, content) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, d.At, d.Side, d.Sender, int64(d.Run), d.Seq, d.Channel, d.ToNode,
			d.Reader, d.Reason, d.Detail, d.Handler, d.Attempts, d.Created, blob(d.Headers), blob(d.Content))
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, t.countDead(len(dead))
}

func (t *tx) removeDead(ids []int64) error {
	for _, id := range ids {
		switch n, err := t.run(`DELETE FROM dead WHERE id = ?`, id); {
		case err != nil:
			return err
		case n == 0:
			return fmt.Errorf("%w: %d", ErrNoDeadLetter, id)
		}
	}
	return t.countDead(-len(ids))
}

// countDead keeps the number of dead letters, so that nobody has to count them.
func (t *tx) countDead(change int) error {
	if change == 0 {
		return nil
	}
	_, err := t.run(`UPDATE meta SET value = value + ? WHERE key = ?`, change, metaDeadCount)
	return err
}

const deadColumns = `id, at, side, sender, run, seq, channel, to_node, reader, reason, detail, handler, attempts, created, headers`

func scanDead(scan func(...any) error, d *Dead, more ...any) error {
	var run int64
	err := scan(append([]any{&d.ID, &d.At, &d.Side, &d.Sender, &run, &d.Seq, &d.Channel, &d.ToNode, &d.Reader, &d.Reason, &d.Detail,
		&d.Handler, &d.Attempts, &d.Created, &d.Headers}, more...)...)
	d.Run = uint64(run)
	return err
}

// DeadList returns up to n dead letters with ids above after, oldest first, without their contents.
func (s *Store) DeadList(after int64, n int) ([]Dead, error) {
	return list(s, "DeadList", `SELECT `+deadColumns+` FROM dead WHERE id > ? ORDER BY id LIMIT ?`, []any{after, n},
		func(scan func(...any) error, d *Dead) error { return scanDead(scan, d) })
}

// DeadBefore returns up to n dead letters with ids below before, 0 meaning no bound, newest first, without their contents.
func (s *Store) DeadBefore(before int64, n int) ([]Dead, error) {
	if before <= 0 {
		before = math.MaxInt64
	}
	return list(s, "DeadBefore", `SELECT `+deadColumns+` FROM dead WHERE id < ? ORDER BY id DESC LIMIT ?`, []any{before, n},
		func(scan func(...any) error, d *Dead) error { return scanDead(scan, d) })
}

// DeadGet returns a dead letter with its content, or ErrNoDeadLetter.
func (s *Store) DeadGet(id int64) (Dead, error) {
	found, err := list(s, "DeadGet", `SELECT `+deadColumns+`, content FROM dead WHERE id = ?`, []any{id},
		func(scan func(...any) error, d *Dead) error { return scanDead(scan, d, &d.Content) })
	if err != nil {
		return Dead{}, err
	}
	if len(found) == 0 {
		return Dead{}, wrap("DeadGet", fmt.Errorf("%w: %d", ErrNoDeadLetter, id))
	}
	return found[0], nil
}

// DeadCount returns the number of dead letters. It does not count them.
func (s *Store) DeadCount() (n int64, err error) {
	err = s.read("DeadCount", func(q *snapshot) error {
		_, err := q.row(readMeta, []any{metaDeadCount}, &n)
		return err
	})
	return n, err
}
