// Package logging makes the program's logger: text or JSON, in the form that the journal likes where the journal reads
// it, and with floods of one message cut down.
package logging

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
)

// Options of a logger.
type Options struct {
	Level   slog.Level
	JSON    bool // else text
	Journal bool // systemd's journal reads it: it stamps the time itself, and takes the priority from a prefix
}

// New returns a logger that writes to w.
func New(w io.Writer, o Options) *slog.Logger {
	h := &slog.HandlerOptions{Level: o.Level}
	switch {
	case o.JSON:
		return slog.New(limit(slog.NewJSONHandler(w, h)))
	case o.Journal:
		h.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
				return slog.Attr{}
			}
			return a
		}
		p := &prefixed{w: w}
		return slog.New(limit(&journal{slog.NewTextHandler(p, h), p}))
	}
	return slog.New(limit(slog.NewTextHandler(w, h)))
}

// prefixed puts the priority of a record before its line, as sd-daemon(3) has it.
type prefixed struct {
	w        io.Writer
	mu       sync.Mutex // held while a record is written
	priority int
}

// Write writes one line.
func (p *prefixed) Write(line []byte) (int, error) {
	if _, err := p.w.Write(append(fmt.Appendf(nil, "<%d>", p.priority), line...)); err != nil {
		return 0, err
	}
	return len(line), nil
}

// journal tells the prefix what is being written.
type journal struct {
	slog.Handler
	p *prefixed
}

// Handle writes the record.
func (j *journal) Handle(ctx context.Context, r slog.Record) error {
	j.p.mu.Lock()
	defer j.p.mu.Unlock()
	switch {
	case r.Level >= slog.LevelError:
		j.p.priority = 3
	case r.Level >= slog.LevelWarn:
		j.p.priority = 4
	case r.Level >= slog.LevelInfo:
		j.p.priority = 6
	default:
		j.p.priority = 7
	}
	return j.Handler.Handle(ctx, r)
}

// WithAttrs adds attributes to every record.
func (j *journal) WithAttrs(a []slog.Attr) slog.Handler {
	return &journal{j.Handler.WithAttrs(a), j.p}
}

// WithGroup puts the attributes that follow into a group.
func (j *journal) WithGroup(name string) slog.Handler {
	return &journal{j.Handler.WithGroup(name), j.p}
}
