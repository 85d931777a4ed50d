package store

import (
	"fmt"
	"time"
)

// Position is how far one run of a sender's log has been handled for one membership of this node (P2).
type Position struct {
	Membership uint64
	Run        uint64
	Seq        int64
}

// Segment is a step of a position within one run: from Prev, the record before it for the membership, to Seq.
type Segment struct {
	Run       uint64
	Prev, Seq int64
}

// Advance moves the position of one membership in one sender's log, if it stands at the first segment's Prev (P4).
type Advance struct {
	Sender     string
	Lineage    []Run // the sender's, as its link was opened, oldest first
	Membership uint64
	First      bool // there is no position yet, and Prev is where the sender said that this membership starts
	Segments   []Segment
}

// Resolve returns the position of a membership in a log of that lineage: the highest of the runs' positions, each taken
// only up to the next run's first seq, because what a sender's image that was lost accepted above it is not in this log.
// Runs outside the lineage do not count. ok: there is a position.
func Resolve(rows []Position, membership uint64, lineage []Run) (seq int64, ok bool) {
	for _, r := range rows {
		if r.Membership != membership {
			continue
		}
		if end, in := runEnd(lineage, r.Run); in {
			seq, ok = max(seq, min(r.Seq, end)), true
		}
	}
	return seq, ok
}

// runEnd returns the last seq that a run of the lineage can have accepted.
func runEnd(lineage []Run, run uint64) (last int64, ok bool) {
	for i := len(lineage) - 1; i >= 0; i-- {
		if lineage[i].Run != run {
			continue
		}
		if i == len(lineage)-1 {
			return 1<<63 - 1, true
		}
		return lineage[i+1].First - 1, true
	}
	return 0, false
}

// Positions returns all positions of this node in a sender's log, of all its runs.
func (s *Store) Positions(sender string) ([]Position, error) {
	return list(s, "Positions", `SELECT membership, run, seq FROM position WHERE sender = ?`, []any{sender}, scanPosition)
}

func scanPosition(scan func(...any) error, p *Position) error {
	var membership, run int64
	err := scan(&membership, &run, &p.Seq)
	p.Membership, p.Run = uint64(membership), uint64(run)
	return err
}

// advance moves one position, or fails with *StaleError. The position in the newest run, if there is one, is the position:
// one conditional update finds out and moves it. In all other cases the rows are looked at together.
func (t *tx) advance(index int, a *Advance, now time.Time) error {
	var current uint64
	if n := len(a.Lineage); n > 0 {
		current = a.Lineage[n-1].Run
	}
	for i := range a.Segments {
		seg := &a.Segments[i]
		if end, ok := runEnd(a.Lineage, seg.Run); !ok || seg.Seq > end || seg.Seq <= seg.Prev {
			return fmt.Errorf("advance %d: seq %d to %d in run %016x is outside the lineage", index, seg.Prev, seg.Seq, seg.Run)
		}
		if seg.Run == current {
			moved, err := t.run(`UPDATE position SET seq = ?, updated_at = ? WHERE sender = ? AND membership = ? AND run = ? AND seq = ?`,
				seg.Seq, now.UnixNano(), a.Sender, int64(a.Membership), int64(seg.Run), seg.Prev)
			if err != nil {
				return err
			}
			if moved == 1 {
				continue
			}
		}
		rows, err := t.positions(a.Sender, a.Membership)
		if err != nil {
			return err
		}
		at, known := Resolve(rows, a.Membership, a.Lineage)
		if at != seg.Prev && (known || !a.First) {
			return &StaleError{Index: index, Sender: a.Sender, Membership: a.Membership, Prev: seg.Prev, Position: at}
		}
		if _, err := t.run(`INSERT INTO position (sender, membership, run, seq, updated_at) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET seq = excluded.seq, updated_at = excluded.updated_at`,
			a.Sender, int64(a.Membership), int64(seg.Run), seg.Seq, now.UnixNano()); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) positions(sender string, membership uint64) (out []Position, err error) {
	err = t.rows(`SELECT membership, run, seq FROM position WHERE sender = ? AND membership = ?`, []any{sender, int64(membership)},
		func(scan func(...any) error) error {
			var p Position
			err := scanPosition(scan, &p)
			out = append(out, p)
			return err
		})
	return out, err
}
