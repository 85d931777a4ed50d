package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/getevo/rmds/engine/internal/wire"
)

// SendOption changes one message.
type SendOption func(*sendOptions)

type sendOptions struct {
	ttl     *time.Duration
	to      string
	headers []wire.Header
	hops    uint8
	onID    func(MessageID) // before the message can travel
}

// Timeout sets the message's TTL; 0 means that it never expires.
func Timeout(d time.Duration) SendOption { return func(o *sendOptions) { o.ttl = &d } }

// To addresses the message to one node instead of the channel's readers.
func To(node string) SendOption { return func(o *sendOptions) { o.to = node } }

// WithHeader adds a header.
func WithHeader(key, value string) SendOption {
	return func(o *sendOptions) { o.headers = append(o.headers, wire.Header{Key: key, Value: value}) }
}

// SendMessage stores a message for every reader of the channel and returns once it is on this node's disk; from then
// on it is promised. v is sent as it is if it is []byte, string or json.RawMessage, else as JSON.
//
// Errors: ErrNotWriter, ErrMessageTooLarge, ErrQueueFull, ErrKicked, ErrClosed, what joining failed with, and ErrStorage. Only
// after ErrStorage may the message still appear: a failed fsync leaves that open.
func (ch *Channel) SendMessage(v any, opts ...SendOption) error {
	_, err := ch.Send(context.Background(), v, opts...)
	return err
}

// Send is SendMessage with the message's id, and a context that limits the wait, not the message: after ctx has ended
// the message may still be stored.
func (ch *Channel) Send(ctx context.Context, v any, opts ...SendOption) (MessageID, error) {
	return ch.SendAsync(v, opts...).Wait(ctx)
}

// Pending is a message on its way to the disk.
type Pending struct {
	done chan struct{}
	id   MessageID
	err  error

	// What the way to the disk needs, here so that a message is one allocation.
	options sendOptions
	record  [1]wire.Record
	unit    unit
}

// Done is closed when the message is stored or refused.
func (p *Pending) Done() <-chan struct{} { return p.done }

// Wait returns the message's id once it is on disk, or why it is not.
func (p *Pending) Wait(ctx context.Context) (MessageID, error) {
	select {
	case <-p.done:
		return p.id, p.err
	default:
	}
	select {
	case <-p.done:
		return p.id, p.err
	case <-ctx.Done():
		return MessageID{}, ctx.Err()
	}
}

func (p *Pending) finish(id MessageID, err error) {
	p.id, p.err = id, err
	close(p.done)
}

// SendAsync hands the message over and returns at once; messages keep the order of the calls. Waiting for many together
// is how to send fast: they share commits.
func (ch *Channel) SendAsync(v any, opts ...SendOption) *Pending {
	p := &Pending{done: make(chan struct{})}
	for _, f := range opts {
		f(&p.options)
	}
	if err := ch.send(p, v, &p.options); err != nil {
		p.finish(MessageID{}, err)
	}
	return p
}

func (ch *Channel) send(p *Pending, v any, o *sendOptions) error {
	if err := ch.Err(); err != nil {
		return err
	}
	if !ch.role.writes() {
		return fmt.Errorf("%w: channel %s is joined as a reader: join it with WriteOnly or RW", ErrNotWriter, ch.name)
	}
	content, err := encodeContent(v)
	if err != nil {
		return err
	}
	return ch.c.accept(p, ch.name, content, o)
}

// accept checks a message and queues it for the committer.
func (c *Connection) accept(p *Pending, channel string, content []byte, o *sendOptions) error {
	ttl := c.expiry(channel)
	if o.ttl != nil {
		ttl = *o.ttl
	}
	if ttl < 0 {
		return fmt.Errorf("%w: Timeout %v is negative: 0 means none", ErrConfig, ttl)
	}
	if o.to != "" {
		if err := CheckNodeID(o.to); err != nil {
			return err
		}
	}
	if c.kicks.denies(c.cfg.NodeID, channel) {
		return fmt.Errorf("%w: this node may not send on channel %s", ErrKicked, channel)
	}
	if o.to != "" && c.kicks.denies(o.to, channel) {
		return fmt.Errorf("%w: node %s gets nothing on channel %s", ErrKicked, o.to, channel)
	}
	r := &p.record[0]
	*r = wire.Record{Channel: channel, To: o.to, Created: c.wall().UnixNano(), TTL: int64(ttl), Hops: o.hops, Headers: o.headers, Content: content}
	size := recordSize(r)
	if int64(size) > c.cfg.MaxMessageBytes {
		return fmt.Errorf("%w: %d bytes with headers, at most %d (MaxMessageBytes): split it", ErrMessageTooLarge, size, c.cfg.MaxMessageBytes)
	}
	stream := streamOf(r)
	if err := c.ledger.reserve(stream, c.cfg.MaxMessagesPerReceiver); err != nil {
		c.count.rejected.Add(1)
		return err
	}
	u := &p.unit
	u.records, u.bytes = p.record[:], size
	u.done = func(err error) {
		c.ledger.release(stream)
		seq := r.Seq
		p.record[0], p.unit = wire.Record{}, unit{} // a Pending may be kept for long, its content need not
		if err != nil {
			p.finish(MessageID{}, err)
			return
		}
		c.count.accepted.Add(1)
		id := MessageID{c.run, seq}
		if o.onID != nil {
			o.onID(id)
		}
		p.finish(id, nil)
	}
	if err := c.commit.add(u); err != nil {
		c.ledger.release(stream)
		return err
	}
	return nil
}

// reply sends an answer of an OnMessage function.
func (c *Connection) reply(m *Message, content []byte) error {
	p := &Pending{done: make(chan struct{})}
	o := &sendOptions{to: m.Sender, hops: derived(m.hops), headers: []wire.Header{{Key: headInReplyTo, Value: m.ID.String()}}}
	if o.hops > maxHops { // two nodes that answer each other (P17)
		u := &unit{}
		u.looped(c, &wire.Record{Channel: m.Channel, To: m.Sender, Created: c.wall().UnixNano(), Headers: o.headers, Content: content}, m, o.hops, "")
		return c.commitNow(u)
	}
	if err := c.accept(p, m.Channel, content, o); err != nil {
		return err
	}
	_, err := p.Wait(context.Background())
	return err
}

// Request sends a message and waits for the reply to it, which may come from any reader, or from node to if that is not
// empty. The message is as durable as any other: after ctx has ended it is still delivered, and its late reply goes to
// the handlers set by HandleReplies or OnReply.
func (ch *Channel) Request(ctx context.Context, to string, v any, opts ...SendOption) (*Message, error) {
	w := &waiter{c: ch.c, answer: make(chan *Message, 1)}
	defer w.stop()
	note := func(o *sendOptions) {
		o.onID = w.start
		if to != "" {
			o.to = to
		}
	}
	id, err := ch.SendAsync(v, append(opts[:len(opts):len(opts)], note)...).Wait(ctx)
	if err != nil {
		return nil, err
	}
	select {
	case m := <-w.answer:
		return m, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("rmds: request %s on %s: %w", id, ch.name, ctx.Err())
	case <-ch.c.stopping:
		return nil, ErrClosed
	}
}

// waiter is a Request's place in the table of awaited answers.
type waiter struct {
	c       *Connection
	answer  chan *Message // capacity 1
	key     string        // guarded by c.mu
	stopped bool          // guarded by c.mu
}

// start enters the table as soon as the message has its id, before it can travel.
func (w *waiter) start(id MessageID) {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	if !w.stopped {
		w.key = id.String()
		w.c.waiters[w.key] = w.answer
	}
}

func (w *waiter) stop() {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	w.stopped = true
	delete(w.c.waiters, w.key)
}

// taker returns who handles a record, or nil. A waiting Request is taken out of the table: it gets one answer.
func (c *Connection) taker(r *wire.Record) *taker {
	inReplyTo := ""
	if r.To != "" {
		for _, h := range r.Headers {
			if h.Key == headInReplyTo {
				inReplyTo = h.Value
			}
		}
	}
	if inReplyTo != "" {
		c.mu.Lock()
		answer := c.waiters[inReplyTo]
		delete(c.waiters, inReplyTo)
		c.mu.Unlock()
		if answer != nil {
			return &taker{wait: answer}
		}
	}
	ch := c.channel(r.Channel)
	if ch == nil {
		return nil
	}
	ch.mu.RLock()
	defer ch.mu.RUnlock()
	switch {
	case inReplyTo != "" && len(ch.onReply) > 0:
		return &taker{ch: ch, handlers: ch.onReply}
	case inReplyTo != "" && ch.replyFn != nil:
		return &taker{ch: ch, fn: ch.replyFn}
	case ch.fn != nil:
		return &taker{ch: ch, fn: ch.fn}
	case len(ch.handlers) > 0:
		return &taker{ch: ch, handlers: ch.handlers}
	}
	return nil
}
