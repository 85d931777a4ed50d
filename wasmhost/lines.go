package wasmhost

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero/sys"
)

// lines is a command in lines mode: it lives on, reads a message a line and answers each with a line.
//
//	caller:  handle ──call──► next            reply ◄──outcome── next           end
//	guest:   fd_read(stdin) ──────► works ──► writes its answer ──► fd_read(stdin)
//
// Guest code runs while a call waits for it, and at no other time: from a message's arrival until the guest asks for the
// next one. The guest has a goroutine of its own, because it sits in the middle of _start between messages; end waits
// for it. What is beside mod is used by the goroutine whose turn it is.
type lines struct {
	m       *Module
	inst    *instance
	calls   chan *call    // to the guest; closed by end
	turns   chan Outcome  // the guest waits for its next call, or has ended
	ended   chan struct{} // closed when the goroutine has returned
	input   []byte        // of the line that the guest reads
	output  []byte        // what it has written of its line
	started bool          // it has asked for its first message
}

var errEnd = errors.New("the instance is closed")

// start makes an instance and brings it to where it can take a message.
func (m *Module) start(ctx context.Context) (*instance, error) {
	if m.info.Kind == Lines {
		return m.startLines(ctx)
	}
	return m.startReactor(ctx)
}

// startLines runs a command up to its first look for a message, within the handler's time limits.
func (m *Module) startLines(ctx context.Context) (*instance, error) {
	inst := newInstance()
	l := &lines{m: m, inst: inst, calls: make(chan *call), turns: make(chan Outcome), ended: make(chan struct{})}
	inst.lines = l
	guestCtx, c := m.newCall(ctx, inst, nil, nil)
	inst.call = c
	config := m.config(inst, l, (*linesOutput)(l), append([]string{m.settings.Name}, m.settings.Args...))
	mod, err := m.host.runtime.InstantiateModule(guestCtx, m.compiled, config)
	if err != nil {
		c.watch.end()
		inst.finish()
		return nil, fmt.Errorf("%w: %w", ErrInit, c.failure(err))
	}
	inst.mod = mod
	go l.run(context.WithoutCancel(guestCtx)) // ctx is looked at through the call
	o := <-l.turns
	inst.finish()
	if o.Kind == Failed {
		inst.close(ctx)
		if c.reason != "" {
			return nil, fmt.Errorf("%w: %w: %s", ErrInit, o.Err, c.reason)
		}
		return nil, fmt.Errorf("%w: %w", ErrInit, o.Err)
	}
	return inst, nil
}

// run is the guest's goroutine.
func (l *lines) run(ctx context.Context) {
	defer close(l.ended)
	_, err := l.inst.mod.ExportedFunction(exportStart).Call(ctx)
	if errors.Is(err, errEnd) {
		return
	}
	c := l.inst.call
	c.watch.end()
	var exit *sys.ExitError
	switch {
	case c.stop == nil && err == nil:
		err = fmt.Errorf("%w instead of reading the next message", ErrExited)
	case c.stop == nil && errors.As(err, &exit):
		err = c.withStderr(fmt.Errorf("%w with status %d instead of reading the next message", ErrExited, int32(exit.ExitCode())))
	default:
		err = c.failure(err)
	}
	l.turns <- c.failed(err)
}

// handle has the guest handle a call and returns when it asks for the next one or has ended.
func (l *lines) handle(c *call) Outcome {
	l.calls <- c
	return <-l.turns
}

// end ends the guest where it waits, if it still does, and waits for its goroutine.
func (l *lines) end() {
	close(l.calls)
	<-l.ended
}

// Read is the guest's stdin. Reading beyond the line of the message asks for the next one, which says that this one is done.
func (l *lines) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(l.input) == 0 {
		l.input = l.next()
	}
	n := copy(p, l.input)
	l.input = l.input[n:]
	return n, nil
}

// next ends the guest's turn with its answer, or answers its question, and returns the next line for it.
func (l *lines) next() []byte {
	c := l.inst.call
	outcome := Outcome{Kind: Ack}
	if l.started {
		line := l.output
		l.output = nil
		a, err := parseAnswer(line)
		if err != nil {
			c.abort(err)
		}
		if a.asks() {
			return c.respond(a)
		}
		outcome = c.conclude(a)
	}
	l.started = true
	c.watch.end()
	l.turns <- outcome
	c, ok := <-l.calls
	if !ok {
		panic(errEnd)
	}
	l.inst.call = c
	return c.question()
}

// linesOutput is the guest's stdout. What it writes before its first message is log.
type linesOutput lines

func (o *linesOutput) Write(p []byte) (int, error) {
	l := (*lines)(o)
	if !l.started {
		return l.inst.stdout.Write(p)
	}
	c := l.inst.call
	limits := &l.m.limits
	most := 2*(limits.SendBytes+limits.KVBytes) + maxAnswer // base64 fits
	if int64(len(l.output)+len(p)) > most {
		c.abort(fmt.Errorf("%w: more than %d bytes in a line on stdout", ErrOverLimit, most))
	}
	l.output = append(l.output, p...)
	return len(p), nil
}

// oneLine returns the line that the guest wrote, without its end.
func oneLine(output []byte) ([]byte, error) {
	line, rest, whole := bytes.Cut(output, []byte("\n"))
	switch {
	case len(bytes.TrimSpace(output)) == 0:
		return nil, fmt.Errorf("%w: it asked for the next message without a line on stdout for this one", ErrAnswer)
	case !whole:
		return nil, fmt.Errorf("%w: the line on stdout has no end; is it flushed?", ErrAnswer)
	case len(bytes.TrimSpace(rest)) != 0:
		return nil, fmt.Errorf("%w: more than one line on stdout for one message; print logs on stderr", ErrAnswer)
	}
	return line, nil
}
