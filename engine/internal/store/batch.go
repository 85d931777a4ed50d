package store

import "time"

// Batch is what one group commit stores. Its parts are independent but for their order: dead letters are removed before
// new ones are added, skips are added before cursors pass them.
type Batch struct {
	Now          time.Time
	Blocks       []Block // in seq order
	Advances     []Advance
	KV           []KVWrite // in order: of two writes to one key the later counts
	Dead         []Dead
	Attempts     []Attempt // replace what is stored for their keys
	DropAttempts []AttemptKey
	Cursors      []Cursor
	Skips        []Skip
	Events       []Event
	DeadRemove   []int64 // ids; one that is not there fails the batch (P22)
}

// Commit stores all of a batch, or nothing of it, and returns the ids of its dead letters in their order. It returns
// after the fsync.
//
// Errors: *StaleError when an advance does not start at the position; ErrNoDeadLetter when a dead letter to be removed
// is gone; trouble with the disk (IsIO, also ErrFull); others for a batch that contradicts itself or the log. After
// trouble with the disk the caller must ask NextSeq before it numbers records again.
func (s *Store) Commit(b *Batch) (deadIDs []int64, err error) {
	err = s.write("Commit", func(t *tx) error {
		deadIDs, err = s.apply(t, b)
		return err
	})
	if err != nil {
		return nil, err
	}
	return deadIDs, nil
}

func (s *Store) apply(t *tx, b *Batch) (deadIDs []int64, err error) {
	for i := range b.Advances { // first, since they are what fails without a fault of anybody's
		if err := t.advance(i, &b.Advances[i], b.Now); err != nil {
			return nil, err
		}
	}
	if err := s.appendBlocks(t, b.Blocks); err != nil {
		return nil, err
	}
	if err := t.putKV(b.KV); err != nil {
		return nil, err
	}
	if err := t.removeDead(b.DeadRemove); err != nil {
		return nil, err
	}
	if deadIDs, err = t.addDead(b.Dead); err != nil {
		return nil, err
	}
	if err := t.setAttempts(b.Attempts, b.DropAttempts); err != nil {
		return nil, err
	}
	if err := t.addSkips(b.Skips); err != nil {
		return nil, err
	}
	if err := t.setCursors(b.Cursors); err != nil {
		return nil, err
	}
	return deadIDs, t.addEvents(b.Events)
}
