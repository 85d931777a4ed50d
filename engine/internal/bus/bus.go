// Package bus carries frames between nodes: publish and subscribe by subject, at most once, nothing kept.
//
// There are two implementations. [NATS] speaks to a real server. [Network] is a server in memory that can lose,
// delay, duplicate, reorder and corrupt what it carries, cut nodes off from each other and take one off the
// line; it also works inside a testing/synctest bubble. Both are held to the same tests.
//
//	          Connected                    (server reached; every subscription is in force; Publish works)
//	down  ---------------->  up
//	      <----------------
//	         Disconnected                  (Publish fails at once; subscriptions are kept for the next time)
//
// A bus starts down and Close ends it in either state. It buffers nothing while down and gives no word about
// the fate of what it took: the log is the buffer and the links find out what arrived. Nothing here outlives a
// crash, and nothing needs to.
//
// A bus owns its goroutines and Close waits until none of them will call a handler again.
package bus

import "errors"

var (
	// ErrDisconnected is returned by Publish while the bus has no server. Connected says when to try again.
	ErrDisconnected = errors.New("bus: not connected")

	// ErrClosed is returned after Close.
	ErrClosed = errors.New("bus: closed")

	// ErrTooLarge is returned by Publish for data longer than MaxPayload.
	ErrTooLarge = errors.New("bus: data larger than the server's limit")

	// ErrSubject is returned for a subject that NATS does not allow: an empty token, white space,
	// a ">" that is not last, or, in Publish, a wildcard.
	ErrSubject = errors.New("bus: invalid subject")
)

// A Handler is given one message. Calls for one subscription come one at a time and in order; calls for
// different subscriptions may run at the same time. Data belongs to the handler, which may keep it. A handler
// must be quick, since messages queue up behind it and are dropped in the end, and must not call Close.
type Handler = func(subject string, data []byte)

// Bus is a connection to the place where nodes meet. All methods may be called at any time from any goroutine.
//
// The messages that one bus publishes on one subject reach a subscription in the order they were published,
// those that reach it at all. A bus that subscribes to what it publishes gets its own messages too.
type Bus interface {
	// Publish sends data to the subscribers of subject, which has no wildcards. It neither waits for the
	// server nor keeps data: the caller may reuse it at once. It returns ErrDisconnected while there is no
	// server, ErrTooLarge, ErrSubject or ErrClosed; nil means only that the message is on its way.
	Publish(subject string, data []byte) error

	// Subscribe calls handler with every message whose subject matches subject, in which "*" stands for one
	// token and a final ">" for one or more. It works without a server too: the subscription comes into
	// force with the next connection, and is in force whenever Connected is reported. After unsubscribe,
	// which may be called repeatedly and from the handler, no new call begins; one under way may still run.
	// The error is ErrSubject or ErrClosed.
	Subscribe(subject string, handler Handler) (unsubscribe func(), err error)

	// MaxPayload is the largest data that Publish takes, in bytes: the present server's limit, or that of
	// the last one, or NATS's default of 1 MiB before the first connection.
	MaxPayload() int

	// Connected reports whether Publish has a server to send to.
	Connected() bool

	// OnEvent sets the function that hears of changes. It is called once, before the bus is used. Calls to
	// f come one at a time and in the order of the changes; f must be quick and must not call Close. If the
	// bus is connected by then, f hears so, maybe before OnEvent returns.
	OnEvent(f func(Event))

	// Close sends what Publish took, if the server takes it soon, and ends the bus. When it returns, no
	// handler runs any more or will, and neither does f. Further calls do nothing.
	Close()
}

// defaultMaxPayload is the largest message a NATS server takes unless it is configured otherwise.
const defaultMaxPayload = 1 << 20
