package wasmhost

import (
	"runtime"
	"time"
)

// stopwatch measures the processor time of a guest, which runs on one goroutine.
//
// A call begins by the wall clock, which costs next to nothing. If it lasts, pin ties the goroutine to its thread and from
// then on the thread's own clock counts, so that a busy machine is not held against the guest. While the host works or
// sleeps for the guest the stopwatch is paused.
type stopwatch struct {
	total  time.Duration // up to the last reading
	start  time.Time     // of the wall clock's part, unless pinned or paused
	thread time.Duration // the thread's clock at the last reading, if pinned
	pinned bool
	paused bool
}

func (s *stopwatch) begin() { *s = stopwatch{start: time.Now()} }

// pin goes over to the thread's clock, where there is one. Only end undoes it, on the same goroutine.
func (s *stopwatch) pin() {
	if s.pinned {
		return
	}
	runtime.LockOSThread()
	now, ok := threadTime()
	if !ok {
		runtime.UnlockOSThread()
		return
	}
	s.read()
	s.pinned, s.thread = true, now
}

// read returns the time so far.
func (s *stopwatch) read() time.Duration {
	switch {
	case s.paused:
	case s.pinned:
		if now, ok := threadTime(); ok {
			s.total += now - s.thread
			s.thread = now
		}
	default:
		now := time.Now()
		s.total += now.Sub(s.start)
		s.start = now
	}
	return s.total
}

func (s *stopwatch) pause() {
	s.read()
	s.paused = true
}

func (s *stopwatch) resume() {
	s.paused = false
	if s.pinned {
		s.thread, _ = threadTime()
	} else {
		s.start = time.Now()
	}
}

// end stops the measurement and returns the total.
func (s *stopwatch) end() time.Duration {
	s.pause()
	if s.pinned {
		s.pinned = false
		runtime.UnlockOSThread()
	}
	return s.total
}
