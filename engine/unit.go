package engine

import (
	"fmt"

	"github.com/getevo/rmds/engine/internal/store"
	"github.com/getevo/rmds/engine/internal/wire"
)

// kvWrites are a unit's writes to one store.
type kvWrites struct {
	store  *kvStore
	writes []store.KVWrite
}

// merge adds what a handler's run has done. Messages derived too often from one another are set aside (P17).
func (u *unit) merge(c *Connection, tx *Tx, m *Message) {
	if w := tx.writes.take(); len(w) > 0 {
		u.kv = append(u.kv, kvWrites{tx.kv, w})
		for i := range w {
			u.bytes += len(w[i].Key) + len(w[i].Value)
		}
	}
	u.bytes += tx.bytes
	if tx.hops <= maxHops {
		u.records = append(u.records, tx.records...)
		return
	}
	for i := range tx.records {
		u.looped(c, &tx.records[i], m, tx.hops, tx.kv.name)
	}
}

// looped sets a record aside that was derived too often.
func (u *unit) looped(c *Connection, r *wire.Record, m *Message, hops uint8, handler string) {
	detail := fmt.Sprintf("derived from %s over %d handlers", m.ID, hops)
	u.dead = append(u.dead, store.Dead{At: c.wall().UnixNano(), Side: "sender", Sender: c.cfg.NodeID, Run: c.run, Channel: r.Channel, ToNode: r.To,
		Reason: "hop_limit", Detail: detail, Handler: handler, Created: r.Created, Headers: encodeHeaders(r.Headers), Content: r.Content})
	u.tell = append(u.tell, func() {
		c.count.dead.Add("hop_limit", 1)
		c.emit(Event{Kind: "dead_letter", Channel: r.Channel, Text: "hop_limit: " + detail})
	})
}

// stage shows the unit's writes to the runs that follow, before their commit.
func (u *unit) stage() {
	for _, w := range u.kv {
		w.store.stage(w.writes)
	}
}

// committed says that the unit is on disk.
func (u *unit) committed() {
	for _, w := range u.kv {
		w.store.committed(w.writes)
	}
	for _, f := range u.tell {
		f()
	}
}

// encodeHeaders keeps the headers of a dead letter.
func encodeHeaders(h []wire.Header) []byte {
	if len(h) == 0 {
		return nil
	}
	return wire.AppendBlock(nil, []wire.Record{{Seq: 1, Headers: h}})
}

// decodeHeaders is the reverse of encodeHeaders.
func decodeHeaders(b []byte) ([]wire.Header, error) {
	if len(b) == 0 {
		return nil, nil
	}
	recs, err := wire.DecodeBlock(b)
	if err != nil {
		return nil, fmt.Errorf("rmds: headers of a dead letter: %w", err)
	}
	return recs[0].Headers, nil
}
