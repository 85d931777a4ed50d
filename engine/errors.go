package engine

import "errors"

// Errors that callers can test for with errors.Is. Each is returned wrapped, with the place and the remedy in its text.
var (
	// ErrClosed: the connection (or the channel, after Unsubscribe) is closed.
	ErrClosed = errors.New("rmds: closed")
	// ErrConfig: a configuration value that New refuses; the text names the field.
	ErrConfig = errors.New("rmds: bad configuration")
	// ErrBadName: a node id or channel name outside the allowed alphabet or length.
	ErrBadName = errors.New("rmds: bad name")
	// ErrNotWriter: a send on a channel that this node joined as a reader only.
	ErrNotWriter = errors.New("rmds: not a writer of the channel")
	// ErrNotReader: a handler set on a channel that this node joined as a writer only.
	ErrNotReader = errors.New("rmds: not a reader of the channel")
	// ErrMessageTooLarge: content and headers exceed Config.MaxMessageBytes. Nothing was stored.
	ErrMessageTooLarge = errors.New("rmds: message too large")
	// ErrQueueFull: a reader of the channel already has Config.MaxMessagesPerReceiver messages waiting. Nothing was stored.
	ErrQueueFull = errors.New("rmds: queue full")
	// ErrStorage: the message log could not be written. The message is not promised; after a failed fsync it may still appear.
	ErrStorage = errors.New("rmds: storage")
	// ErrStale: an Ack, Nak or Reject that came after its attempt had timed out or had been answered already.
	ErrStale = errors.New("rmds: the attempt is over")
	// ErrNotPermitted: a send on a channel that the handler's list does not name.
	ErrNotPermitted = errors.New("rmds: not permitted")
	// ErrNotFound: nothing has that id.
	ErrNotFound = errors.New("rmds: not found")
	// ErrKicked: an operator has kicked this node, or the one that a message is addressed to, out of the channel.
	ErrKicked = errors.New("rmds: kicked out")
	// ErrRefused: a node refused a management command; the text says which and why.
	ErrRefused = errors.New("rmds: command refused")
	// ErrNoAnswer: a node that is online did not answer a management command in time. It may have obeyed.
	ErrNoAnswer = errors.New("rmds: no answer")
	// ErrConflict: the call contradicts an earlier one, for example a second handler on a channel.
	ErrConflict = errors.New("rmds: conflict")
)
