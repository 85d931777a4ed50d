package store

import (
	"database/sql"
	"errors"
	"time"
)

// Position is how far this node has handled one run of a sender, for one membership.
type Position struct {
	Membership uint64
	Run        uint64
	Seq        int64
}

// Resolve returns a membership's position in the log of a sender that states this lineage: the farthest that any of its
// runs has come, each counting only up to where the next run begins. Runs that are not in the lineage do not count.
func Resolve(rows []Position, membership uint64, lineage []Run) (seq int64, ok bool) {
	for i, r := range lineage {
		for _, p := range rows {
			if p.Membership != membership || p.Run != r.Run {
				continue
			}
			at := p.Seq
			if i+1 < len(lineage) {
				at = min(at, lineage[i+1].First-1)
			}
			seq, ok = max(seq, at), true
		}
	}
	return seq, ok
}

// Positions returns all positions in a sender's logs.
func (s *Store) Positions(sender string) ([]Position, error) {
	var list []Position
	err := s.each("SELECT membership, run, seq FROM position WHERE sender = ?", []any{sender}, func(scan func(...any) error) error {
		var m, r, seq int64
		if err := scan(&m, &r, &seq); err != nil {
			return err
		}
		list = append(list, Position{uint64(m), uint64(r), seq})
		return nil
	})
	return list, err
}

// advance moves positions, each only from where the batch says that it is (P4).
func (t *transaction) advance(b *Batch) error {
	for i := range b.Advances {
		a := &b.Advances[i]
		for j := range a.Segments {
			fits, err := t.advanceSegment(a, &a.Segments[j], a.First && j == 0, b.Now)
			if err != nil {
				return err
			}
			if !fits {
				return &StaleError{i}
			}
		}
	}
	return nil
}

func (t *transaction) advanceSegment(a *Advance, g *Segment, first bool, now time.Time) (fits bool, err error) {
	res, err := t.exec("UPDATE position SET seq = ?, updated_at = ? WHERE sender = ? AND membership = ? AND run = ? AND seq = ?",
		g.Seq, now.UnixNano(), a.Sender, int64(a.Membership), int64(g.Run), g.Prev)
	if err != nil {
		return false, err
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return n == 1, err
	}
	rows, err := t.positions(a)
	if err != nil {
		return false, err
	}
	at, known := Resolve(rows, a.Membership, a.Lineage)
	if known && at != g.Prev || !known && !first {
		return false, nil
	}
	_, err = t.exec(`INSERT INTO position(sender, membership, run, seq, updated_at) VALUES(?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET seq = excluded.seq, updated_at = excluded.updated_at`, a.Sender, int64(a.Membership), int64(g.Run), g.Seq, now.UnixNano())
	return err == nil, err
}

// positions reads the rows of the advance's runs inside the transaction.
func (t *transaction) positions(a *Advance) ([]Position, error) {
	var rows []Position
	for _, r := range a.Lineage {
		var seq int64
		err := t.row("SELECT seq FROM position WHERE sender = ? AND membership = ? AND run = ?", a.Sender, int64(a.Membership), int64(r.Run)).Scan(&seq)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return nil, err
		}
		rows = append(rows, Position{a.Membership, r.Run, seq})
	}
	return rows, nil
}
