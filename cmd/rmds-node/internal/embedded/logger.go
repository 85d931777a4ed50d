package embedded

import (
	"fmt"
	"log/slog"
	"sync"
)

// logger passes what the server says on to slog. Its notices are this program's debug output: an operator of a node
// did not ask for a server's banner.
type logger struct {
	log *slog.Logger

	mu   sync.Mutex
	last string // why the server cannot go on
}

// fatal returns why the server cannot go on, "" if it can.
func (l *logger) fatal() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

func (l *logger) Noticef(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l *logger) Debugf(format string, v ...any)  { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l *logger) Tracef(format string, v ...any)  { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l *logger) Warnf(format string, v ...any)   { l.log.Warn(fmt.Sprintf(format, v...)) }
func (l *logger) Errorf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }

// Fatalf is what the server calls when it cannot listen. It does not end the process: Start returns it.
func (l *logger) Fatalf(format string, v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = fmt.Sprintf(format, v...)
}
