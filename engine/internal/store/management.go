package store

// managementSchema is the part of the schema that management uses.
const managementSchema = `
CREATE TABLE kick ( -- who is out, and who no longer is
	node      TEXT NOT NULL,
	channel   TEXT NOT NULL,
	lifted    INTEGER NOT NULL,
	stamp     INTEGER NOT NULL,
	by_node   TEXT NOT NULL,
	key       TEXT NOT NULL,
	signature BLOB NOT NULL,
	PRIMARY KEY (node, channel)
) STRICT, WITHOUT ROWID;

CREATE TABLE doubt ( -- skips made by the cursor alone: what the reader states next may disprove them
	node       TEXT NOT NULL,
	membership INTEGER NOT NULL,
	prev       INTEGER NOT NULL,
	upto       INTEGER NOT NULL,
	PRIMARY KEY (node, membership, upto)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
	id      INTEGER PRIMARY KEY AUTOINCREMENT,
	at      INTEGER NOT NULL,
	who     TEXT NOT NULL,
	key     TEXT NOT NULL,
	action  TEXT NOT NULL,
	args    TEXT NOT NULL,
	outcome TEXT NOT NULL,
	text    TEXT NOT NULL
) STRICT;
`
