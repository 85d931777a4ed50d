package wasmhost

import (
	"context"
	"fmt"
	"sync"
)

// pool bounds how many calls run at once and keeps the instances that are free.
type pool struct {
	slots  chan struct{} // a token for each call that runs
	closed chan struct{}

	mu     sync.Mutex
	idle   []*instance // the last used one last: its memory is warm
	resets int         // how often Reset was called
	done   bool        // closed is closed
}

func (p *pool) init(n int) {
	p.slots = make(chan struct{}, n)
	p.closed = make(chan struct{})
}

// enter waits for a slot.
func (p *pool) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-p.closed:
		return fmt.Errorf("module: %w", ErrClosed)
	}
	select {
	case <-p.closed: // Close has what it waited for
		p.leave()
		return fmt.Errorf("module: %w", ErrClosed)
	default:
		return nil
	}
}

func (p *pool) leave() { <-p.slots }

// take returns a free instance, nil if there is none, and a mark to give it back with.
func (p *pool) take() (inst *instance, mark int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.idle); n > 0 {
		inst = p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
	}
	return inst, p.resets
}

// give takes an instance back, unless Reset was called since mark.
func (p *pool) give(inst *instance, mark int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if mark != p.resets {
		return false
	}
	p.idle = append(p.idle, inst)
	return true
}

// drain empties the pool of free instances and turns away those in use.
func (p *pool) drain() []*instance {
	p.mu.Lock()
	defer p.mu.Unlock()
	idle := p.idle
	p.idle = nil
	p.resets++
	return idle
}

// Call runs one message. It may be called by several goroutines at once; more than Limits.Instances wait for one
// another. It returns when the guest has ended, ctx having ended included.
func (m *Module) Call(ctx context.Context, msg *Msg, effects Effects) Outcome {
	if err := m.pool.enter(ctx); err != nil {
		return refusedCall(err)
	}
	defer m.pool.leave()
	return m.run(ctx, msg, effects)
}

// refusedCall is the outcome of a call that could not begin.
func refusedCall(err error) Outcome {
	return Outcome{Kind: Failed, Reason: clip(err.Error(), maxReason), Err: err}
}

// run runs one message in a slot of the pool that the caller has entered.
func (m *Module) run(ctx context.Context, msg *Msg, effects Effects) Outcome {
	if m.info.Kind == Command {
		return m.runCommand(ctx, msg, effects)
	}
	inst, mark := m.pool.take()
	if inst == nil {
		var err error
		if inst, err = m.start(ctx); err != nil {
			return refusedCall(err)
		}
	}
	o, clean := m.handle(ctx, inst, msg, effects)
	if !clean || !m.pool.give(inst, mark) {
		inst.close(ctx)
	}
	return o
}

// Reset throws the instances away, those in use as soon as their call has ended. It is for callers that discarded what
// earlier calls had done: what guests remember of it must go too.
func (m *Module) Reset() {
	for _, inst := range m.pool.drain() {
		inst.close(context.Background())
	}
}

// Close waits for the calls that run, refuses new ones and frees the module. If ctx ends first it returns its error, and
// Close may be called again.
func (m *Module) Close(ctx context.Context) error {
	m.pool.mu.Lock()
	if !m.pool.done {
		m.pool.done = true
		close(m.pool.closed)
	}
	m.pool.mu.Unlock()
	for n := range cap(m.pool.slots) {
		select {
		case m.pool.slots <- struct{}{}:
		case <-ctx.Done():
			for range n {
				m.pool.leave()
			}
			return fmt.Errorf("module %s still runs: %w", m.settings.Name, ctx.Err())
		}
	}
	m.Reset()
	for range cap(m.pool.slots) {
		m.pool.leave()
	}
	return m.compiled.Close(ctx)
}
