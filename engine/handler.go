package engine

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Handler handles the messages of a channel transactionally: what it does through its Tx, and the acknowledgement,
// take effect in one commit or not at all, exactly once.
type Handler struct {
	// Name names the handler's key-value store. The same name on two channels shares the store; runs that share a
	// store never overlap. 1 to 64 characters as in node ids.
	Name string
	// Func handles one message. nil acknowledges it; RetryAfter asks for another attempt; Rejected makes it a dead
	// letter; any other error, a panic included, is a failed attempt. It must not use tx after it returned.
	Func func(ctx context.Context, tx *Tx, m *Message) error
	// Discarded is called when results that Func had returned were thrown away because their commit failed: whatever
	// Func remembers outside tx from those messages must go. May be nil.
	Discarded func()
	// Timeout ends ctx; 0 means none. Func's return is waited for whatever it does.
	Timeout time.Duration
	// MaxAttempts overrides Config.MaxRetryAttempts; 0 leaves it.
	MaxAttempts int
	// Sends lists the channels that Tx.Send may use; nil allows every channel that this node writes.
	Sends []string
}

type retryError struct {
	after  time.Duration
	reason string
}

func (e *retryError) Error() string { return "retry: " + e.reason }

type rejectError struct{ reason string }

func (e *rejectError) Error() string { return "rejected: " + e.reason }

// RetryAfter is what a handler returns to see the message again later; zero means the usual back-off.
func RetryAfter(d time.Duration, reason string) error { return &retryError{d, reason} }

// Rejected is what a handler returns to set a message aside as a dead letter with a reason.
func Rejected(reason string) error { return &rejectError{reason} }

// verdict is the outcome of one attempt.
type verdict struct {
	err error // nil, *retryError, *rejectError, or a failure
}

func (v verdict) rejected() (string, bool) {
	var r *rejectError
	if errors.As(v.err, &r) {
		return r.reason, true
	}
	return "", false
}

func (v verdict) asksRetry() bool {
	var r *retryError
	return errors.As(v.err, &r)
}

// pause is how long to wait before the next attempt.
func (v verdict) pause(attempt int, longest time.Duration) time.Duration {
	var r *retryError
	if errors.As(v.err, &r) && r.after > 0 {
		return r.after
	}
	d := 50 * time.Millisecond
	for i := 1; i < attempt && d < longest; i++ {
		d *= 2
	}
	return min(d, longest)
}

// runHandler calls a transactional handler and turns a panic into a failed attempt.
func runHandler(ctx context.Context, h *Handler, tx *Tx, m *Message) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("handler %s panicked: %v", h.Name, p)
		}
	}()
	if h.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, h.Timeout)
		defer cancel()
	}
	return h.Func(ctx, tx, m)
}
