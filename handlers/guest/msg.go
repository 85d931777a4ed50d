package guest

import (
	"strconv"
	"strings"
	"time"
	"unsafe"
)

// Msg is the message being handled. Its methods ask the host, so it is valid only during the handler's call.
type Msg struct{}

// Content returns the payload, in memory of the caller's own.
func (m *Msg) Content() []byte {
	content, _ := read(func(buf *byte, size uint32) int32 { return hostMsgGet("content", buf, size) })
	return content
}

// ID returns the message's id, unique for ever: the same message has the same id in each attempt.
func (m *Msg) ID() string { return m.get("id") }

// Channel returns the channel that the message was sent on.
func (m *Msg) Channel() string { return m.get("channel") }

// Sender returns the node that sent the message.
func (m *Msg) Sender() string { return m.get("sender") }

// InReplyTo returns the id of the message that this one answers, or "".
func (m *Msg) InReplyTo() string { return m.get("in-reply-to") }

// Handler returns the name of this handler in the node's configuration.
func (m *Msg) Handler() string { return m.get("handler") }

// Created returns when the sender accepted the message, by the sender's clock.
func (m *Msg) Created() time.Time { return time.Unix(0, m.number("created")) }

// Attempt returns how many times this message has been given to the handler, this one included: 1 at first.
func (m *Msg) Attempt() int { return int(m.number("attempt")) }

// Remaining returns how much time the handler has left for this message, to the millisecond.
func (m *Msg) Remaining() time.Duration {
	return time.Duration(m.number("deadline-ms")) * time.Millisecond
}

// Header returns the header that the sender set, and whether it did.
func (m *Msg) Header(name string) (value string, ok bool) {
	b, n := read(func(buf *byte, size uint32) int32 { return hostMsgGet("head."+name, buf, size) })
	return string(b), n >= 0
}

// HeaderNames returns the names of the message's headers.
func (m *Msg) HeaderNames() []string {
	names := m.get("names")
	if names == "" {
		return nil
	}
	return strings.Split(names, "\n")
}

func (m *Msg) get(key string) string {
	b, _ := read(func(buf *byte, size uint32) int32 { return hostMsgGet(key, buf, size) })
	return string(b)
}

func (m *Msg) number(key string) int64 {
	n, _ := strconv.ParseInt(m.get(key), 10, 64)
	return n
}

// readSize is what a first read offers the host; a longer answer takes a second call.
const readSize = 1024

// read performs one of the contract's reads, which answer the full length and copy only what fits. It returns
// nil and the answer when that is negative.
func read(get func(buf *byte, size uint32) int32) ([]byte, int32) {
	buf := make([]byte, readSize)
	n := get(unsafe.SliceData(buf), uint32(len(buf)))
	if int(n) > len(buf) {
		buf = make([]byte, n)
		n = get(unsafe.SliceData(buf), uint32(len(buf)))
	}
	if n < 0 {
		return nil, n
	}
	return buf[:n], n
}
