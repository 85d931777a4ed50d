package wasmhost

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"time"
)

const (
	maxLogLine  = 4 << 10 // longer lines are cut
	logLineCost = 32      // bytes that a line counts beyond its text
	stderrKept  = 256     // bytes of a call's stderr that go into the error of a failure
)

// callLog passes a call's log lines on, within the limits of the message and of the handler.
type callLog struct {
	c       *call
	bytes   int
	dropped int
	stderr  []byte
}

// line logs one line at once, or counts it as dropped.
func (l *callLog) line(level slog.Level, text []byte) {
	m := l.c.mod
	text = bytes.TrimRight(text[:min(len(text), maxLogLine)], "\r\n")
	cost := len(text) + logLineCost
	if l.bytes+cost > m.limits.LogBytes || !m.logRate.AllowN(time.Now(), cost) {
		l.dropped++
		return
	}
	l.bytes += cost
	l.write(level, strings.ToValidUTF8(string(text), "\uFFFD"))
}

func (l *callLog) write(level slog.Level, text string, args ...any) {
	if l.c.msg != nil {
		args = append(args, "message", l.c.msg.ID)
	}
	l.c.mod.logger.Log(context.WithoutCancel(l.c.ctx), level, text, args...)
}

// close reports what was dropped.
func (l *callLog) close() {
	if l.dropped > 0 {
		l.write(slog.LevelWarn, "the handler's log was cut", "lines_dropped", l.dropped)
	}
}

// firstWords is the beginning of what the call wrote to stderr, on one line.
func (l *callLog) firstWords() string {
	lines := strings.FieldsFunc(string(l.stderr), func(r rune) bool { return r == '\n' || r == '\r' })
	return strings.ToValidUTF8(strings.Join(lines, "; "), "")
}

// stream is an instance's stdout or stderr: a line is a log line of the call that runs.
type stream struct {
	inst  *instance
	level slog.Level
	part  []byte // of a line
}

// Write never fails: a guest that cannot log must still be able to work.
func (s *stream) Write(p []byte) (int, error) {
	c := s.inst.call
	if c == nil {
		return len(p), nil
	}
	if l := &c.log; s.level > slog.LevelInfo && len(l.stderr) < stderrKept {
		l.stderr = append(l.stderr, p[:min(len(p), stderrKept-len(l.stderr))]...)
	}
	n := len(p)
	for {
		line, rest, ended := bytes.Cut(p, []byte("\n"))
		if room := maxLogLine - len(s.part); len(line) > room {
			line = line[:room]
		}
		s.part = append(s.part, line...)
		if !ended {
			return n, nil
		}
		s.flush()
		if c.log.dropped > 0 {
			c.check() // a guest may hand over millions of lines in one call
		}
		p = rest
	}
}

// flush logs the line so far.
func (s *stream) flush() {
	if len(s.part) > 0 && s.inst.call != nil {
		s.inst.call.log.line(s.level, s.part)
	}
	s.part = s.part[:0]
}
