package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// order is a command to a worker, one JSON object a line; each is answered with one answer.
type order struct {
	Do      string // send: burst, pace, single; receive: expect, settle
	N       int
	Window  int     // burst: accepted messages not yet waited for; single: concurrent callers
	Rate    int     // pace: messages per second
	Timeout float64 // seconds
}

// answer is what a worker has measured. Times are Unix nanoseconds of the machine's one clock.
type answer struct {
	Err         string
	First, Last int64     // burst: start and everything known to be done; expect: first and last message handled
	Accepted    int64     // burst: the last acceptance
	Latencies   []float64 // pace, single: microseconds until accepted; expect: from sending to the handler's start
	Count       int
	Repeated    int // messages that a reader got again: not counted, but handled twice
}

// runWorker is the process of one side. It ends with its input.
func runWorker(side string, in io.Reader, out io.Writer) error {
	dec, enc := json.NewDecoder(in), json.NewEncoder(out)
	var cfg clientConfig
	if err := dec.Decode(&cfg); err != nil {
		return err
	}
	var do func(context.Context, order) answer
	var closer interface{ close() error }
	switch side {
	case "send":
		s, err := newSender(cfg)
		if err != nil {
			return err
		}
		w := &sendWorker{s: s, readings: newReadings(cfg.Size)}
		do, closer = w.do, s
	case "receive":
		w := &receiveWorker{readers: cfg.Readers, seen: make([][]bool, cfg.Readers)}
		w.changed = sync.NewCond(&w.mu)
		r, err := newReceiver(cfg, w.handle)
		if err != nil {
			return err
		}
		w.r = r
		do, closer = w.do, r
	default:
		return fmt.Errorf("no side %q", side)
	}
	if err := enc.Encode(answer{}); err != nil {
		return err
	}
	for {
		var o order
		if err := dec.Decode(&o); errors.Is(err, io.EOF) {
			return closer.close()
		} else if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(o.Timeout*float64(time.Second)))
		a := do(ctx, o)
		cancel()
		if err := enc.Encode(a); err != nil {
			return err
		}
	}
}

type sendWorker struct {
	s        sender
	readings *readings
}

func (w *sendWorker) do(ctx context.Context, o order) (a answer) {
	var err error
	a.First = time.Now().UnixNano()
	switch o.Do {
	case "burst":
		err = w.burst(ctx, o, &a)
	case "pace":
		err = w.pace(ctx, o, &a)
	case "single":
		err = w.single(ctx, o, &a)
	default:
		err = fmt.Errorf("no order %q", o.Do)
	}
	a.Last = time.Now().UnixNano()
	if err != nil {
		a.Err = err.Error()
	}
	return a
}

// burst sends as fast as the system takes messages, with a window of them unanswered, and waits for the end.
func (w *sendWorker) burst(ctx context.Context, o order, a *answer) error {
	waits := make([]func(context.Context) error, 0, o.Window)
	for range o.N {
		if len(waits) == o.Window {
			half := o.Window/2 + 1
			for _, wait := range waits[:half] {
				if err := wait(ctx); err != nil {
					return err
				}
			}
			waits = waits[:copy(waits, waits[half:])]
		}
		wait, err := w.s.send(w.readings.next())
		if err != nil {
			return err
		}
		waits = append(waits, wait)
	}
	for _, wait := range waits {
		if err := wait(ctx); err != nil {
			return err
		}
	}
	a.Accepted = time.Now().UnixNano()
	return w.s.drained(ctx)
}

// pace sends at a steady rate whatever the system does, and times each acceptance.
func (w *sendWorker) pace(ctx context.Context, o order, a *answer) error {
	var mu sync.Mutex
	var group sync.WaitGroup
	var failed error
	begin := time.Now()
	for i := range o.N {
		time.Sleep(time.Until(begin.Add(time.Duration(i) * time.Second / time.Duration(o.Rate))))
		at := time.Now()
		wait, err := w.s.send(w.readings.next())
		if err != nil {
			return err
		}
		group.Go(func() {
			err := wait(ctx)
			took := float64(time.Since(at).Nanoseconds()) / 1000
			mu.Lock()
			defer mu.Unlock()
			a.Latencies = append(a.Latencies, took)
			failed = errors.Join(failed, err)
		})
	}
	group.Wait()
	a.Accepted = time.Now().UnixNano()
	return errors.Join(failed, w.s.drained(ctx))
}

// single is Window callers, each of which sends one message and waits for its acceptance before the next.
func (w *sendWorker) single(ctx context.Context, o order, a *answer) error {
	var group sync.WaitGroup
	var mu sync.Mutex // of the readings
	var left atomic.Int64
	left.Store(int64(o.N))
	errs := make([]error, o.Window)
	for c := range o.Window {
		group.Go(func() {
			for left.Add(-1) >= 0 && errs[c] == nil {
				mu.Lock()
				content := w.readings.next()
				mu.Unlock()
				wait, err := w.s.send(content)
				if err == nil {
					err = wait(ctx)
				}
				errs[c] = err
			}
		})
	}
	group.Wait()
	a.Accepted = time.Now().UnixNano()
	return errors.Join(errs...)
}

type receiveWorker struct {
	r       receiver
	readers int
	total   int // per reader, over all orders

	mu          sync.Mutex
	changed     *sync.Cond
	seen        [][]bool // by reader and number
	repeated    int
	count       int
	first, last int64
	latencies   []float64
}

func (w *receiveWorker) handle(reader int, content []byte) {
	now := time.Now().UnixNano()
	at, n, err := parseReading(content)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) // a system that changes messages has nothing to measure
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.seen[reader]) <= n {
		w.seen[reader] = append(w.seen[reader], make([]bool, 1<<16)...)
	}
	if w.seen[reader][n] {
		w.repeated++
		return
	}
	w.seen[reader][n] = true
	if w.count == 0 {
		w.first = now
	}
	w.count++
	w.last = now
	w.latencies = append(w.latencies, float64(now-at)/1000)
	w.changed.Signal()
}

// do waits until N messages have reached every reader since the last order, and their acknowledgements have arrived.
func (w *receiveWorker) do(ctx context.Context, o order) (a answer) {
	stop := context.AfterFunc(ctx, w.changed.Broadcast)
	defer stop()
	want := o.N * w.readers
	w.mu.Lock()
	for w.count < want && ctx.Err() == nil {
		w.changed.Wait()
	}
	a.Count, a.First, a.Last, a.Latencies, a.Repeated = w.count, w.first, w.last, w.latencies, w.repeated
	w.count, w.repeated, w.latencies = 0, 0, nil
	w.mu.Unlock()
	w.total += o.N
	switch {
	case a.Count < want:
		a.Err = fmt.Sprintf("%d of %d messages arrived", a.Count, want)
	default:
		if err := w.r.settled(ctx, w.total); err != nil {
			a.Err = err.Error()
		}
	}
	a.Accepted = time.Now().UnixNano()
	if o.Do != "latencies" {
		a.Latencies = nil
	}
	return a
}
