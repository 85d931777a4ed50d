package wasmhost

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

func msgGet(c *call, mem guestMemory, a []uint64) int64 {
	key, buf := mem.at(a[0], a[1]), mem.at(a[2], a[3])
	if len(key) > maxKey {
		return codeBadArgument
	}
	if c.msg == nil {
		return codeAbsent
	}
	if string(key) == "content" {
		return put(buf, c.msg.Content)
	}
	v, ok := c.field(string(key))
	if !ok {
		return codeAbsent
	}
	return put(buf, v)
}

// field returns what msg_get gives for a key other than content. Numbers are decimal text.
func (c *call) field(key string) (string, bool) {
	m := c.msg
	switch key {
	case "id":
		return m.ID, true
	case "channel":
		return m.Channel, true
	case "sender":
		return m.Sender, true
	case "created":
		return strconv.FormatInt(m.CreatedAt.UnixNano(), 10), true
	case "attempt":
		return strconv.Itoa(m.Attempt), true
	case "in-reply-to":
		return m.InReplyTo, m.InReplyTo != ""
	case "deadline-ms":
		return strconv.FormatInt(max(0, time.Until(c.deadline).Milliseconds()), 10), true
	case "handler":
		return c.mod.settings.Name, true
	case "names":
		return strings.Join(slices.Sorted(maps.Keys(m.Headers)), "\n"), true
	}
	if name, ok := strings.CutPrefix(key, "head."); ok {
		v, ok := m.Headers[name]
		return v, ok
	}
	return "", false
}

func head(c *call, mem guestMemory, a []uint64) int64 {
	key, value := mem.at(a[0], a[1]), mem.at(a[2], a[3])
	switch {
	case c.effects == nil:
		return codeNotPermitted
	case !validHead(key, value):
		return codeBadArgument
	case len(c.heads) == maxHeads:
		return codeOverLimit
	}
	c.heads = append(c.heads, Header{string(key), string(value)})
	return 0
}

func reply(c *call, mem guestMemory, a []uint64) int64 {
	content := mem.clone(a[0], a[1])
	heads := c.takeHeads()
	if code := c.countSend(content, heads); code != 0 {
		return code
	}
	return c.stored(func() error { return c.effects.Reply(content, heads) })
}

func send(c *call, mem guestMemory, a []uint64) int64 {
	channel, content := string(mem.at(a[0], a[1])), mem.clone(a[2], a[3])
	heads := c.takeHeads()
	if !validChannel(channel) {
		return codeBadArgument
	}
	if !slices.Contains(c.mod.settings.Sends, channel) {
		return codeNotPermitted
	}
	if code := c.countSend(content, heads); code != 0 {
		return code
	}
	return c.stored(func() error { return c.effects.Send(channel, content, heads) })
}

// takeHeads returns the headers collected for this reply or send. They are gone whatever becomes of it.
func (c *call) takeHeads() []Header {
	h := c.heads
	c.heads = nil
	return h
}

func (c *call) countSend(content []byte, heads []Header) int64 {
	if c.effects == nil {
		return codeNotPermitted
	}
	size := int64(len(content))
	for _, h := range heads {
		size += int64(len(h.Key) + len(h.Value))
	}
	if c.sends >= c.mod.limits.Sends || c.sendBytes+size > c.mod.limits.SendBytes {
		return codeOverLimit
	}
	c.sends++
	c.sendBytes += size
	return 0
}
