package store

import "time"

// Batch is one group commit: everything in it happens, or nothing.
type Batch struct {
	Now          time.Time
	Blocks       []Block // appended to the log, in rising order
	Advances     []Advance
	KV           []KVWrite // in order: the last write of a key counts
	Dead         []Dead
	DeadRemove   []int64
	Attempts     []Attempt
	DropAttempts []AttemptKey
	Cursors      []Cursor
	Skips        []Skip
	Events       []Event
}

// Block is a stretch of the log, packed by the caller.
type Block struct {
	First, Last int64 // seqs
	Count       int   // records
	CreatedHi   int64 // the newest creation stamp in it, unix ns
	Enc         uint8
	RawLen      int
	Body        []byte
	Streams     []StreamPart
}

// StreamPart says what a block holds of one stream: a channel's broadcasts (To is ""), or what is addressed to one node
// (Channel is "").
type StreamPart struct {
	Channel, To string
	Count       int
	Bytes       int64
	First, Last int64
}

type streamKey struct{ channel, to string }

// Run is a start of a node and the first seq that it may have used.
type Run struct {
	Run   uint64
	First int64
}

// Segment is an advance within one run.
type Segment struct {
	Run       uint64
	Prev, Seq int64
}

// Advance moves the position of one membership in a sender's log over consecutive segments, if it is where the first
// one begins; First allows it to begin anywhere when there is no position yet.
type Advance struct {
	Sender     string
	Lineage    []Run // the sender's, oldest first
	Membership uint64
	First      bool
	Segments   []Segment
}

// KVWrite sets or deletes a key of a handler's store.
type KVWrite struct {
	Store, Key string
	Value      []byte
	Delete     bool
}

// Dead is a message that was set aside.
type Dead struct {
	ID       int64 // given by Commit
	At       int64 // unix ns
	Side     string
	Sender   string
	Run      uint64
	Seq      int64
	Channel  string
	ToNode   string
	Reader   string
	Reason   string
	Detail   string
	Handler  string
	Attempts int
	Created  int64
	Headers  []byte
	Content  []byte
}

// AttemptKey names a message at its receiver.
type AttemptKey struct {
	Sender     string
	Run        uint64
	Seq        int64
	Membership uint64
}

// Attempt counts the failed attempts of a message.
type Attempt struct {
	AttemptKey
	Count     int
	NextAt    int64
	LastError string
}

// Cursor says how far a reader has acknowledged, and how many records of its stream that covers. Scanned is at least
// Acked: nothing is owed in between.
type Cursor struct {
	Node           string
	Membership     uint64
	Acked          int64
	Count, Scanned int64
}

// Skip says that a reader will never get Count records in (Prev, To].
type Skip struct {
	Node       string
	Membership uint64
	Prev, To   int64
	Reason     string
	Count      int64
}

// Event is something worth keeping for the operator.
type Event struct {
	ID                        int64 // given by Commit
	At                        int64
	Kind, Node, Channel, Text string
}
