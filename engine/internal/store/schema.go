package store

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"time"
)

const (
	applicationID = 0x524d4453 // "RMDS"
	schemaVersion = 1
)

// schema is version 1. WITHOUT ROWID where a row is small and found by its key. Bodies come last in their rows, so that
// reading the other columns leaves their overflow pages alone.
const schema = `
CREATE TABLE meta (
	key   TEXT PRIMARY KEY,
	value ANY NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE run (
	ordinal INTEGER PRIMARY KEY AUTOINCREMENT,
	run     INTEGER NOT NULL UNIQUE,
	first   INTEGER NOT NULL, -- seq of the first message it may have accepted
	started INTEGER NOT NULL
) STRICT;

CREATE TABLE block (
	last       INTEGER PRIMARY KEY, -- seq
	first      INTEGER NOT NULL,    -- seq
	count      INTEGER NOT NULL,
	created_hi INTEGER NOT NULL,    -- newest creation time in this block and all before it
	enc        INTEGER NOT NULL,
	raw_len    INTEGER NOT NULL,
	body       BLOB NOT NULL
) STRICT;

CREATE TABLE stream (
	id            INTEGER PRIMARY KEY,
	channel       TEXT NOT NULL,
	node          TEXT NOT NULL, -- '' for a channel's broadcasts
	deleted_seq   INTEGER NOT NULL DEFAULT 0,
	deleted_count INTEGER NOT NULL DEFAULT 0,
	deleted_bytes INTEGER NOT NULL DEFAULT 0,
	UNIQUE (channel, node)
) STRICT;

CREATE TABLE part ( -- a stream's records in one block
	stream   INTEGER NOT NULL,
	block    INTEGER NOT NULL, -- block.last
	first    INTEGER NOT NULL, -- seq of the stream's first and last record in the block
	last     INTEGER NOT NULL,
	count_hi INTEGER NOT NULL, -- the stream's records in this block and all before it, deleted ones included
	bytes_hi INTEGER NOT NULL,
	PRIMARY KEY (stream, block)
) STRICT, WITHOUT ROWID;

CREATE TABLE position (
	sender     TEXT NOT NULL,
	membership INTEGER NOT NULL,
	run        INTEGER NOT NULL,
	seq        INTEGER NOT NULL,
	updated_at INTEGER NOT NULL,
	PRIMARY KEY (sender, membership, run)
) STRICT, WITHOUT ROWID;

CREATE TABLE member (
	node         TEXT NOT NULL,
	membership   INTEGER NOT NULL,
	channel      TEXT NOT NULL,
	domain       TEXT NOT NULL,
	joined_at    INTEGER NOT NULL,
	start_seq    INTEGER NOT NULL,
	acked        INTEGER NOT NULL,
	count        INTEGER NOT NULL,
	scanned      INTEGER NOT NULL,
	silence   INTEGER NOT NULL,
	store_id     INTEGER NOT NULL,
	ended        INTEGER NOT NULL,
	ended_reason TEXT NOT NULL,
	PRIMARY KEY (node, membership)
) STRICT, WITHOUT ROWID;

CREATE TABLE skip (
	node       TEXT NOT NULL,
	membership INTEGER NOT NULL,
	prev       INTEGER NOT NULL,
	upto       INTEGER NOT NULL,
	reason     TEXT NOT NULL,
	count      INTEGER NOT NULL,
	PRIMARY KEY (node, membership, upto)
) STRICT, WITHOUT ROWID;

CREATE TABLE membership (
	channel   TEXT PRIMARY KEY,
	id        INTEGER NOT NULL,
	joined_at INTEGER NOT NULL,
	start     INTEGER NOT NULL,
	domain    TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE kv ( -- keys are blobs: any bytes, in byte order
	store TEXT NOT NULL,
	key   BLOB NOT NULL,
	value BLOB NOT NULL,
	PRIMARY KEY (store, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempt (
	sender     TEXT NOT NULL,
	run        INTEGER NOT NULL,
	seq        INTEGER NOT NULL,
	membership INTEGER NOT NULL,
	count      INTEGER NOT NULL,
	next_at    INTEGER NOT NULL,
	last_error TEXT NOT NULL,
	PRIMARY KEY (sender, run, seq, membership)
) STRICT, WITHOUT ROWID;

CREATE TABLE dead (
	id       INTEGER PRIMARY KEY AUTOINCREMENT, -- never reused: a requeue asked twice must not hit another
	at       INTEGER NOT NULL,
	side     TEXT NOT NULL,
	sender   TEXT NOT NULL,
	run      INTEGER NOT NULL,
	seq      INTEGER NOT NULL,
	channel  TEXT NOT NULL,
	to_node  TEXT NOT NULL,
	reader   TEXT NOT NULL,
	reason   TEXT NOT NULL,
	detail   TEXT NOT NULL,
	handler  TEXT NOT NULL,
	attempts INTEGER NOT NULL,
	created  INTEGER NOT NULL,
	headers  BLOB NOT NULL,
	content  BLOB NOT NULL
) STRICT;

CREATE TABLE event (
	id      INTEGER PRIMARY KEY AUTOINCREMENT,
	at      INTEGER NOT NULL,
	kind    TEXT NOT NULL,
	node    TEXT NOT NULL,
	channel TEXT NOT NULL,
	text    TEXT NOT NULL
) STRICT;
`

// Rows of meta. Those that hold numbers are integers.
const (
	metaStoreID   = "store_id"
	metaAddressed = "addressed_membership"
	metaNodeID    = "node_id" // absent until SetNodeID
	metaCreated   = "created"
	metaSeqFloor  = "seq_floor"          // the least seq that may come next; counts once the newest blocks are deleted
	metaVersion   = "membership_version" // rises with every Join and Leave that changes something
	metaClean     = "clean"              // 1 after CleanStop, 0 during a run
	metaDeadCount = "dead_count"         // rows of dead
)

// create fills an empty database.
func create(t *tx) error {
	if _, err := t.exec(schema + managementSchema); err != nil {
		return err
	}
	for _, m := range []struct {
		key   string
		value int64
	}{
		{metaStoreID, int64(randomID())},
		{metaAddressed, int64(randomID())},
		{metaCreated, time.Now().UnixNano()},
		{metaSeqFloor, 1},
		{metaVersion, 1},
		{metaClean, 1},
		{metaDeadCount, 0},
	} {
		if _, err := t.exec(`INSERT INTO meta (key, value) VALUES (?, ?)`, m.key, m.value); err != nil {
			return err
		}
	}
	_, err := t.exec(fmt.Sprintf(`PRAGMA application_id = %d; PRAGMA user_version = %d`, applicationID, schemaVersion))
	return err
}

// randomID returns a random identity, never 0.
func randomID() uint64 {
	var b [8]byte
	for {
		_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
		if id := binary.LittleEndian.Uint64(b[:]); id != 0 {
			return id
		}
	}
}
