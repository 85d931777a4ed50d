package store

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"fmt"
	"time"
)

// schemaVersion is PRAGMA user_version of what this program writes.
const schemaVersion = 1

const schema = `
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER, text TEXT) WITHOUT ROWID;
CREATE TABLE run (first INTEGER NOT NULL, run INTEGER NOT NULL UNIQUE, started INTEGER NOT NULL, ord INTEGER PRIMARY KEY AUTOINCREMENT);
CREATE TABLE log (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, count INTEGER NOT NULL, created_hi INTEGER NOT NULL,
	enc INTEGER NOT NULL, raw_len INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE stream (id INTEGER PRIMARY KEY, channel TEXT NOT NULL, node TEXT NOT NULL, count INTEGER NOT NULL, bytes INTEGER NOT NULL,
	last_seq INTEGER NOT NULL, deleted_seq INTEGER NOT NULL DEFAULT 0, deleted_count INTEGER NOT NULL DEFAULT 0, UNIQUE (channel, node));
CREATE TABLE part (stream INTEGER NOT NULL, block_last INTEGER NOT NULL, total INTEGER NOT NULL, PRIMARY KEY (stream, block_last)) WITHOUT ROWID;
CREATE TABLE member (node TEXT NOT NULL, membership INTEGER NOT NULL, channel TEXT NOT NULL, domain TEXT NOT NULL, joined_at INTEGER NOT NULL,
	start_seq INTEGER NOT NULL, acked INTEGER NOT NULL, count INTEGER NOT NULL, scanned INTEGER NOT NULL, last_heard INTEGER NOT NULL,
	store_id INTEGER NOT NULL, ended INTEGER NOT NULL DEFAULT 0, reason TEXT NOT NULL DEFAULT '', PRIMARY KEY (node, membership)) WITHOUT ROWID;
CREATE TABLE skip (node TEXT NOT NULL, membership INTEGER NOT NULL, prev INTEGER NOT NULL, seq_to INTEGER NOT NULL, reason TEXT NOT NULL,
	count INTEGER NOT NULL, PRIMARY KEY (node, membership, seq_to)) WITHOUT ROWID;
CREATE TABLE membership (channel TEXT PRIMARY KEY, id INTEGER NOT NULL, joined_at INTEGER NOT NULL, start INTEGER NOT NULL, domain TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE position (sender TEXT NOT NULL, membership INTEGER NOT NULL, run INTEGER NOT NULL, seq INTEGER NOT NULL, updated_at INTEGER NOT NULL,
	PRIMARY KEY (sender, membership, run)) WITHOUT ROWID;
CREATE TABLE kv (store TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (store, key)) WITHOUT ROWID;
CREATE TABLE dead (id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, side TEXT NOT NULL, sender TEXT NOT NULL, run INTEGER NOT NULL,
	seq INTEGER NOT NULL, channel TEXT NOT NULL, to_node TEXT NOT NULL, reader TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL,
	handler TEXT NOT NULL, attempts INTEGER NOT NULL, created INTEGER NOT NULL, headers BLOB, content BLOB);
CREATE TABLE attempt (sender TEXT NOT NULL, run INTEGER NOT NULL, seq INTEGER NOT NULL, membership INTEGER NOT NULL, count INTEGER NOT NULL,
	next_at INTEGER NOT NULL, last_error TEXT NOT NULL, PRIMARY KEY (sender, run, seq, membership)) WITHOUT ROWID;
CREATE TABLE event (id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, kind TEXT NOT NULL, node TEXT NOT NULL, channel TEXT NOT NULL, text TEXT NOT NULL);
`

// migrate creates the tables of a new database, and refuses one that a newer program wrote.
func (s *Store) migrate(ctx context.Context) error {
	var version int
	if err := s.conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return classify(err)
	}
	switch {
	case version == schemaVersion:
		return nil
	case version > schemaVersion:
		return fmt.Errorf("%w: schema %d, this program knows %d: use the newer program", ErrNewerSchema, version, schemaVersion)
	}
	var tables int
	if err := s.conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_master").Scan(&tables); err != nil {
		return classify(err)
	}
	if tables > 0 {
		return fmt.Errorf("%w: it is a database of another program", ErrCorrupt)
	}
	return s.update("create", func(tx *transaction) error {
		if _, err := tx.tx.ExecContext(ctx, schema); err != nil {
			return err
		}
		if _, err := tx.exec("INSERT INTO meta(key, value) VALUES('store_id', ?), ('addressed', ?), ('created', ?), ('next_seq', 1), ('clean', 1), ('version', 1)",
			randomID(), randomID(), time.Now().UnixNano()); err != nil {
			return err
		}
		_, err := tx.tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", schemaVersion))
		return err
	})
}

// randomID returns a random number other than 0. The database keeps it as the signed number of the same bits.
func randomID() int64 {
	var b [8]byte
	for {
		crand.Read(b[:]) // never fails: crypto/rand ends the program instead
		if id := int64(binary.LittleEndian.Uint64(b[:])); id != 0 {
			return id
		}
	}
}
