package guest

import (
	"iter"
	"strings"
	"unsafe"
)

// Get returns the value of key in the handler's own store, and whether there is one. It sees what the current call has
// set and deleted.
func Get(key string) (value []byte, ok bool, err error) {
	b, n := read(func(buf *byte, size uint32) int32 { return hostKVGet(key, buf, size) })
	if n == answerAbsent {
		return nil, false, nil
	}
	return b, n >= 0, answer(n, "get", key)
}

// Set stores value under key, from the acknowledgement of the current message on.
func Set(key string, value []byte) error {
	return answer(hostKVSet(key, unsafe.SliceData(value), uint32(len(value))), "set", key)
}

// Delete removes key from the store; a key that is not there is no error.
func Delete(key string) error {
	n := hostKVDel(key)
	if n == answerAbsent {
		return nil
	}
	return answer(n, "delete", key)
}

// Keys iterates over the keys that start with prefix, in byte order. The store may be changed meanwhile. An error ends
// the iteration and comes with an empty key.
func Keys(prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if prefix != "" {
			if _, ok, err := Get(prefix); err != nil {
				yield("", err)
				return
			} else if ok && !yield(prefix, nil) {
				return
			}
		}
		for key := prefix; ; {
			b, n := read(func(buf *byte, size uint32) int32 { return hostKVNext(key, buf, size) })
			if n == answerAbsent {
				return
			}
			if err := answer(n, "next", key); err != nil {
				yield("", err)
				return
			}
			key = string(b)
			if !strings.HasPrefix(key, prefix) || !yield(key, nil) {
				return
			}
		}
	}
}

// Header is a header of a message to be sent.
type Header struct{ Key, Value string }

// Reply sends content back to the sender of the current message, once the message is acknowledged.
func Reply(content []byte, headers ...Header) error {
	if err := head(headers); err != nil {
		return err
	}
	return answer(hostReply(unsafe.SliceData(content), uint32(len(content))), "reply", "")
}

// Send sends content on a channel that the handler's configuration lists, once the current message is acknowledged.
func Send(channel string, content []byte, headers ...Header) error {
	if err := head(headers); err != nil {
		return err
	}
	return answer(hostSend(channel, unsafe.SliceData(content), uint32(len(content))), "send", channel)
}

func head(headers []Header) error {
	for _, h := range headers {
		if err := answer(hostHead(h.Key, h.Value), "header", h.Key); err != nil {
			return err
		}
	}
	return nil
}

// Config returns a value of the handler's configuration, and whether it is set.
func Config(key string) (value string, ok bool) {
	b, n := read(func(buf *byte, size uint32) int32 { return hostCfgGet(key, buf, size) })
	return string(b), n >= 0
}

// Level is the severity of a log line.
type Level int32

// The severities, lowest first.
const (
	LevelDebug Level = iota
	LevelInfo
	LevelWarn
	LevelError
)

// Log writes a line to the node's log at once, whatever becomes of the message. The node tags it with the handler and
// the message, and drops lines beyond its rate limit.
func Log(level Level, text string) { hostLog(int32(level), text) }
