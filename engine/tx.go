package engine

import (
	"fmt"
	"slices"

	"github.com/getevo/rmds/engine/internal/store"
	"github.com/getevo/rmds/engine/internal/wire"
)

// Tx is what a transactional handler may do: read and write its key-value store, reply, and send on. Nothing of it exists
// before the handler has returned nil and the commit that carries it has returned. A Tx is used by one goroutine.
type Tx struct {
	conn    *Connection
	kv      *kvStore
	sends   []string // channels that Send may use; nil allows all that the node writes
	msg     *wire.Record
	run     uint64
	from    string
	writes  writeSet
	records []wire.Record
	bytes   int
	hops    uint8
	now     int64
}

// Get returns a copy of the value of key, with this run's own writes, and whether there is one.
func (tx *Tx) Get(key string) ([]byte, bool, error) {
	if w := tx.writes.find(key); w != nil {
		return slices.Clone(w.Value), !w.Delete, nil
	}
	v, ok, err := tx.kv.get(key)
	return slices.Clone(v), ok, err
}

// Set stores a value. Keys are 1 to 1024 bytes, values at most 1 MiB.
func (tx *Tx) Set(key string, value []byte) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if len(value) > 1<<20 {
		return fmt.Errorf("%w: value of key %q has %d bytes, at most 1 MiB", ErrMessageTooLarge, key, len(value))
	}
	tx.writes.put(store.KVWrite{Store: tx.kv.name, Key: key, Value: slices.Clone(value)})
	return nil
}

// Delete removes a key; deleting what is not there is no error.
func (tx *Tx) Delete(key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	tx.writes.put(store.KVWrite{Store: tx.kv.name, Key: key, Delete: true})
	return nil
}

func checkKey(key string) error {
	if key == "" || len(key) > 1024 {
		return fmt.Errorf("%w: key of %d bytes: use 1 to 1024", ErrBadName, len(key))
	}
	return nil
}

// Next returns the first key after the given one in byte order, "" asking for the first of all.
func (tx *Tx) Next(key string) (string, bool, error) {
	for {
		k, ok, err := tx.kv.next(key)
		if err != nil {
			return "", false, err
		}
		for i := range tx.writes.list {
			if w := &tx.writes.list[i]; !w.Delete && w.Key > key && (!ok || w.Key < k) {
				k, ok = w.Key, true
			}
		}
		if w := tx.writes.find(k); !ok || w == nil || !w.Delete {
			return k, ok, nil
		}
		key = k
	}
}

// Reply sends content to the sender of the message, on the message's channel. A tick has none.
func (tx *Tx) Reply(content []byte, headers ...Header) error {
	if tx.msg.Channel == "" {
		return fmt.Errorf("%w: nobody has sent a tick", ErrNotPermitted)
	}
	id := MessageID{tx.run, tx.msg.Seq}.String()
	return tx.add(wire.Record{Channel: tx.msg.Channel, To: tx.from}, content, append([]Header{{headInReplyTo, id}}, headers...))
}

// Send sends content on another channel. The node must have joined it as a writer, and the handler's Sends must allow it.
func (tx *Tx) Send(channel string, content []byte, headers ...Header) error {
	if tx.sends != nil && !slices.Contains(tx.sends, channel) {
		return fmt.Errorf("%w: handler %s may not send on channel %s: add it to the handler's send list", ErrNotPermitted, tx.kv.name, channel)
	}
	if ch := tx.conn.channel(channel); ch == nil || !ch.role.writes() {
		return fmt.Errorf("%w: channel %s: join it as a writer", ErrNotWriter, channel)
	}
	if tx.conn.kicks.denies(tx.conn.cfg.NodeID, channel) {
		return fmt.Errorf("%w: this node may not send on channel %s", ErrKicked, channel)
	}
	return tx.add(wire.Record{Channel: channel}, content, headers)
}

func (tx *Tx) add(r wire.Record, content []byte, headers []Header) error {
	r.Created, r.TTL, r.Hops = tx.now, int64(tx.conn.expiry(r.Channel)), tx.hops
	r.Content = slices.Clone(content)
	for _, h := range headers {
		r.Headers = append(r.Headers, wire.Header{Key: h.Key, Value: h.Value})
	}
	size := recordSize(&r)
	if int64(size) > tx.conn.cfg.MaxMessageBytes {
		return fmt.Errorf("%w: %d bytes, at most %d (MaxMessageBytes)", ErrMessageTooLarge, size, tx.conn.cfg.MaxMessageBytes)
	}
	tx.records = append(tx.records, r)
	tx.bytes += size
	return nil
}
