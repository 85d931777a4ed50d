package wasmhost

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// fuelSlice is the fuel that a guest gets at a time: about that many instructions, a fraction of a millisecond to a few.
const fuelSlice = 1 << 20

// importCost is the fuel of one call of a host function, so that a guest that does nothing else is asked after 64 of them.
const importCost = fuelSlice / 64

// call is one run of a guest function: a message, or the initialisation of an instance (msg is nil).
type call struct {
	ctx      context.Context
	mod      *Module
	msg      *Msg
	effects  Effects
	deadline time.Time
	watch    stopwatch
	stop     error // why the host ended the guest

	heads      []Header // of the next reply or send
	sends      int
	sendBytes  int64
	kvWrites   int
	kvBytes    int64
	reason     string
	retryAfter time.Duration
	log        callLog
}

// callKey is the key of the *call in the context that host functions get.
type callKey struct{}

func callOf(ctx context.Context) *call { return ctx.Value(callKey{}).(*call) }

// newCall starts the clocks of a call.
func (m *Module) newCall(ctx context.Context, msg *Msg, effects Effects) (context.Context, *call) {
	c := &call{mod: m, msg: msg, effects: effects}
	c.deadline = time.Now().Add(m.limits.Timeout)
	if msg != nil && !msg.Deadline.IsZero() && msg.Deadline.Before(c.deadline) {
		c.deadline = msg.Deadline
	}
	c.ctx = ctx
	c.log.c = c
	c.watch.begin()
	return context.WithValue(ctx, callKey{}, c), c
}

// refill is what the metered guest calls when its fuel is spent: it returns more or does not return.
func (c *call) refill() uint64 {
	c.check()
	c.watch.pin()
	return fuelSlice
}

// check ends the guest if its time is up.
func (c *call) check() {
	if err := c.ctx.Err(); err != nil {
		c.abort(context.Cause(c.ctx))
	}
	if !time.Now().Before(c.deadline) {
		c.abort(fmt.Errorf("%w: %v", ErrTimeout, c.mod.limits.Timeout))
	}
	if c.watch.read() > c.mod.limits.CPU {
		c.abort(fmt.Errorf("%w: %v", ErrCPU, c.mod.limits.CPU))
	}
}

// abort ends the guest from within a host function.
func (c *call) abort(err error) {
	c.stop = err
	panic(err)
}

// sleep sleeps for the guest, until the deadline at most.
func (c *call) sleep(ns int64) {
	d := time.Until(c.deadline)
	if ns >= 0 && time.Duration(ns) < d { // a negative one is an unsigned one beyond 292 years
		d = time.Duration(ns)
	}
	c.watch.pause()
	timer := time.NewTimer(d)
	select {
	case <-timer.C:
	case <-c.ctx.Done():
		timer.Stop()
	}
	c.watch.resume()
	c.check()
}

// failure turns the error of a guest function into the call's error.
func (c *call) failure(err error) error {
	if c.stop != nil {
		return c.withStderr(c.stop)
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	text = strings.TrimPrefix(text, "wasm error: ")
	text = strings.TrimSuffix(text, " (recovered by wazero)")
	return c.withStderr(fmt.Errorf("%w: %s", ErrTrap, text))
}

// withStderr adds what the guest's language runtime said last, which is often the only explanation there is.
func (c *call) withStderr(err error) error {
	if said := c.log.firstWords(); said != "" && !errors.Is(err, ErrTimeout) {
		return fmt.Errorf("%w (stderr: %s)", err, said)
	}
	return err
}

// outcome is the call's outcome for a guest's result.
func (c *call) outcome(result uint32) Outcome {
	o := Outcome{Reason: c.reason, RetryAfter: c.retryAfter}
	switch result {
	case resultAck:
		o.Kind = Ack
	case resultRetry:
		o.Kind = Retry
	case resultReject:
		o.Kind = Reject
	default:
		return c.failed(c.withStderr(fmt.Errorf("%w: %d", ErrResult, int32(result))))
	}
	return o
}

func (c *call) failed(err error) Outcome {
	o := Outcome{Kind: Failed, Reason: c.reason, RetryAfter: c.retryAfter, Err: err}
	if o.Reason == "" {
		o.Reason = clip(err.Error(), maxReason)
	}
	return o
}

// clip makes s valid UTF-8 of at most n bytes.
func clip(s string, n int) string {
	return strings.ToValidUTF8(s[:min(len(s), n)], "")
}
