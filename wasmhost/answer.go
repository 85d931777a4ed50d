package wasmhost

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode/utf8"
)

// maxAnswer is what a line may have beside contents and values.
const maxAnswer = 64 << 10

// question is a message on a line, for a command in lines mode.
type question struct {
	Content       *string           `json:"content,omitempty"`        // if it is UTF-8
	ContentBase64 []byte            `json:"content_base64,omitempty"` // if it is not
	ID            string            `json:"id"`
	Channel       string            `json:"channel"`
	Sender        string            `json:"sender"`
	Created       int64             `json:"created"`
	Attempt       int               `json:"attempt"`
	InReplyTo     string            `json:"in_reply_to,omitempty"`
	DeadlineMS    int64             `json:"deadline_ms"`
	Handler       string            `json:"handler"`
	Headers       map[string]string `json:"headers,omitempty"`
}

// answer is what the command writes: how it ended, or a question about the store.
type answer struct {
	Status       *int32           `json:"status"`
	Reply        *string          `json:"reply"`
	ReplyBase64  *[]byte          `json:"reply_base64"`
	ReplyHeaders heads            `json:"reply_headers"`
	Send         []answerSend     `json:"send"`
	KV           map[string]*data `json:"kv"` // null deletes
	Reason       string           `json:"reason"`
	RetryAfterMS int64            `json:"retry_after_ms"`

	Get  *string `json:"get"`
	Next *string `json:"next"`
}

type answerSend struct {
	Channel       string  `json:"channel"`
	Content       *string `json:"content"`
	ContentBase64 *[]byte `json:"content_base64"`
	Headers       heads   `json:"headers"`
}

type heads map[string]string

// data is a value: a string, or {"base64": "..."} for what is not UTF-8.
type data []byte

func (d *data) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		var s string
		err := json.Unmarshal(b, &s)
		*d = data(s)
		return err
	}
	var v struct {
		Base64 *[]byte `json:"base64"`
	}
	if err := strictly(b, &v); err != nil {
		return err
	}
	if v.Base64 == nil {
		return errors.New(`a value is a string or {"base64": "..."}`)
	}
	*d = *v.Base64
	return nil
}

func (d data) MarshalJSON() ([]byte, error) {
	if utf8.Valid(d) {
		return json.Marshal(string(d))
	}
	return json.Marshal(map[string][]byte{"base64": d})
}

// strictly decodes one JSON value and refuses fields that it does not know: a misspelt one would be lost.
func strictly(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if d.More() {
		return errors.New("more than one JSON value")
	}
	return nil
}

// parseAnswer reads the line that a guest wrote.
func parseAnswer(output []byte) (*answer, error) {
	line, err := oneLine(output)
	if err != nil {
		return nil, err
	}
	a := &answer{}
	if err := strictly(line, a); err != nil {
		return nil, fmt.Errorf("%w: the line on stdout: %w", ErrAnswer, err)
	}
	if a.asks() == (a.Status != nil) || a.Get != nil && a.Next != nil {
		return nil, fmt.Errorf("%w: the line on stdout must have one of status, get and next", ErrAnswer)
	}
	return a, nil
}

func (a *answer) asks() bool { return a.Get != nil || a.Next != nil }

// question is the line for the guest.
func (c *call) question() []byte {
	m := c.msg
	q := question{ID: m.ID, Channel: m.Channel, Sender: m.Sender, Created: m.CreatedAt.UnixNano(), Attempt: m.Attempt, InReplyTo: m.InReplyTo,
		DeadlineMS: max(0, time.Until(c.deadline).Milliseconds()), Handler: c.mod.settings.Name, Headers: m.Headers}
	if utf8.Valid(m.Content) {
		s := string(m.Content)
		q.Content = &s
	} else {
		q.ContentBase64 = m.Content
	}
	return c.line(q)
}

// line encodes what goes to the guest.
func (c *call) line(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil { // strings, numbers and bytes always can be
		c.abort(fmt.Errorf("encode a line for the guest: %w", err))
	}
	return append(b, '\n')
}

// respond answers a question about the store. One that is refused fails the call.
func (c *call) respond(a *answer) []byte {
	if a.Next != nil {
		key, found := c.lookUpNext(*a.Next)
		if !found {
			return c.line(map[string]any{"key": nil})
		}
		return c.line(map[string]any{"key": key})
	}
	if !c.validKey(*a.Get) {
		c.abort(fmt.Errorf("%w: get: %w", ErrAnswer, ErrBadArgument))
	}
	var value []byte
	var found bool
	c.mustStore("get", func() (err error) {
		value, found, err = c.effects.Get(*a.Get)
		return err
	})
	if !found {
		return c.line(map[string]any{"value": nil})
	}
	return c.line(map[string]any{"value": data(value)})
}

func (c *call) lookUpNext(key string) (next string, found bool) {
	if key != "" && !c.validKey(key) {
		c.abort(fmt.Errorf("%w: next: %w", ErrAnswer, ErrBadArgument))
	}
	c.mustStore("next", func() (err error) {
		next, found, err = c.effects.Next(key)
		return err
	})
	return next, found
}

// mustStore runs f in the host's storage. There is nobody to tell a refusal to: it fails the call.
func (c *call) mustStore(what string, f func() error) { c.must(what, c.stored(f)) }

// must fails the call for a code that a host function would return.
func (c *call) must(what string, code int64) {
	switch code {
	case 0:
	case codeNotPermitted:
		c.abort(fmt.Errorf("%s: %w", what, ErrNotPermitted))
	case codeOverLimit:
		c.abort(fmt.Errorf("%s: %w", what, ErrOverLimit))
	default:
		c.abort(fmt.Errorf("%s: %w", what, ErrBadArgument))
	}
}

// conclude does what the answer says and returns the outcome; it does not return from a failure. Effects of an answer
// other than an acknowledgement are not looked at.
func (c *call) conclude(a *answer) Outcome {
	if a.Reason != "" {
		c.reason = clip(a.Reason, maxReason)
	}
	switch after := a.RetryAfterMS; {
	case after < 0 || after > maxRetryAfter.Milliseconds():
		c.abort(fmt.Errorf("retry_after_ms: %w", ErrOverLimit))
	case after > 0:
		c.retryAfter = time.Duration(after) * time.Millisecond
	}
	switch *a.Status {
	case resultAck:
	case resultRetry, resultReject:
		return c.outcome(uint32(*a.Status))
	default:
		c.abort(fmt.Errorf("%w: %d", ErrResult, *a.Status))
	}
	for _, key := range slices.Sorted(maps.Keys(a.KV)) {
		c.write(key, a.KV[key])
	}
	if content, ok := c.oneOf("reply", a.Reply, a.ReplyBase64); ok {
		h := c.headers("reply", a.ReplyHeaders)
		c.must("reply", c.countSend(content, h))
		c.mustStore("reply", func() error { return c.effects.Reply(content, h) })
	}
	for i := range a.Send {
		c.sendOn(&a.Send[i])
	}
	return c.outcome(resultAck)
}

func (c *call) write(key string, value *data) {
	what := fmt.Sprintf("kv %q", key)
	if value == nil {
		c.must(what, c.countWrite(key, 0))
		c.mustStore(what, func() error { return c.effects.Delete(key) })
		return
	}
	if int64(len(*value)) > c.mod.limits.KVValueBytes {
		c.must(what, codeOverLimit)
	}
	c.must(what, c.countWrite(key, len(*value)))
	c.mustStore(what, func() error { return c.effects.Set(key, *value) })
}

func (c *call) sendOn(s *answerSend) {
	what := fmt.Sprintf("send on %q", s.Channel)
	content, _ := c.oneOf(what, s.Content, s.ContentBase64)
	h := c.headers(what, s.Headers)
	if !validChannel(s.Channel) {
		c.must(what, codeBadArgument)
	}
	if !slices.Contains(c.mod.settings.Sends, s.Channel) {
		c.must(what, codeNotPermitted)
	}
	c.must(what, c.countSend(content, h))
	c.mustStore(what, func() error { return c.effects.Send(s.Channel, content, h) })
}

// oneOf returns the content that is given as text or in base64, and whether there is one.
func (c *call) oneOf(what string, text *string, encoded *[]byte) ([]byte, bool) {
	switch {
	case text != nil && encoded != nil:
		c.abort(fmt.Errorf("%w: %s has its content twice", ErrAnswer, what))
	case text != nil:
		return []byte(*text), true
	case encoded != nil:
		return *encoded, true
	}
	return nil, false
}

// headers checks headers and brings them into the order of their names.
func (c *call) headers(what string, h heads) []Header {
	if len(h) > maxHeads {
		c.must(what+": headers", codeOverLimit)
	}
	var out []Header
	for _, k := range slices.Sorted(maps.Keys(h)) {
		if !validHead([]byte(k), []byte(h[k])) {
			c.must(fmt.Sprintf("%s: header %q", what, k), codeBadArgument)
		}
		out = append(out, Header{k, h[k]})
	}
	return out
}
