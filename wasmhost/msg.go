package wasmhost

import "time"

// Msg is what a handler is called with. The guest reads it through msg_get; the host never changes it.
type Msg struct {
	Content   []byte
	ID        string
	Channel   string
	Sender    string
	InReplyTo string // empty if the message is no reply
	CreatedAt time.Time
	Attempt   int       // 1 the first time
	Deadline  time.Time // no later than this, whatever the handler's timeout; zero for none
	Headers   map[string]string
}

// Header is a name and a value that go with a reply or a send.
type Header struct{ Key, Value string }

// Effects receives what a guest does. One call uses one Effects from one goroutine. An error that wraps ErrNotPermitted,
// ErrOverLimit or ErrBadArgument is told to the guest; any other ends the call as failed and is in Outcome.Err. Arguments
// belong to the implementation once passed.
type Effects interface {
	// Get returns the value of a key and whether there is one, with this call's own writes.
	Get(key string) ([]byte, bool, error)
	Set(key string, value []byte) error
	Delete(key string) error
	// Next returns the first key after the given one in byte order, "" asking for the first of all.
	Next(key string) (string, bool, error)
	// Reply sends to the sender of the message, Send on a channel that the handler's settings allow.
	Reply(content []byte, headers []Header) error
	Send(channel string, content []byte, headers []Header) error
}
