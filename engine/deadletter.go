package engine

import (
	"errors"
	"time"

	"github.com/getevo/rmds/engine/internal/store"
)

// DeadLetter is a message that this node set aside undelivered or unhandled, with its reason.
type DeadLetter struct {
	ID        int64     // of the dead letter: rising, never reused
	At        time.Time // when it was set aside
	Sender    bool      // set aside by the sender, before it reached Reader; else by the reader itself
	Message   MessageID // Seq is 0 if the message was never in a log
	From      string    // the node that sent it
	Channel   string
	To        string // whom it was addressed to; "" for a broadcast
	Reader    string // the node that did not get it, or could not handle it
	Reason    string // rejected, attempts, ttl, too_large, no_handler, forbidden, hop_limit, no_reader, reader_gone, purged or kicked
	Detail    string // for people
	Handler   string // "" if none ran
	Attempts  int
	CreatedAt time.Time // by the sender's clock
	Headers   []Header
	Content   []byte // DeadLetter alone fills it
}

// DeadLetters returns up to n dead letters with ids below before, newest first and without their contents. 0 starts at
// the newest.
func (c *Connection) DeadLetters(before int64, n int) ([]DeadLetter, error) {
	list, err := c.st.DeadBefore(before, n)
	if err != nil {
		return nil, err
	}
	out := make([]DeadLetter, len(list))
	for i := range list {
		if out[i], err = newDeadLetter(&list[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// DeadLetter returns one dead letter with its content. The error wraps ErrNotFound if there is none of that id.
func (c *Connection) DeadLetter(id int64) (DeadLetter, error) {
	d, err := c.st.DeadGet(id)
	if errors.Is(err, store.ErrNoDeadLetter) {
		return DeadLetter{}, errors.Join(ErrNotFound, err)
	}
	if err != nil {
		return DeadLetter{}, err
	}
	return newDeadLetter(&d)
}

func newDeadLetter(d *store.Dead) (DeadLetter, error) {
	headers, err := decodeHeaders(d.Headers)
	if err != nil {
		return DeadLetter{}, err
	}
	out := DeadLetter{ID: d.ID, At: time.Unix(0, d.At), Sender: d.Side == "sender", Message: MessageID{Run: d.Run, Seq: d.Seq}, From: d.Sender,
		Channel: d.Channel, To: d.ToNode, Reader: d.Reader, Reason: d.Reason, Detail: d.Detail, Handler: d.Handler, Attempts: d.Attempts,
		CreatedAt: time.Unix(0, d.Created), Content: d.Content}
	for _, h := range headers {
		out.Headers = append(out.Headers, Header(h))
	}
	return out, nil
}
