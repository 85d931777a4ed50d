package guest

import (
	"errors"
	"strconv"
	"time"
)

// Results of rmds_handle, as in sysexits.h.
const (
	resultAck    = 0
	resultFailed = 1
	resultReject = 65
	resultRetry  = 75
)

var (
	handler     func(*Msg) error
	initializer func() error
)

// Handle registers the function called for each message. Call it once, in an init function; the last call counts.
func Handle(f func(*Msg) error) { handler = f }

// Init registers a function called once in each new instance, before its first message: the place to check the
// configuration. An error refuses the deployment, and the text of the error goes to the log.
func Init(f func() error) { initializer = f }

// handle runs the handler for the current message and returns the contract's result.
func handle() int32 {
	if handler == nil {
		note("reason", "the module registered no handler: call guest.Handle in an init function")
		return resultFailed
	}
	return result(handler(&Msg{}))
}

func initialize() int32 {
	if initializer == nil {
		return resultAck
	}
	if err := initializer(); err != nil {
		Log(LevelError, err.Error())
		return resultFailed
	}
	return resultAck
}

func result(err error) int32 {
	if err == nil {
		return resultAck
	}
	note("reason", err.Error())
	if _, ok := errors.AsType[*rejectError](err); ok {
		return resultReject
	}
	if retry, ok := errors.AsType[*retryError](err); ok {
		if retry.after > 0 {
			ms := (retry.after + time.Millisecond - 1) / time.Millisecond
			note("retry-after-ms", strconv.FormatInt(int64(ms), 10))
		}
		return resultRetry
	}
	return resultFailed
}

// note attaches what outlives a discarded call. The verdict stands whether or not the host takes the note.
func note(key, value string) { hostNote(key, value) }
