package bus

import (
	"context"
	"errors"
	"net"
	"regexp"

	"github.com/nats-io/nats.go"
)

// OnEvent implements Bus.
func (b *natsBus) OnEvent(f func(Event)) {
	b.changing.Lock()
	defer b.changing.Unlock()
	b.listener = f
	if nc := b.live.Load(); nc != nil {
		b.tell(Event{Kind: Connected, Text: nc.ConnectedUrlRedacted()})
	} else if b.failure.Kind != 0 {
		b.tell(b.failure)
	}
}

// adopt makes nc the connection in use. It knows no subscription yet.
func (b *natsBus) adopt(nc *nats.Conn) {
	b.changing.Lock()
	defer b.changing.Unlock()
	b.current = nc
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dropped = nil
	for s := range b.subscriptions {
		s.remote = nil
	}
}

// up is called when nc has reached a server. It waits until the server has all subscriptions, opens Publish and
// tells.
func (b *natsBus) up(ctx context.Context, nc *nats.Conn) {
	b.changing.Lock()
	defer b.changing.Unlock()
	if b.current != nc {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	for ready := false; !ready; ready = b.open(nc) {
		b.attach(nc)
		if err := nc.FlushWithContext(ctx); err != nil {
			b.failLocked(err)
			if nc.IsConnected() {
				_ = nc.ForceReconnect() // fails only if nc was closed meanwhile
			}
			return // another up follows, or run begins again
		}
	}
	b.maxPayload.Store(nc.MaxPayload())
	b.failures, b.failure = nil, Event{}
	b.tell(Event{Kind: Connected, Text: nc.ConnectedUrlRedacted()})
}

// open lets Publish use nc, unless subscriptions have changed and nc does not know.
func (b *natsBus) open(nc *nats.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.dropped) > 0 {
		return false
	}
	for s := range b.subscriptions {
		if s.remote == nil {
			return false
		}
	}
	b.live.Store(nc)
	return true
}

// down is called when nc has lost its server or is closed. It closes Publish and tells.
func (b *natsBus) down(nc *nats.Conn, err error) {
	b.changing.Lock()
	defer b.changing.Unlock()
	if b.current != nc || b.live.Load() == nil {
		return
	}
	b.mu.Lock()
	b.live.Store(nil)
	b.mu.Unlock()
	b.failures, b.failure = nil, Event{}
	e := Event{Kind: Disconnected, Text: "connection given up"}
	if err != nil {
		e.Text = causeText(err)
	}
	b.tell(e)
}

// asyncError hears of the errors that nats.go cannot return to anybody.
func (b *natsBus) asyncError(_ *nats.Conn, sub *nats.Subscription, err error) {
	b.changing.Lock()
	defer b.changing.Unlock()
	switch {
	case errors.Is(err, nats.ErrPermissionViolation):
		b.tell(Event{Kind: AuthDenied, Subject: refusedSubject(err), Text: err.Error()})
	case errors.Is(err, nats.ErrSlowConsumer) && sub != nil:
		b.tell(Event{Kind: Error, Subject: sub.Subject, Text: "messages dropped: handler too slow"})
	default:
		b.failLocked(err)
	}
}

// fail tells of an error of the whole connection.
func (b *natsBus) fail(err error) {
	b.changing.Lock()
	defer b.changing.Unlock()
	b.failLocked(err)
}

// failLocked is fail for callers that hold changing. While the bus is down, attempts follow each other quickly
// and mostly fail alike, so each text is told once.
func (b *natsBus) failLocked(err error) {
	e := Event{Kind: Error, Text: causeText(err)}
	for _, refusal := range authErrors {
		if errors.Is(err, refusal) {
			e = Event{Kind: AuthDenied, Text: refusal.Error()}
		}
	}
	if b.live.Load() == nil {
		if b.failures[e.Text] || len(b.failures) == maxFailures {
			return
		}
		if b.failures == nil {
			b.failures = make(map[string]bool)
		}
		b.failures[e.Text] = true
		b.failure = e
	}
	b.tell(e)
}

// tell hands e to the listener and the log. The caller holds changing.
func (b *natsBus) tell(e Event) {
	if b.closing.Load() {
		return
	}
	b.logger.Debug("bus event", "kind", e.Kind, "subject", e.Subject, "text", e.Text)
	if b.listener != nil {
		b.listener(e)
	}
}

// authErrors are the server's ways to refuse credentials.
var authErrors = []error{
	nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired,
}

// refusal finds the subject in a server's `Permissions Violation for Publish to "a.b"`.
var refusal = regexp.MustCompile(` to "([^"\s]+)"`)

func refusedSubject(err error) string {
	if m := refusal.FindStringSubmatch(err.Error()); m != nil {
		return m[1]
	}
	return ""
}

// causeText describes err without this side's port, which differs from one attempt to the next.
func causeText(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Source != nil {
		here := *op
		here.Source = nil
		return here.Error()
	}
	return err.Error()
}
