// Package engine delivers messages between nodes reliably, in order and exactly once in effect, over plain NATS pub/sub,
// without JetStream, through outages of days.
//
// A node is a program, or a part of one, with a name and an SQLite database of its own. It joins channels as a reader, a
// writer or both:
//
//	config := engine.DefaultConfig()
//	config.NodeID = "till-7"
//	node, err := engine.New(config) // does not wait for NATS
//	...
//	defer node.Close()
//	sales := node.Join("sales", engine.WriteOnly)
//	err = sales.SendMessage(sale) // nil: it is on this node's disk, and every reader will get it
//
// # Sending
//
// [Channel.SendMessage] stores a message and returns; delivery is the node's business from then on. [Channel.Send] adds a
// context and the message's id. [Channel.SendAsync] returns at once: many sends that are waited for together share one
// commit, which is how to send tens of thousands a second. [Timeout] limits how long a message is worth delivering, [To]
// addresses it to one node, [WithHeader] adds to it.
//
// A send that fails says why, with an error that [errors.Is] finds: [ErrQueueFull] when a reader's queue has reached
// Config.MaxMessagesPerReceiver, [ErrStorage] when the disk fails, and the others below. Nothing that was refused is
// delivered, with one exception: after ErrStorage from a failed fsync nobody can know.
//
// # Receiving
//
// There are three ways, from the simplest to the strictest:
//
//   - [Channel.Request] sends a message and waits for the reply to it.
//   - [Channel.OnMessage] calls a function, which answers with [Message.Ack], [Message.Nak] or [Message.Reject]. What the
//     function does happens at least once: after a crash between the deed and the Ack the message comes again.
//   - [Channel.Handle] calls transactional handlers. What a [Handler] does through its [Tx], which is writes to a key-value
//     store, replies and sends on other channels, is committed together with the acknowledgement: it happens exactly once.
//
// The messages of one sender are handled one at a time, in the order of sending, across channels; [WithOrdering] takes a
// channel out of that order. Messages of different senders are handled at the same time. A channel with no handler yet
// loses nothing: its senders wait until OnMessage or Handle is called.
//
// An attempt that fails, by an error, a panic, a Nak or no answer within Config.ACKTimeout, is repeated after a pause that
// grows up to Config.DeliveryRetryInterval. After Config.MaxRetryAttempts the message is set aside and the next one comes.
// Only a handler that ran and failed counts as an attempt; an outage never does.
//
// # What is promised
//
//   - Durable accept. A send returns nil only after the message is fsynced on the sending node.
//   - Delivery. Every reader that had joined the channel when the message was created gets it, whether or not the sender
//     knew of it, NATS was up, or either side was restarted meanwhile.
//   - Order, as above, from the moment that the sender knows the reader.
//   - Once. A transactional handler's effects happen exactly once, through kill -9 at any instant on either side.
//   - End-to-end acknowledgement. A message counts as delivered when its reader's handler has acknowledged it, and that is
//     on the reader's disk.
//   - Nothing vanishes silently. What leaves a queue undelivered (its TTL, a rejection, attempts used up, a purge, a kick, a
//     reader given up after Config.ReaderExpiry) is kept as a dead letter with the reason: see [Connection.DeadLetters].
//     The reader is told of the gap.
//
// What cannot be promised: that a disk keeps what it has said it wrote.
//
// # Joining and leaving
//
// Being a reader is durable. It begins with the first [Connection.Join], and what is sent from then on is kept for the
// reader, whether or not its program runs, until [Channel.Unsubscribe] ends it. [Connection.Unsubscribe], which is
// [Connection.Close], only ends the program. A reader that joins later gets, by its choice of [WithStart], what was sent since
// its join, everything that its senders still keep (see Config.DeliveredMessageRetention), or only what is new.
// A node does not receive its own messages.
//
// # Watching and commanding
//
// [Connection.Status] is a snapshot with counters; [Config].OnEvent hears of what an operator should know. [Mgmt] shows the
// network, kicks nodes and purges queues, here and elsewhere, and keeps an audit of the commands that were obeyed or refused.
//
// # Who may do what
//
// A node is who its NATS subjects say it is, so give every node credentials that permit it to publish under its own name
// alone; docs/seed.md names the test that shows such permissions. [AllowReaders] and [AllowWriters] narrow a channel further,
// Config.Operators says whose management commands are obeyed. Payloads are not encrypted beyond NATS's own TLS.
//
// # Inside
//
// A node keeps what it sends in a log until every reader has handled it. A reader keeps no inbox: it handles a message, and
// commits the handler's effects together with its position in the sender's log.
//
//	SendMessage ─► committer ─► log ─► outLink ═══ NATS ═══► inLink ─► domain ─► handler ─► committer ─► positions, kv, replies
//	                                      ▲                                                                 │
//	                                   cursors ◄═══════════════════════ acks ◄══════════════════════════════┘
//
// New starts, and Connection.Close waits for:
//   - the committer, the only one to write what is sent and handled: it takes whatever waits, commits it in one
//     transaction with synchronous=FULL, and answers all; nothing in memory that mirrors the disk changes before that;
//   - the loop, which owns peers, members, links and presence: everything reaches it through its mailbox;
//   - one goroutine for each ordering domain of each sender, which runs handlers one at a time;
//   - the manager, which obeys management commands;
//   - the janitor, which deletes from the log what nobody needs any more;
//   - the manager, which obeys management commands one after the other;
//   - one for Config.OnEvent.
//
// The commit is the only point where anything becomes true. Killed before it, an accepted message was never promised
// and a handled one is handled again, none of its effects having existed; killed after it, both are done. Links, windows
// and acks are volatile: at the next start the reader states its positions, and each sender goes on after them.
package engine
