// Package admin is the local interface of a node: HTTP with JSON over a Unix socket, its server and its client.
//
//	GET  /v1/status                                                              → Status
//	POST /v1/send?channel=C[&to=N][&ttl=D][&header=K=V]        body: the content → Sent
//	POST /v1/request?channel=C[&to=N][&timeout=D][&header=K=V] body: the content → Message, the first reply
//	POST /v1/handlers/reload[?handler=NAME]                                      → []Reloaded, in the configuration's order
//	GET  /v1/kv/STORE[?prefix=P][&after=K][&limit=N]                             → Page
//	GET  /v1/kv/STORE/value?key=K                                                → the value as it is
//
// Durations are written as Go writes them ("10s"). An answer other than 2xx has the body
// {"error":{"code":"...","message":"..."}}: the code is one of the Code constants and is for programs, the message is
// for people and may change. POST /v1/send answers after the message is on the node's disk.
//
// Who may connect is a matter of the socket's file mode, 0660: the user and the group of the node's process. There is
// no other authorization, and no listening on TCP.
//
// The types here are the wire format. They only ever gain fields.
package admin

import (
	"fmt"
	"time"
)

// Code classes an error for programs.
type Code string

// The codes, with the HTTP status that each comes with.
const (
	CodeBadRequest Code = "bad_request" // 400: a parameter is missing or makes no sense
	CodeNotFound   Code = "not_found"   // 404: no such path, channel, store or key
	CodeNotAllowed Code = "not_allowed" // 409: the node's role on the channel, or the channel's rules, forbid it
	CodeTooLarge   Code = "too_large"   // 413: the content is beyond the node's limit
	CodeQueueFull  Code = "queue_full"  // 429: too many messages wait already; try again later
	CodeStorage    Code = "storage"     // 507: the node could not write to its disk
	CodeClosed     Code = "closed"      // 503: the node is stopping
	CodeTimeout    Code = "timeout"     // 504: no reply came in time; the message may still be delivered
	CodeInternal   Code = "internal"    // 500: anything else
)

var httpStatus = map[Code]int{
	CodeBadRequest: 400, CodeNotFound: 404, CodeNotAllowed: 409, CodeTooLarge: 413, CodeQueueFull: 429,
	CodeStorage: 507, CodeClosed: 503, CodeTimeout: 504, CodeInternal: 500,
}

// Error is what a node answers instead of a result.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Errorf makes an Error.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{code, fmt.Sprintf(format, args...)}
}

// errorBody is the body of every answer that is not 2xx.
type errorBody struct {
	Error *Error `json:"error"`
}

// Outgoing is a message to send.
type Outgoing struct {
	Channel string
	To      string            // a node id; empty: every reader of the channel
	TTL     time.Duration     // 0: the channel's
	Headers map[string]string // may be nil
	Content []byte
}

// Sent answers a send.
type Sent struct {
	ID string `json:"id"`
}

// Message is a received message.
type Message struct {
	ID        string            `json:"id"`
	Channel   string            `json:"channel"`
	Sender    string            `json:"sender"`
	CreatedAt time.Time         `json:"created_at"`
	InReplyTo string            `json:"in_reply_to,omitempty"`
	Headers   map[string]string `json:"headers,omitempty"`
	Content   []byte            `json:"content"` // base64 in JSON
}

// Entry is one key of a handler's store.
type Entry struct {
	Key   string `json:"key"`
	Value []byte `json:"value"` // base64 in JSON
}

// Page is a part of a handler's store, in byte order of the keys.
type Page struct {
	Entries []Entry `json:"entries"`
	More    bool    `json:"more"` // there are keys after the last one: ask again with after set to it
}

// Limits of Page: entries of one, if the request does not say, and at most.
const (
	DefaultPage = 100
	MaxPage     = 1000
)

// Status is the state of a node.
type Status struct {
	Node     string    `json:"node"`
	Version  string    `json:"version"` // of the program
	StoreID  string    `json:"store_id"`
	Run      string    `json:"run"`
	Started  time.Time `json:"started"`
	Database string    `json:"database"` // its path

	Connected bool     `json:"connected"` // to NATS; a node that is not works on
	Health    string   `json:"health"`    // "ok", or the first of Troubles
	Troubles  []string `json:"troubles"`  // each "kind: text"

	Queued     int64            `json:"queued"`      // messages not acknowledged, summed over readers
	Accepted   int64            `json:"accepted"`    // messages stored for others; this and what follows count since the start
	Refused    int64            `json:"refused"`     // sends refused because a queue was full
	Delivered  int64            `json:"delivered"`   // acknowledgements received, one for each message and reader
	Handled    int64            `json:"handled"`     // messages handled and committed
	Retries    int64            `json:"retries"`     // failed attempts that will be repeated
	NotHandled int64            `json:"not_handled"` // messages that their readers have set aside
	Dead       int64            `json:"dead"`        // dead letters made here
	DeadBy     map[string]int64 `json:"dead_by"`     // the same by reason
	Gaps       int64            `json:"gaps"`        // skips received
	Resets     int64            `json:"resets"`      // links that had to start again
	Corrupt    int64            `json:"corrupt"`     // frames that were no frames

	DeadKept  int64 `json:"dead_kept"`  // dead letters kept now, those of earlier starts among them
	DiskBytes int64 `json:"disk_bytes"` // of the database and its journal

	Channels []ChannelStatus `json:"channels"`
	Handlers []HandlerStatus `json:"handlers"`
	Peers    []PeerStatus    `json:"peers"`
}

// ChannelStatus is one channel that the node has joined.
type ChannelStatus struct {
	Name  string `json:"name"`
	Role  string `json:"role"`  // reader, writer or both
	Awake bool   `json:"awake"` // something handles its messages
}

// HandlerStatus is one loaded module.
type HandlerStatus struct {
	Name     string   `json:"name"`
	Module   string   `json:"module"` // its file
	SHA256   string   `json:"sha256"`
	Kind     string   `json:"kind"` // reactor, command or lines
	Channels []string `json:"channels"`

	Since   time.Time `json:"since"`             // when the module came to run
	Reloads int       `json:"reloads"`           // how often a module took the place of another, since the start
	Refused *Refusal  `json:"refused,omitempty"` // the last module offered, if it was not taken: the one above runs on

	Runs     int64     `json:"runs"`              // attempts, of whatever outcome; this and what follows count since the start
	Retried  int64     `json:"retried"`           // attempts that asked for another one
	Rejected int64     `json:"rejected"`          // attempts that rejected the message for good
	Failed   int64     `json:"failed"`            // attempts that failed otherwise
	Busy     float64   `json:"busy"`              // seconds spent in all attempts together
	Latency  []Bucket  `json:"latency"`           // attempts by time, cumulative
	Error    string    `json:"error,omitempty"`   // the last failure or rejection
	ErrorAt  time.Time `json:"error_at,omitzero"` // when that was
}

// Refusal is a module that did not come to run.
type Refusal struct {
	At     time.Time `json:"at"`
	SHA256 string    `json:"sha256,omitempty"` // empty if the file could not be read
	Reason string    `json:"reason"`
}

// Reloaded is what a reload did to one handler.
type Reloaded struct {
	Name    string `json:"name"`
	SHA256  string `json:"sha256"`          // of the module that runs now
	Changed bool   `json:"changed"`         // it is another than before
	Error   string `json:"error,omitempty"` // why the module in the file does not run
}

// Bucket counts the attempts that took no longer than a bound.
type Bucket struct {
	Seconds float64 `json:"seconds"`
	Runs    int64   `json:"runs"`
}

// PeerStatus is one node that this one knows of.
type PeerStatus struct {
	Node      string         `json:"node"`
	Online    bool           `json:"online"`
	LastHeard time.Time      `json:"last_heard"` // zero if not heard since the start
	State     string         `json:"state"`      // its own word on its health
	Queued    int64          `json:"queued"`     // messages for it, not acknowledged
	Handled   int64          `json:"handled"`    // of its messages, since the start
	Readers   []ReaderStatus `json:"readers"`
	Links     []LinkStatus   `json:"links"`
}

// LinkStatus is one link, by its ordering domain.
type LinkStatus struct {
	Out      bool     `json:"out"`      // from this node to the peer; else from it to this one
	Domain   string   `json:"domain"`   // s: all channels in one order, a: what is addressed, c:NAME: one channel by itself
	Open     bool     `json:"open"`     // else it is being opened
	Channels []string `json:"channels"` // what it carries; addressed messages have none
	Frames   int      `json:"frames"`   // out: sent and not known to have arrived
	Waiting  int      `json:"waiting"`  // in: messages that have arrived and wait for their handler
	RTT      float64  `json:"rtt"`      // out: the estimated round trip, seconds; 0 before the first estimate
}

// ReaderStatus is one channel that a peer reads and this node writes.
type ReaderStatus struct {
	Channel string    `json:"channel"` // "" for messages addressed to the peer
	Acked   int64     `json:"acked"`   // the place in this node's log up to which it has acknowledged
	Queued  int64     `json:"queued"`
	Count   int64     `json:"count"`           // messages of the channel that it is past: acknowledged, or never owed
	Oldest  time.Time `json:"oldest,omitzero"` // when the oldest of the queued was created
}

// DeadLetter is a message that the node set aside, with its reason.
type DeadLetter struct {
	ID        int64             `json:"id"`      // of the dead letter, rising
	At        time.Time         `json:"at"`      // when it was set aside
	Side      string            `json:"side"`    // who set it aside: sender or receiver
	Message   string            `json:"message"` // its id
	From      string            `json:"from"`
	Channel   string            `json:"channel"`
	To        string            `json:"to,omitempty"` // whom it was addressed to
	Reader    string            `json:"reader"`       // the node that did not get it, or could not handle it
	Reason    string            `json:"reason"`       // a word, for programs
	Detail    string            `json:"detail"`       // for people
	Handler   string            `json:"handler,omitempty"`
	Attempts  int               `json:"attempts"`
	CreatedAt time.Time         `json:"created_at"` // by its sender's clock
	Headers   map[string]string `json:"headers,omitempty"`
	Content   []byte            `json:"content,omitempty"` // base64 in JSON
}

// Age is how long ago t was, in seconds: 0 for the zero time and for a time to come.
func Age(t, now time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return max(now.Sub(t).Seconds(), 0)
}

// HTTPStatus returns the HTTP status that the code comes with.
func (c Code) HTTPStatus() int {
	if s, ok := httpStatus[c]; ok {
		return s
	}
	return 500
}
