package engine

import (
	"errors"
	"fmt"
	"path"
	"sync"
	"time"
)

// Role says what a node does on a channel.
type Role uint8

// The roles.
const (
	ReadOnly  Role = 1
	WriteOnly Role = 2
	RW        Role = ReadOnly | WriteOnly
)

func (r Role) reads() bool  { return r&ReadOnly != 0 }
func (r Role) writes() bool { return r&WriteOnly != 0 }

// String returns "reader", "writer" or "both".
func (r Role) String() string {
	switch r {
	case ReadOnly:
		return "reader"
	case WriteOnly:
		return "writer"
	case RW:
		return "both"
	}
	return fmt.Sprintf("Role(%d)", uint8(r))
}

// Start says which messages a new reader is owed.
type Start uint8

// What a new reader is owed: everything created since it joined, everything that a sender still has, or what is sent
// after the sender has learned of it.
const (
	StartJoin Start = 0
	StartAll  Start = 1
	StartNew  Start = 2
)

// Ordering says what a channel's messages are kept in order with.
type Ordering uint8

// OrderStrict keeps all channels of one sender in one order. OrderChannel gives the channel an order of its own, so that
// a slow handler on it holds up nothing else.
const (
	OrderStrict  Ordering = 0
	OrderChannel Ordering = 1
)

// JoinOption changes how a channel is joined.
type JoinOption func(*joinOptions)

type joinOptions struct {
	start        Start
	ordering     Ordering
	expiry       *time.Duration
	allowReaders []string
	allowWriters []string
}

// WithStart says what this reader is owed from before its senders know it. It matters for the first join only.
func WithStart(s Start) JoinOption { return func(o *joinOptions) { o.start = s } }

// WithOrdering takes the channel out of the sender's one order.
func WithOrdering(ordering Ordering) JoinOption {
	return func(o *joinOptions) { o.ordering = ordering }
}

// WithExpiry sets the TTL of messages sent on the channel; 0 means none. Without it Config.MessageExpiry holds.
func WithExpiry(d time.Duration) JoinOption { return func(o *joinOptions) { o.expiry = &d } }

// AllowReaders limits who is sent the channel's messages, by patterns of node ids (* and ?).
func AllowReaders(patterns ...string) JoinOption {
	return func(o *joinOptions) { o.allowReaders = patterns }
}

// AllowWriters limits whose messages are handled, by patterns of node ids (* and ?); others' become dead letters.
func AllowWriters(patterns ...string) JoinOption {
	return func(o *joinOptions) { o.allowWriters = patterns }
}

// Channel is a joined channel. Its methods may be called from any goroutine.
type Channel struct {
	c    *Connection
	name string
	role Role
	opts joinOptions
	err  error // why joining failed

	mu       sync.RWMutex
	left     bool
	fn       func(*Message)
	handlers []*boundHandler
	onReply  []*boundHandler
	replyFn  func(*Message)
}

// boundHandler is a Handler with its store and its counters.
type boundHandler struct {
	h       *Handler
	kv      *kvStore
	figures *handlerFigures
	seen    uint64 // the epoch of its last run; guarded by kv.run
}

// forget tells the handler, before its next run, that results of earlier runs were thrown away (P13).
func (b *boundHandler) forget(epoch uint64) {
	if b.seen != epoch {
		b.seen = epoch
		if b.h.Discarded != nil {
			b.h.Discarded()
		}
	}
}

// Join makes this node a reader, a writer or both of a channel. Being a reader is durable: it begins with the first
// Join and lasts until Channel.Unsubscribe. Join never returns nil; what is wrong shows in Err and in every send.
// Joining again returns the same channel. While an operator has kicked this node out of the channel the membership waits:
// it begins when the kick is lifted.
func (c *Connection) Join(name string, role Role, opts ...JoinOption) *Channel {
	ch := &Channel{c: c, name: name, role: role}
	for _, o := range opts {
		o(&ch.opts)
	}
	if ch.err = ch.check(); ch.err != nil {
		return ch
	}
	c.mu.Lock()
	old := c.channels[name]
	if old == nil {
		ch.err = c.join(ch)
		if ch.err == nil {
			c.channels[name] = ch
		}
	}
	c.mu.Unlock()
	if old != nil {
		if old.role != role {
			ch.err = fmt.Errorf("%w: channel %s is joined as %v already, not %v", ErrConflict, name, old.role, role)
			return ch
		}
		return old
	}
	if ch.err == nil {
		c.loop.channelsChanged(ch)
	}
	return ch
}

func (ch *Channel) check() error {
	if err := CheckChannel(ch.name); err != nil {
		return err
	}
	if ch.role < ReadOnly || ch.role > RW {
		return fmt.Errorf("%w: channel %s: %v is no role: use ReadOnly, WriteOnly or RW", ErrConfig, ch.name, ch.role)
	}
	if ch.opts.start > StartNew || ch.opts.ordering > OrderChannel {
		return fmt.Errorf("%w: channel %s: unknown start or ordering", ErrConfig, ch.name)
	}
	if ch.opts.expiry != nil && *ch.opts.expiry < 0 {
		return fmt.Errorf("%w: channel %s: expiry %v is negative: 0 means none", ErrConfig, ch.name, *ch.opts.expiry)
	}
	for _, p := range append(append([]string(nil), ch.opts.allowReaders...), ch.opts.allowWriters...) {
		if _, err := path.Match(p, "x"); err != nil {
			return fmt.Errorf("%w: channel %s: pattern %q: %v", ErrConfig, ch.name, p, err)
		}
	}
	return nil
}

// join makes the membership durable. c.mu is held.
func (c *Connection) join(ch *Channel) error {
	select {
	case <-c.stopping:
		return ErrClosed
	default:
	}
	if !ch.role.reads() || c.kicks.denies(c.cfg.NodeID, ch.name) { // when the kick is lifted it joins
		return nil
	}
	domain := domainStrict
	if ch.opts.ordering == OrderChannel {
		domain = domainChannel + ch.name
	}
	if _, err := c.st.Join(ch.name, uint8(ch.opts.start), domain, c.wall()); err != nil {
		return fmt.Errorf("join %s: %w", ch.name, errors.Join(ErrStorage, err))
	}
	return nil
}

// Name returns the channel's name.
func (ch *Channel) Name() string { return ch.name }

// Role returns what this node does on the channel.
func (ch *Channel) Role() Role { return ch.role }

// Err returns why joining failed, or nil.
func (ch *Channel) Err() error {
	ch.mu.RLock()
	defer ch.mu.RUnlock()
	if ch.err == nil && ch.left {
		return fmt.Errorf("%w: left channel %s", ErrClosed, ch.name)
	}
	return ch.err
}

// OnMessage sets the function that handles the channel's messages. One message of a sender is handled at a time; the
// next comes after fn has returned and the message was answered with Ack, Nak or Reject. No answer within
// Config.ACKTimeout is a failed attempt. What fn itself sends or writes is not part of the acknowledgement: after a
// crash in between it happens again. Handle has no such window.
func (ch *Channel) OnMessage(fn func(*Message)) error {
	if fn == nil {
		return fmt.Errorf("%w: OnMessage of channel %s needs a function", ErrConfig, ch.name)
	}
	if err := ch.readable(); err != nil {
		return err
	}
	return ch.change(func() error {
		if len(ch.handlers) > 0 {
			return fmt.Errorf("%w: channel %s has transactional handlers already", ErrConflict, ch.name)
		}
		ch.fn = fn
		return nil
	})
}

// Handle sets the transactional handlers of the channel. Several run in the order given, in one transaction: all or none.
func (ch *Channel) Handle(handlers ...*Handler) error {
	if err := ch.readable(); err != nil {
		return err
	}
	bound, err := ch.bind(handlers)
	if err != nil {
		return err
	}
	return ch.change(func() error {
		if ch.fn != nil {
			return fmt.Errorf("%w: channel %s has an OnMessage function already", ErrConflict, ch.name)
		}
		ch.handlers = bound
		return nil
	})
}

// HandleReplies sets the transactional handlers of replies to what this node has sent on the channel, for those that no
// Request waits for. It works on channels that the node only writes, too.
func (ch *Channel) HandleReplies(handlers ...*Handler) error {
	bound, err := ch.bind(handlers)
	if err != nil {
		return err
	}
	return ch.change(func() error { ch.onReply = bound; return nil })
}

// OnReply is HandleReplies with a plain function, as OnMessage is Handle with one.
func (ch *Channel) OnReply(fn func(*Message)) error {
	return ch.change(func() error { ch.replyFn = fn; return nil })
}

func (ch *Channel) readable() error {
	if err := ch.Err(); err != nil {
		return err
	}
	if !ch.role.reads() {
		return fmt.Errorf("%w: channel %s is joined as a writer: join it with ReadOnly or RW, or use OnReply for answers", ErrNotReader, ch.name)
	}
	return nil
}

// bind checks handlers and gives each its store.
func (ch *Channel) bind(handlers []*Handler) ([]*boundHandler, error) {
	names := map[string]bool{}
	var bound []*boundHandler
	for _, h := range handlers {
		switch {
		case h == nil || h.Func == nil:
			return nil, fmt.Errorf("%w: a handler of channel %s has no Func", ErrConfig, ch.name)
		case CheckNodeID(h.Name) != nil:
			return nil, fmt.Errorf("%w: handler %q of channel %s: use 1 to %d characters of A-Z a-z 0-9 _ -", ErrBadName, h.Name, ch.name, maxNodeName)
		case names[h.Name]:
			return nil, fmt.Errorf("%w: two handlers of channel %s are called %s", ErrConflict, ch.name, h.Name)
		}
		names[h.Name] = true
		epoch, _ := ch.c.commit.state()
		bound = append(bound, &boundHandler{h: h, kv: ch.c.kvStore(h.Name), figures: ch.c.figures(h.Name), seen: epoch})
	}
	return bound, nil
}

// change applies a change of handlers; senders are told, for a channel without one is dormant (P16).
func (ch *Channel) change(apply func() error) error {
	if err := ch.Err(); err != nil {
		return err
	}
	ch.mu.Lock()
	err := apply()
	ch.mu.Unlock()
	if err == nil {
		ch.c.loop.channelsChanged(ch)
	}
	return err
}

// awake reports whether the channel has something that handles its messages.
func (ch *Channel) awake() bool {
	ch.mu.RLock()
	defer ch.mu.RUnlock()
	return ch.fn != nil || len(ch.handlers) > 0
}

// Unsubscribe leaves the channel for good: what was not handled yet will not be, and a later Join is a new one.
func (ch *Channel) Unsubscribe() error {
	if err := ch.Err(); err != nil {
		return err
	}
	ch.c.mu.Lock()
	defer ch.c.mu.Unlock()
	if ch.role.reads() {
		if err := ch.c.st.Leave(ch.name); err != nil {
			return fmt.Errorf("leave %s: %w", ch.name, errors.Join(ErrStorage, err))
		}
	}
	delete(ch.c.channels, ch.name)
	ch.mu.Lock()
	ch.left, ch.fn, ch.handlers = true, nil, nil
	ch.mu.Unlock()
	ch.c.loop.channelsChanged(ch)
	return nil
}

func (ch *Channel) permitsWriter(node string) bool { return permits(ch.opts.allowWriters, node) }
func (ch *Channel) permitsReader(node string) bool { return permits(ch.opts.allowReaders, node) }

func permits(patterns []string, node string) bool {
	for _, p := range patterns {
		if ok, _ := path.Match(p, node); ok { // patterns were checked by Join
			return true
		}
	}
	return len(patterns) == 0
}

// handlerName names who handles a channel, for dead letters.
func (c *Connection) handlerName(channel string) string {
	ch := c.channel(channel)
	if ch == nil {
		return ""
	}
	ch.mu.RLock()
	defer ch.mu.RUnlock()
	if len(ch.handlers) > 0 {
		return ch.handlers[0].h.Name
	}
	return ""
}
