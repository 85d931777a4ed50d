package wasmhost

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"time"
)

// fuelSlice is the fuel that a guest gets at a time: about that many instructions, a fraction of a millisecond to a few.
const fuelSlice = 1 << 20

// importCost is the fuel of one call of a host function, so that a guest that does nothing else is asked after 64 of them.
const importCost = fuelSlice / 64

// pinAfter is how much wall time counts as processor time before the thread's clock takes over: a thread of its own
// makes every switch between goroutines dearer, so calls that are soon over do without.
const pinAfter = 5 * time.Millisecond

// call is one run of a guest function: a message, or the initialisation of an instance (msg is nil).
type call struct {
	ctx      context.Context
	mod      *Module
	msg      *Msg
	effects  Effects
	started  time.Time
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

// instanceKey is the key of the *instance in the context that host functions get.
type instanceKey struct{}

func callOf(ctx context.Context) *call { return ctx.Value(instanceKey{}).(*instance).call }

// newCall starts the clocks of a call, which inst is to run, and returns the context for the guest.
func (m *Module) newCall(ctx context.Context, inst *instance, msg *Msg, effects Effects) (context.Context, *call) {
	c := &call{ctx: ctx, mod: m, msg: msg, effects: effects, started: time.Now()}
	c.deadline = c.started.Add(m.limits.Timeout)
	if msg != nil && !msg.Deadline.IsZero() && msg.Deadline.Before(c.deadline) {
		c.deadline = msg.Deadline
	}
	c.log.c = c
	c.watch.begin()
	return context.WithValue(ctx, instanceKey{}, inst), c
}

// refill is what the metered guest calls when its fuel is spent: it returns more or does not return.
func (c *call) refill() uint64 {
	if c.check() > pinAfter {
		c.watch.pin()
	}
	return fuelSlice
}

// check ends the guest if its time is up, and returns the processor time so far.
func (c *call) check() time.Duration {
	if err := c.ctx.Err(); err != nil {
		c.abort(err)
	}
	if !time.Now().Before(c.deadline) {
		c.abort(fmt.Errorf("%w after %v", ErrTimeout, time.Since(c.started).Round(time.Millisecond)))
	}
	cpu := c.watch.read()
	if cpu > c.mod.limits.CPU {
		c.abort(fmt.Errorf("%w: %v", ErrCPU, c.mod.limits.CPU))
	}
	return cpu
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
	var bug runtime.Error
	if errors.As(err, &bug) { // of a host function or of Effects: wazero recovers and adds the stack
		c.log.write(slog.LevelError, "a host function panicked", "error", err)
		return fmt.Errorf("a host function panicked: %w", bug)
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
