package guest

import (
	"errors"
	"strconv"
	"time"
)

// Errors of the host's answers, to be tested with errors.Is.
var (
	// ErrNotPermitted means that the handler's configuration does not grant this, for example the channel of a Send.
	ErrNotPermitted = errors.New("not permitted by the handler's configuration")
	// ErrOverLimit means that a limit of the handler would be exceeded: a value's size, the store's size, the number of sends.
	ErrOverLimit = errors.New("over a limit of the handler")
	// ErrBadArgument means that a key, a channel or a header is not well formed.
	ErrBadArgument = errors.New("bad argument")
)

// The contract's answers other than a length.
const (
	answerAbsent       = -1
	answerNotPermitted = -2
	answerOverLimit    = -3
	answerBadArgument  = -4
)

// answer turns a negative answer of the host into an error; operation and name say what was asked.
func answer(n int32, operation, name string) error {
	var err error
	switch {
	case n >= 0:
		return nil
	case n == answerNotPermitted:
		err = ErrNotPermitted
	case n == answerOverLimit:
		err = ErrOverLimit
	case n == answerBadArgument:
		err = ErrBadArgument
	default:
		err = errors.New("the host answered " + strconv.Itoa(int(n)))
	}
	return &hostError{operation: operation, name: name, err: err}
}

type hostError struct {
	operation, name string
	err             error
}

func (e *hostError) Error() string {
	if e.name == "" {
		return e.operation + ": " + e.err.Error()
	}
	return e.operation + " " + strconv.Quote(e.name) + ": " + e.err.Error()
}

func (e *hostError) Unwrap() error { return e.err }

// retryError and rejectError carry a handler's verdict up to Handle.
type retryError struct {
	after  time.Duration
	reason string
}

func (e *retryError) Error() string { return e.reason }

type rejectError struct{ reason string }

func (e *rejectError) Error() string { return e.reason }

// Retry returns the error by which a handler asks for the message again later. What the handler did for it is
// discarded, and the call counts as an attempt. The delay is the node's own back-off when after is 0; it is
// rounded up to milliseconds. The verdict holds through wrapping (%w).
func Retry(after time.Duration, reason string) error { return &retryError{after, reason} }

// Reject returns the error by which a handler gives a message up for good: what it did is discarded, and the
// message becomes a dead letter with the reason. The verdict holds through wrapping (%w).
func Reject(reason string) error { return &rejectError{reason} }
