// Package engine delivers messages between nodes reliably, in order and exactly once in effect, over plain NATS pub/sub.
//
// A node keeps what it sends in a log, an SQLite database of its own, until every reader has handled it. A reader keeps
// no inbox: it handles a message, and commits the handler's effects together with its position in the sender's log.
//
//	SendMessage ─► committer ─► log ─► outLink ═══ NATS ═══► inLink ─► domain ─► handler ─► committer ─► positions, kv, replies
//	                                      ▲                                                                 │
//	                                   cursors ◄═══════════════════════ acks ◄══════════════════════════════┘
//
// # Goroutines
//
// Connection.New starts, and Connection.Close waits for:
//   - the committer, the only one to write what is sent and handled: it takes whatever waits, commits it in one
//     transaction with synchronous=FULL, and answers all; nothing in memory that mirrors the disk changes before that;
//   - the loop, which owns peers, members, links and presence: everything reaches it through its mailbox;
//   - one goroutine for each ordering domain of each sender, which runs handlers one at a time;
//   - the janitor, which deletes from the log what nobody needs any more;
//   - the manager, which obeys management commands one after the other;
//   - one for Config.OnEvent.
//
// # What a crash leaves
//
// The commit is the only point where anything becomes true. Killed before it, an accepted message was never promised
// and a handled one is handled again, none of its effects having existed; killed after it, both are done. Links, windows
// and acks are volatile: at the next start the reader states its positions, and each sender goes on after them.
//
// # Promises
//
// SendMessage returns nil only after the message is fsynced. Every reader that had joined the channel when the message
// was created gets it, in the order of sending, whether or not the sender knew of it, NATS was up, or either side was
// restarted meanwhile. A transactional Handler's effects happen exactly once; an OnMessage function's happen at least once.
package engine
