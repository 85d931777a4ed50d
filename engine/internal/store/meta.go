package store

import (
	"errors"
	"fmt"
	"time"
)

// Meta says whose database it is.
type Meta struct {
	StoreID             uint64 // random, minted when the database was created
	AddressedMembership uint64 // the membership of messages addressed to this node
	NodeID              string // "" before the first SetNodeID
	Created             int64  // unix ns
}

// Meta returns what the database says of itself. It reads no disk.
func (s *Store) Meta() Meta {
	s.metaMu.Lock()
	defer s.metaMu.Unlock()
	return s.meta
}

func (s *Store) setMeta(m Meta) {
	s.metaMu.Lock()
	defer s.metaMu.Unlock()
	s.meta = m
}

func (s *Store) loadMeta() error {
	return s.reader.snapshot(func(q *snapshot) error {
		var m Meta
		var storeID, addressed int64
		for _, f := range []struct {
			key  string
			dest any
		}{
			{metaStoreID, &storeID}, {metaAddressed, &addressed}, {metaCreated, &m.Created}, {metaNodeID, &m.NodeID},
		} {
			found, err := q.row(readMeta, []any{f.key}, f.dest)
			if err != nil {
				return err
			}
			if !found && f.key != metaNodeID {
				return fmt.Errorf("%w: no %s", ErrCorrupt, f.key)
			}
		}
		m.StoreID, m.AddressedMembership = uint64(storeID), uint64(addressed)
		s.setMeta(m)
		return nil
	})
}

// SetNodeID stores the node's id the first time. It fails if the database belongs to another node.
func (s *Store) SetNodeID(id string) error {
	if id == "" {
		return errors.New("store: SetNodeID: the id is empty")
	}
	switch m := s.Meta(); m.NodeID {
	case id:
		return nil
	case "":
		return s.write("SetNodeID", func(t *tx) error {
			m.NodeID = id
			t.committed = append(t.committed, func() { s.setMeta(m) })
			_, err := t.run(`INSERT INTO meta (key, value) VALUES (?, ?)`, metaNodeID, id)
			return err
		})
	default:
		return fmt.Errorf("store: SetNodeID: the database belongs to node %q, not to %q", m.NodeID, id)
	}
}

// Run is one start of the engine: it accepted the messages from First up to the next run's First.
type Run struct {
	Run   uint64 // random
	First int64  // seq
}

// StartRun stores a new run, durable before its first message (P1), and returns all runs, oldest first, with the new one
// as the last. unclean: the run before it ended without CleanStop. Call it once after Open, before the first Commit.
//
// Runs between others that never accepted a message are forgotten, so that a node that keeps failing at its start does
// not grow its lineage. The last run before the new one stays in any case: this may be an old image of the database, and
// in the original that run went on.
func (s *Store) StartRun(run uint64, now time.Time) (lineage []Run, unclean bool, err error) {
	err = s.write("StartRun", func(t *tx) error {
		next, err := t.nextSeq()
		if err != nil {
			return err
		}
		if _, err := t.run(`DELETE FROM run WHERE first = ? AND ordinal < (SELECT max(ordinal) FROM run)`, next); err != nil {
			return err
		}
		if _, err := t.run(`INSERT INTO run (run, first, started) VALUES (?, ?, ?)`, int64(run), next, now.UnixNano()); err != nil {
			return err
		}
		var clean int
		if _, err := t.row(readMeta, []any{metaClean}, &clean); err != nil {
			return err
		}
		unclean = clean == 0
		if err := t.setMeta(metaClean, 0); err != nil {
			return err
		}
		lineage, err = t.lineage()
		return err
	})
	if err != nil {
		return nil, false, err
	}
	return lineage, unclean, nil
}

func (t *tx) lineage() (out []Run, err error) {
	err = t.rows(`SELECT run, first FROM run ORDER BY ordinal`, nil, func(scan func(...any) error) error {
		var id, first int64
		err := scan(&id, &first)
		out = append(out, Run{uint64(id), first})
		return err
	})
	return out, err
}

func (t *tx) setMeta(key string, value int64) error {
	_, err := t.run(`UPDATE meta SET value = ? WHERE key = ?`, value, key)
	return err
}

// CleanStop notes that the run has ended in order. Call it last, before Close.
func (s *Store) CleanStop() error {
	return s.write("CleanStop", func(t *tx) error { return t.setMeta(metaClean, 1) })
}
