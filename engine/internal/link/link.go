// Package link is the volatile layer of delivery: a reliable, ordered, flow-controlled stream of records from one sender
// to one receiver over a bus that loses, repeats, reorders and damages frames. Sender and Receiver are pure state
// machines: they start no goroutines, read no clock (time is an argument) and touch no network. Whoever owns one calls it
// from one goroutine at a time, publishes what Step returns and calls Step again after every event, at the latest at the
// time that Step named.
//
//	owner's log ──Pull──► Sender ──Data, Skip, Probe──► Receiver ──Delivered──► owner's handlers
//	  cursors ◄──Progress── │ ◄──────────Ack──────────── │ ◄──Processed, AddNegative── commits
//
// Two counters make an ack. Received counts frames: it frees the sender's copies and drives retransmission, which is
// go-back-N. Processed counts records whose outcome is on the receiver's disk: it moves the sender's cursors and returns
// credit. A handler that takes an hour therefore stops the stream without causing one retransmission.
//
// Nothing here survives a crash, and nothing needs to. A link that is broken is thrown away, and a new one starts after
// the receiver's durable positions.
package link

import (
	"time"

	"github.com/getevo/rmds/engine/internal/wire"
)

// Window: what a sender has in flight at most, sent and not known to be received. The credit, which counts up to
// the commit of the outcome, is the receiver's to give.
const (
	windowFrames = 1024
	windowBytes  = 4 << 20
)

// RecordCost is what every record and skip record costs of the credit besides the bytes of its body: about what it takes
// in the receiver's memory when it is unpacked. Without it a body of empty messages would grow forty-fold there.
const RecordCost = 64

// BodySlack is how much larger than its content the body of one message may be: headers, and records packed with it.
const BodySlack = 256 << 10

// Times of the sender.
const (
	minRTO     = 20 * time.Millisecond
	maxRTO     = 5 * time.Second
	firstRTO   = 250 * time.Millisecond // until a round trip has been measured
	minProbe   = 100 * time.Millisecond // between probes for what is received but not processed
	minOpen    = 50 * time.Millisecond  // between opens, doubling to maxRTO
	minBusy    = 10 * time.Millisecond  // after a Busy, doubling to maxBusy
	maxBusy    = time.Second
	resendings = 2 // timeouts that send data again; later ones only probe until the receiver is heard
)

// Times and counts of the receiver.
const (
	ackDelay     = 2 * time.Millisecond // an ack that nobody waits for
	ackFrames    = 8                    // frames that make an ack due at once
	gapPause     = 5 * time.Millisecond // between acks that report the same gap
	minRepeat    = 50 * time.Millisecond
	maxRepeat    = 5 * time.Second
	repeats      = 10       // of negatives to a sender that is not heard
	maxNegatives = 16 << 10 // bytes of negatives in one ack
	maxReason    = 1 << 10  // bytes of a negative's reason
)

// Ref is one record owed to the receiver.
type Ref struct {
	Member uint64 // the membership that it is owed to
	Seq    int64
}

// Unit is what a sender's owner supplies next, in log order: a packed block with its records, or skip records.
type Unit struct {
	Body wire.Body
	Prev []wire.Prev // one for each membership with records in the body
	Refs []Ref       // one for each record of the body, in its order

	Skips []wire.SkipRec // instead of a body
}

// items is how many records or skip records the unit has.
func (u *Unit) items() int { return len(u.Refs) + len(u.Skips) }

// cost is what the unit takes of the receiver's credit.
func (u *Unit) cost() int64 { return cost(u.Body.RawLen, u.items()) }

func cost(rawLen, items int) int64 { return int64(rawLen) + int64(items)*RecordCost }

// Pull hands the sender its next unit; ok is false if there is nothing to send now. maxRaw is how many raw bytes the
// receiver will take: a larger unit must not be returned, except that a single message larger than maxRaw may be if
// nothing is outstanding.
type Pull func(maxRaw int64) (u Unit, ok bool)

// SenderEvent is what an arriving frame means to a sender's owner: Opened, Progress, Negatives or Broken.
type SenderEvent interface{ senderEvent() }

// Opened says that the receiver has accepted the link; from here on Step pulls units, which must start after the
// positions in Accept. It comes once.
type Opened struct{ Accept *wire.Accept }

// Progress says how far the receiver has processed what was sent.
type Progress struct{ Moved []Moved }

// Moved is the progress of one membership.
type Moved struct {
	Member uint64
	Seq    int64 // the highest seq now processed, or skipped
	Count  int64 // messages that this step covered; a skip record counts as many as it left out
}

// Negatives lists messages that the receiver set aside. Each is reported once.
type Negatives struct{ List []wire.Negative }

// Broken says that the link is dead: reset or refused by the receiver, or the receiver talks nonsense. The owner drops
// the sender and opens a new link, after a refusal not at once.
type Broken struct {
	Reason  string
	Refused bool
}

func (Opened) senderEvent()    {}
func (Progress) senderEvent()  {}
func (Negatives) senderEvent() {}
func (Broken) senderEvent()    {}
