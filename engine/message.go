package engine

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/getevo/rmds/engine/internal/wire"
)

// Header keys that the engine itself writes.
const headInReplyTo = "in-reply-to"

// Header is a name and a value that travel with a message.
type Header struct{ Key, Value string }

// MessageID names a message for ever: the run of the sending node that accepted it, and its place in that node's log.
// IDs of one sender sort in the order of sending.
type MessageID struct {
	Run uint64
	Seq int64
}

// String returns the id as 16 hexadecimal digits, a dash and a decimal number.
func (id MessageID) String() string { return fmt.Sprintf("%016x-%d", id.Run, id.Seq) }

// ParseMessageID is the reverse of String.
func ParseMessageID(s string) (MessageID, error) {
	run, seq, ok := strings.Cut(s, "-")
	r, err1 := strconv.ParseUint(run, 16, 64)
	n, err2 := strconv.ParseInt(seq, 10, 64)
	if !ok || len(run) != 16 || err1 != nil || err2 != nil || n < 1 {
		return MessageID{}, fmt.Errorf("rmds: message id %q: want 16 hexadecimal digits, a dash and a number", s)
	}
	return MessageID{r, n}, nil
}

// Message is a received message. Its fields must not be changed. Ack, Nak, Reject and Reply serve OnMessage handlers;
// a transactional handler answers by its return value instead.
type Message struct {
	ID        MessageID
	Channel   string
	Sender    string    // the sending node, as NATS's permissions let it call itself
	CreatedAt time.Time // by the sender's clock
	Data      []byte
	Headers   map[string]string // never nil
	Attempt   int               // 1 for the first
	InReplyTo string            // the id of this node's message that this one answers, or ""

	token *attemptToken
	reply func(content []byte) error
	hops  uint8 // how often it was derived from another
}

func newMessage(run uint64, sender string, r *wire.Record, attempt int) *Message {
	m := &Message{ID: MessageID{run, r.Seq}, Channel: r.Channel, Sender: sender, CreatedAt: time.Unix(0, r.Created),
		Data: r.Content, Headers: make(map[string]string, len(r.Headers)), Attempt: attempt, hops: r.Hops}
	for _, h := range r.Headers {
		m.Headers[h.Key] = h.Value
	}
	m.InReplyTo = m.Headers[headInReplyTo]
	return m
}

// derived is the hop count of what is sent on account of a message with this one.
func derived(hops uint8) uint8 { return min(hops, math.MaxUint8-1) + 1 }

// Ack says that the message is done. The sender hears of it once that is on this node's disk.
// It returns ErrStale after ACKTimeout or a second answer: the message will be, or was, handled by another attempt.
func (m *Message) Ack() error { return m.answer(verdict{}) }

// Nak asks for another attempt after the delay, or after the usual back-off if it is zero. It counts as an attempt.
func (m *Message) Nak(delay time.Duration) error {
	return m.answer(verdict{err: RetryAfter(delay, "nak")})
}

// Reject sets the message aside as a dead letter with this reason and goes on to the next one.
func (m *Message) Reject(reason string) error { return m.answer(verdict{err: Rejected(reason)}) }

func (m *Message) answer(v verdict) error {
	if m.token == nil {
		return fmt.Errorf("%w: a transactional handler answers by its return value", ErrStale)
	}
	return m.token.answer(v)
}

// Reply sends v to the sender of the message, encoded as SendMessage does. It is a message of its own, not part of the
// acknowledgement: after a crash between the two the reply may be sent again. Tx.Reply has no such window.
func (m *Message) Reply(v any) error {
	if m.reply == nil {
		return fmt.Errorf("%w: use Tx.Reply in a transactional handler", ErrStale)
	}
	content, err := encodeContent(v)
	if err != nil {
		return err
	}
	return m.reply(content)
}

// attemptToken takes the first answer of one attempt and refuses all others (P15).
type attemptToken struct {
	mu   sync.Mutex
	done bool
	ch   chan verdict // capacity 1
}

func newAttemptToken() *attemptToken { return &attemptToken{ch: make(chan verdict, 1)} }

func (t *attemptToken) answer(v verdict) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done {
		return ErrStale
	}
	t.done = true
	t.ch <- v
	return nil
}

// expire ends the attempt unless it was answered meanwhile.
func (t *attemptToken) expire() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done = true
}

// encodeContent turns what SendMessage takes into bytes: bytes and strings as they are, anything else as JSON.
func encodeContent(v any) ([]byte, error) {
	switch c := v.(type) {
	case []byte:
		return append([]byte(nil), c...), nil
	case string:
		return []byte(c), nil
	case json.RawMessage:
		return append([]byte(nil), c...), nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("rmds: encode content: %w", err)
	}
	return b, nil
}
