package store

import "fmt"

// Commit writes a batch in one transaction and returns the ids of its dead letters. It is durable when the error is nil.
// *StaleError: an advance does not fit, and nothing was written. IsIO tells trouble with the disk from all else.
func (s *Store) Commit(b *Batch) (deadIDs []int64, err error) {
	hi := s.hi
	err = s.update("commit", func(tx *transaction) error {
		steps := []func(*Batch) error{tx.appendBlocks, tx.advance, tx.writeKV, tx.writeAttempts, tx.moveCursors, tx.writeSkips, tx.writeEvents}
		for _, step := range steps {
			if err := step(b); err != nil {
				return err
			}
		}
		deadIDs, err = tx.writeDead(b)
		return err
	})
	if err != nil {
		s.mu.Lock()
		s.hi = hi
		clear(s.ids) // some may have been given in the transaction that is gone
		s.mu.Unlock()
		return nil, err
	}
	return deadIDs, nil
}

func (t *transaction) appendBlocks(b *Batch) error {
	for i := range b.Blocks {
		bl := &b.Blocks[i]
		t.s.hi = max(t.s.hi, bl.CreatedHi)
		if _, err := t.exec("INSERT INTO log(first, last, count, created_hi, enc, raw_len, body) VALUES(?, ?, ?, ?, ?, ?, ?)",
			bl.First, bl.Last, bl.Count, t.s.hi, bl.Enc, bl.RawLen, bl.Body); err != nil {
			return fmt.Errorf("append to the log: %w", err)
		}
		for j := range bl.Streams {
			if err := t.appendPart(bl.Last, &bl.Streams[j]); err != nil {
				return err
			}
		}
	}
	if n := len(b.Blocks); n > 0 {
		_, err := t.exec("UPDATE meta SET value = ? WHERE key = 'next_seq'", b.Blocks[n-1].Last+1)
		return err
	}
	return nil
}

func (t *transaction) appendPart(blockLast int64, p *StreamPart) error {
	id, err := t.streamID(streamKey{p.Channel, p.To})
	if err != nil {
		return err
	}
	if _, err := t.exec("UPDATE stream SET count = count + ?, bytes = bytes + ?, last_seq = ? WHERE id = ?", p.Count, p.Bytes, p.Last, id); err != nil {
		return err
	}
	_, err = t.exec("INSERT INTO part(stream, block_last, total) SELECT id, ?, count FROM stream WHERE id = ?", blockLast, id)
	return err
}

// streamID returns the id of a stream, which is made when it is new.
func (t *transaction) streamID(k streamKey) (int64, error) {
	if id, ok := t.s.ids[k]; ok {
		return id, nil
	}
	if _, err := t.exec("INSERT INTO stream(channel, node, count, bytes, last_seq) VALUES(?, ?, 0, 0, 0) ON CONFLICT DO NOTHING", k.channel, k.to); err != nil {
		return 0, err
	}
	var id int64
	if err := t.row("SELECT id FROM stream WHERE channel = ? AND node = ?", k.channel, k.to).Scan(&id); err != nil {
		return 0, err
	}
	t.s.ids[k] = id
	return id, nil
}

// writeKV writes the last value of each key.
func (t *transaction) writeKV(b *Batch) error {
	type key struct{ store, key string }
	last := make(map[key]int, len(b.KV))
	for i := range b.KV {
		last[key{b.KV[i].Store, b.KV[i].Key}] = i
	}
	for i := range b.KV {
		w := &b.KV[i]
		if last[key{w.Store, w.Key}] != i {
			continue
		}
		var err error
		if w.Delete {
			_, err = t.exec("DELETE FROM kv WHERE store = ? AND key = ?", w.Store, []byte(w.Key))
		} else {
			_, err = t.exec("INSERT INTO kv(store, key, value) VALUES(?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
				w.Store, []byte(w.Key), notNil(w.Value))
		}
		if err != nil {
			return fmt.Errorf("write key %q of %s: %w", w.Key, w.Store, err)
		}
	}
	return nil
}

// notNil makes an empty blob of nothing, which would be NULL.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func (t *transaction) writeAttempts(b *Batch) error {
	for i := range b.Attempts {
		a := &b.Attempts[i]
		if _, err := t.exec(`INSERT INTO attempt(sender, run, seq, membership, count, next_at, last_error) VALUES(?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET count = excluded.count, next_at = excluded.next_at, last_error = excluded.last_error`,
			a.Sender, int64(a.Run), a.Seq, int64(a.Membership), a.Count, a.NextAt, a.LastError); err != nil {
			return err
		}
	}
	for i := range b.DropAttempts {
		a := &b.DropAttempts[i]
		if _, err := t.exec("DELETE FROM attempt WHERE sender = ? AND run = ? AND seq = ? AND membership = ?",
			a.Sender, int64(a.Run), a.Seq, int64(a.Membership)); err != nil {
			return err
		}
	}
	return nil
}

func (t *transaction) moveCursors(b *Batch) error {
	for i := range b.Cursors {
		c := &b.Cursors[i]
		if err := t.moveCursor(c); err != nil {
			return err
		}
	}
	return nil
}

// moveCursor keeps a cursor, and drops the skips that it has passed.
func (t *transaction) moveCursor(c *Cursor) error {
	if _, err := t.exec("UPDATE member SET acked = ?, count = ?, scanned = ? WHERE node = ? AND membership = ?",
		c.Acked, c.Count, c.Scanned, c.Node, int64(c.Membership)); err != nil {
		return err
	}
	_, err := t.exec("DELETE FROM skip WHERE node = ? AND membership = ? AND seq_to <= ?", c.Node, int64(c.Membership), c.Acked)
	return err
}

func (t *transaction) writeSkips(b *Batch) error {
	for i := range b.Skips {
		k := &b.Skips[i]
		if _, err := t.exec("INSERT OR REPLACE INTO skip(node, membership, prev, seq_to, reason, count) VALUES(?, ?, ?, ?, ?, ?)",
			k.Node, int64(k.Membership), k.Prev, k.To, k.Reason, k.Count); err != nil {
			return err
		}
	}
	return nil
}

func (t *transaction) writeEvents(b *Batch) error {
	for i := range b.Events {
		e := &b.Events[i]
		if _, err := t.exec("INSERT INTO event(at, kind, node, channel, text) VALUES(?, ?, ?, ?, ?)", e.At, e.Kind, e.Node, e.Channel, e.Text); err != nil {
			return err
		}
	}
	return nil
}

func (t *transaction) writeDead(b *Batch) (ids []int64, err error) {
	for i := range b.Dead {
		d := &b.Dead[i]
		res, err := t.exec(`INSERT INTO dead(at, side, sender, run, seq, channel, to_node, reader, reason, detail, handler, attempts, created, headers, content)
			VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, d.At, d.Side, d.Sender, int64(d.Run), d.Seq, d.Channel, d.ToNode, d.Reader, d.Reason,
			d.Detail, d.Handler, d.Attempts, d.Created, d.Headers, d.Content)
		if err != nil {
			return nil, err
		}
		id, err := res.LastInsertId()
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	for _, id := range b.DeadRemove {
		res, err := t.exec("DELETE FROM dead WHERE id = ?", id)
		if err != nil {
			return nil, err
		}
		if n, err := res.RowsAffected(); err != nil || n != 1 {
			return nil, fmt.Errorf("dead letter %d is not there any more", id)
		}
	}
	return ids, nil
}
