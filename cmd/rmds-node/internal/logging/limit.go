package logging

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Of one message about one peer and channel, burst pass within a window; the rest of the window's is only counted, and
// the next one that passes says how many there were. Debug messages, which somebody has asked for, all pass.
const (
	burst   = 10
	window  = time.Minute
	maxKeys = 4096
)

// limited passes on what is not too much.
type limited struct {
	slog.Handler
	s *counts
}

// counts are shared by a handler and those made of it.
type counts struct {
	mu  sync.Mutex
	all map[key]*tally
}

type key struct {
	level                  slog.Level
	message, peer, channel string
}

// tally counts within the window that began at since.
type tally struct {
	since        time.Time
	seen, silent int
}

func limit(h slog.Handler) slog.Handler { return &limited{h, &counts{all: map[key]*tally{}}} }

// Handle writes the record, or counts it.
func (l *limited) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelInfo {
		return l.Handler.Handle(ctx, r)
	}
	pass, silent := l.s.count(&r)
	if !pass {
		return nil
	}
	if silent > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("not_logged", silent))
	}
	return l.Handler.Handle(ctx, r)
}

// count says whether a record passes, and how many like it did not since the last that did.
func (c *counts) count(r *slog.Record) (pass bool, silent int) {
	k := key{level: r.Level, message: r.Message}
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "peer":
			k.peer = a.Value.String()
		case "channel":
			k.channel = a.Value.String()
		}
		return true
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.all[k]
	if t == nil {
		if len(c.all) >= maxKeys {
			clear(c.all) // a flood of different ones: begin anew rather than grow
		}
		t = &tally{since: r.Time}
		c.all[k] = t
	}
	if age := r.Time.Sub(t.since); age >= window || age < 0 { // below 0: the clock was set back
		silent = t.silent
		*t = tally{since: r.Time}
	}
	t.seen++
	if t.seen > burst {
		t.silent++
		return false, 0
	}
	return true, silent
}

// WithAttrs adds attributes to every record.
func (l *limited) WithAttrs(a []slog.Attr) slog.Handler {
	return &limited{l.Handler.WithAttrs(a), l.s}
}

// WithGroup puts the attributes that follow into a group.
func (l *limited) WithGroup(name string) slog.Handler {
	return &limited{l.Handler.WithGroup(name), l.s}
}
