// Package store keeps everything a node must not lose in one SQLite database. One method is one transaction: it has
// happened, for good, when the method returns nil, and has not happened when it returns an error.
//
//	log, sending side      block    packed records in rising seq order, body opaque     ◄── Commit, DeleteLog
//	                       part     per block and stream, with running totals: a count up to any seq is one look-up
//	                       stream   a channel's broadcasts, or all that is addressed to one node
//	                       run      who accepted which seqs (the lineage)               ◄── StartRun
//	                       member   readers elsewhere and their cursors                 ◄── PutMember, Commit
//	                       skip     what a reader will never get, and why
//	receiving side         membership  what this node reads                             ◄── Join, Leave
//	                       position    how far each sender's log is handled             ◄── Commit (conditional)
//	                       attempt     failed attempts at a message
//	                       kv          the handlers' key-value stores
//	both                   dead, event, meta
//	management             kick     who is out                                          ◄── PutKicks
//	                       doubt    skips that a reader may yet disprove                ◄── SetAside, Confirm
//	                       audit    commands obeyed and refused                         ◄── AddAudit, FinishAudit
//
// There is one writing connection, and a mutex gives it to one method at a time; any goroutine may call any method.
// Readers have connections of their own and see the last committed state: in WAL mode they neither wait for a commit nor
// hold one up. The store starts no goroutines but those of database/sql, which Close ends.
//
// The database runs with synchronous=FULL: a commit is fsynced before it is acknowledged, and a kill or a power cut at
// any instant leaves the state after some whole number of transactions, with every acknowledged one among them. A commit
// that failed while it was being synced has not happened for this process, yet may be found to have happened after a
// crash: the caller promised nobody anything, so either is right. The store keeps small copies of the log's end in
// memory; they change only after a commit has returned nil, and are forgotten when one fails.
//
// Random 64-bit identities are uint64 in Go and the same bits as a signed integer in SQLite. Times are unix nanoseconds.
package store
