package wire

import (
	"crypto/sha256"
	"encoding/binary"
)

// Management: commands to nodes, their answers, and the kick list that nodes hand on to each other.

// Types of frames, after those of frame.go.
const (
	kindCommand  = 12
	kindAnswer   = 13
	kindKickAsk  = 14
	kindKickList = 15
)

// Channels of a Kick that name no single channel.
const (
	KickNode     = ""  // the node altogether
	KickChannels = "*" // every channel
)

// Kick is one order of the kick list: that a node is out, or that it no longer is. Of two orders about the same node and
// channel the one with the higher stamp counts, then the one whose By, then whose Lifted, sorts last.
type Kick struct {
	Node      string
	Channel   string // a channel, KickNode or KickChannels
	Lifted    bool   // undone
	Stamp     int64  // unix ns of the order, or more: above every stamp that who gave it knew of
	By        string // the node that the order was given at
	Key       string // public nkey of the operator; "" unsigned
	Signature []byte // over KickText
}

// Actions of a Command.
const (
	ActionKick       = "kick" // take over Kicks
	ActionPurgeAll   = "purge_all"
	ActionPurgeSent  = "purge_sent"
	ActionPurgeQueue = "purge_queue"
)

// Command tells a node to do something.
type Command struct {
	ID        uint64 // random; the answer repeats it
	Target    uint64 // store id of the node that is to obey
	Nonce     uint64 // as the node's presence, or its last answer, stated it
	Action    string
	Kicks     []Kick
	Key       string // public nkey of the operator; "" unsigned
	Signature []byte // over CommandText
}

// Outcomes of a command.
const (
	OutcomeDone    = "done"
	OutcomeRefused = "refused" // not allowed; Text says why
	OutcomeStale   = "stale"   // another store id or nonce than the present ones, which the answer states
	OutcomeFailed  = "failed"  // begun, and not done; Text says why
)

// Answer says what became of a command.
type Answer struct {
	Command        uint64
	Outcome, Text  string
	Count          int64  // messages or memberships that it was done to
	StoreID, Nonce uint64 // for the next command
}

// KickAsk asks for the orders of a node's kick list, and states the asker's.
type KickAsk struct{ Digest uint64 }

// KickList hands on orders of the kick list. A long list comes as several frames.
type KickList struct{ Kicks []Kick }

func (*Command) kind() byte  { return kindCommand }
func (*Answer) kind() byte   { return kindAnswer }
func (*KickAsk) kind() byte  { return kindKickAsk }
func (*KickList) kind() byte { return kindKickList }

// newManagementFrame returns an empty frame of a type of this file, or nil.
func newManagementFrame(kind byte) Frame {
	switch kind {
	case kindCommand:
		return new(Command)
	case kindAnswer:
		return new(Answer)
	case kindKickAsk:
		return new(KickAsk)
	case kindKickList:
		return new(KickList)
	}
	return nil
}

// kickSize is the least size of a Kick.
const kickSize = 7

func appendKickOrder(b []byte, k *Kick) []byte {
	b = appendString(b, k.Node)
	b = appendString(b, k.Channel)
	b = appendBool(b, k.Lifted)
	b = appendVarint(b, k.Stamp)
	return appendString(b, k.By)
}

func appendKick(b []byte, k *Kick) []byte {
	b = appendKickOrder(b, k)
	b = appendString(b, k.Key)
	return appendBytes(b, k.Signature)
}

func readKick(r *reader, k *Kick) {
	k.Node = r.string()
	k.Channel = r.string()
	k.Lifted = r.bool()
	k.Stamp = r.varint()
	k.By = r.string()
	k.Key = r.string()
	k.Signature = r.bytes()
}

func (f *Command) appendOrder(b []byte) []byte {
	b = appendID(b, f.ID)
	b = appendID(b, f.Target)
	b = appendID(b, f.Nonce)
	b = appendString(b, f.Action)
	return appendList(b, f.Kicks, appendKick)
}

func (f *Command) appendFields(b []byte) []byte {
	b = f.appendOrder(b)
	b = appendString(b, f.Key)
	return appendBytes(b, f.Signature)
}

func (f *Command) readFields(r *reader) {
	f.ID, f.Target, f.Nonce = r.id(), r.id(), r.id()
	f.Action = r.string()
	f.Kicks = readList(r, kickSize, readKick)
	f.Key = r.string()
	f.Signature = r.bytes()
}

func (f *Answer) appendFields(b []byte) []byte {
	b = appendID(b, f.Command)
	b = appendString(b, f.Outcome)
	b = appendString(b, f.Text)
	b = appendVarint(b, f.Count)
	return appendID(appendID(b, f.StoreID), f.Nonce)
}

func (f *Answer) readFields(r *reader) {
	f.Command = r.id()
	f.Outcome, f.Text = r.string(), r.string()
	f.Count = r.varint()
	f.StoreID, f.Nonce = r.id(), r.id()
}

func (f *KickAsk) appendFields(b []byte) []byte { return appendID(b, f.Digest) }
func (f *KickAsk) readFields(r *reader)         { f.Digest = r.id() }

func (f *KickList) appendFields(b []byte) []byte { return appendList(b, f.Kicks, appendKick) }
func (f *KickList) readFields(r *reader)         { f.Kicks = readList(r, kickSize, readKick) }

// What an operator's key signs begins with one of these, so that no signature of one kind passes for another.
const (
	commandContext = "rmds-command-1"
	kickContext    = "rmds-kick-1"
)

// CommandText is what a command's signature covers: the subject that it travels on, and everything but key and signature.
func CommandText(subject string, f *Command) []byte {
	return f.appendOrder(appendString(appendString(nil, commandContext), subject))
}

// KickText is what an order's signature covers: the prefix of the nodes' subjects, and everything but key and signature.
func KickText(prefix string, k *Kick) []byte {
	return appendKickOrder(appendString(appendString(nil, kickContext), prefix), k)
}

// KickDigest is the sum, modulo 2^64, of the first 8 bytes of each order's SHA-256: the same for the same orders in any
// sequence, 0 for none. Keys and signatures do not count.
func KickDigest(kicks []Kick) uint64 {
	var sum uint64
	for i := range kicks {
		h := sha256.Sum256(appendKickOrder(nil, &kicks[i]))
		sum += binary.LittleEndian.Uint64(h[:])
	}
	return sum
}
