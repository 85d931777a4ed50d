package wire

// Frame is one message on the bus. The implementations are pointers to the structs of this file
// and of management.go.
type Frame interface {
	kind() byte
	appendFields(b []byte) []byte
	readFields(r *reader)
}

// Types of frames as they appear on the wire. Numbers are never reused.
const (
	kindOpen     = 1
	kindAccept   = 2
	kindData     = 3
	kindSkip     = 4
	kindProbe    = 5
	kindAck      = 6
	kindBusy     = 7
	kindReset    = 8
	kindRefuse   = 9
	kindPresence = 10
	kindDiscover = 11
)

// LinkID names one link between two nodes: the sender's run and its rising link number, and the receiver's nonce,
// which is 0 in an Open and fresh in each Accept of a new link.
type LinkID struct{ Run, Number, Nonce uint64 }

// RunStart is one entry of a sender's lineage: the first seq that the run may have used.
type RunStart struct {
	Run   uint64
	First int64
}

// Start is where in a sender's log a membership begins that has no position yet.
const (
	StartJoin = 0 // at the time of the join
	StartAll  = 1 // with everything that is retained
	StartNew  = 2 // with what is sent after the sender has learned of it
)

// Open asks a receiver for a link. Sender to receiver, repeated until it is answered.
type Open struct {
	ID      LinkID     // Nonce is 0
	Domain  string     // "s" strict order, "a" addressed messages, "c:<channel>" one channel
	StoreID uint64     // of the sender's database
	Lineage []RunStart // oldest first, the current run last
	Now     int64      // the sender's clock, unix ns
	LastSeq int64      // the newest seq in the sender's log
}

// Member is one membership of a reader: a channel it has joined, or its addressed messages.
type Member struct {
	Channel  string // "" = messages addressed to the node
	ID       uint64 // random, never 0
	Domain   string // the ordering domain that it belongs to, as in Open
	Start    uint8  // StartJoin, StartAll or StartNew
	JoinedAt int64  // unix ns, the reader's clock
	Dormant  bool   // joined, but nothing handles it yet: owed, not to be sent
	HasPos   bool   // the reader has a position in this sender's log
	Pos      int64  // that position; 0 without
}

// Accept answers an Open: it states all memberships of the receiver with their positions. Receiver to sender.
type Accept struct {
	ID         LinkID // with the nonce that all later frames of the link carry
	Domain     string
	StoreID    uint64 // of the receiver's database
	Run        uint64 // the receiver's run
	Version    uint64 // of the receiver's memberships; rises with every change
	Now        int64  // the receiver's clock, unix ns
	MaxMessage int64  // the largest content the receiver takes, bytes
	Credit     int64  // the first value of Ack.Limit
	Kicks      uint64 // KickDigest of the receiver's kick list
	Members    []Member
}

// Prev is the seq of the record before a body's first record of one membership.
type Prev struct {
	Member uint64
	Seq    int64
}

// Data carries a packed block of records, or a piece of one. The pieces of a body are consecutive frames.
type Data struct {
	ID        LinkID
	Domain    string
	Frame     uint64 // number of the frame in its link, from 1
	More      bool   // another piece of this body follows
	Confirmed uint64 // highest number of a Negative that the sender has taken note of
	Prev      []Prev // one per membership with records in the body; may be spread over the pieces
	RawLen    int    // length of the unpacked body; first piece only, 0 in the others
	Enc       uint8  // encoding of the body (EncPlain, EncSnappy); first piece only, 0 in the others
	Piece     []byte
}

// SkipRec says that nothing will come of a membership for the seqs above Prev up to To.
type SkipRec struct {
	Member   uint64
	Prev, To int64
	Reason   string
	Count    int64 // how many messages that leaves out
}

// Skip carries skip records; it is numbered among the Data frames.
type Skip struct {
	ID        LinkID
	Domain    string
	Frame     uint64
	Confirmed uint64
	Skips     []SkipRec
}

// Probe asks the receiver for its state. It has no number of its own.
type Probe struct {
	ID        LinkID
	Domain    string
	Frame     uint64 // highest frame sent
	Confirmed uint64
	Want      bool // answer at once, whatever the state; false: only if the state is news
}

// Negative is the outcome of a message that its receiver set aside.
type Negative struct {
	N               uint64 // running number in the link, from 1
	Run             uint64
	Seq             int64
	Channel         string
	Outcome, Reason string
}

// Ack is the state of the receiving side of a link. Receiver to sender. A later one makes the earlier ones void.
type Ack struct {
	ID        LinkID
	Domain    string
	Received  uint64 // frames received without a gap
	Processed uint64 // records and skip records whose outcome is on the receiver's disk
	Limit     int64  // cumulative credit since the link was opened
	Gap       bool   // frames beyond Received have arrived: send again from Received+1
	Negatives []Negative
}

// Busy answers an Open that must wait: a handler of the domain runs, or a commit is pending.
type Busy struct {
	ID     LinkID
	Domain string
}

// Reset ends a link, or says that there is none of this id. Receiver to sender.
type Reset struct {
	ID     LinkID
	Domain string
	Reason string
}

// Refuse answers an Open that will not be accepted for now.
type Refuse struct {
	ID     LinkID
	Domain string
	Reason string
}

// Presence announces a node, or one reader of a channel.
type Presence struct {
	Node          string
	StoreID, Run  uint64
	Version       uint64 // of its memberships
	Now           int64  // its clock, unix ns
	Leaving       bool   // it is shutting down
	State         string
	Reads, Writes []string // channels
	Nonce         uint64   // that the next management command to it must carry
	Kicks         uint64   // KickDigest of its kick list
	Member        *Member  // on keepalive.<node>.<channel>; else nil
}

// Discover asks nodes to announce themselves: all of them, or those that have to do with one of the channels.
type Discover struct{ Channels []string }

func (*Open) kind() byte     { return kindOpen }
func (*Accept) kind() byte   { return kindAccept }
func (*Data) kind() byte     { return kindData }
func (*Skip) kind() byte     { return kindSkip }
func (*Probe) kind() byte    { return kindProbe }
func (*Ack) kind() byte      { return kindAck }
func (*Busy) kind() byte     { return kindBusy }
func (*Reset) kind() byte    { return kindReset }
func (*Refuse) kind() byte   { return kindRefuse }
func (*Presence) kind() byte { return kindPresence }
func (*Discover) kind() byte { return kindDiscover }

func newFrame(kind byte) Frame {
	switch kind {
	case kindOpen:
		return new(Open)
	case kindAccept:
		return new(Accept)
	case kindData:
		return new(Data)
	case kindSkip:
		return new(Skip)
	case kindProbe:
		return new(Probe)
	case kindAck:
		return new(Ack)
	case kindBusy:
		return new(Busy)
	case kindReset:
		return new(Reset)
	case kindRefuse:
		return new(Refuse)
	case kindPresence:
		return new(Presence)
	case kindDiscover:
		return new(Discover)
	}
	return newManagementFrame(kind)
}
