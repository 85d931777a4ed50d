package wasmhost

import (
	"fmt"
	"time"
)

// Kind is how a call ended.
type Kind int

// The kinds of outcome. The zero Kind is none of them.
const (
	Ack    Kind = iota + 1 // keep the effects, the message is done
	Retry                  // drop the effects, try again later
	Reject                 // drop the effects, never try again
	Failed                 // drop the effects, count a failed attempt
)

func (k Kind) String() string {
	switch k {
	case Ack:
		return "ack"
	case Retry:
		return "retry"
	case Reject:
		return "reject"
	case Failed:
		return "failed"
	}
	return fmt.Sprintf("Kind(%d)", int(k))
}

// The results by which a handler says how it ended: rmds_handle's return value or a command's exit status.
const (
	resultAck    = 0
	resultReject = 65
	resultRetry  = 75
)

// Outcome is how a call ended and what the guest said about it.
type Outcome struct {
	Kind Kind
	// Reason is the guest's note "reason". A failed call without one has the text of Err. At most 1 KiB of UTF-8.
	Reason string
	// RetryAfter is the guest's note "retry-after-ms", 0 if it left none.
	RetryAfter time.Duration
	// Err says why the call failed; nil for the other kinds. When it wraps the error of the context given to Call, the
	// guest was stopped for its caller's sake.
	Err error
	// CPU is the processor time that the guest took.
	CPU time.Duration
}
