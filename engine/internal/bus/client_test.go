package bus_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/getevo/rmds/engine/internal/bus"
)

// patience is how long a test waits for what must happen, before it says that it hangs.
const patience = 20 * time.Second

type message struct {
	subject string
	data    []byte
}

// client is a bus whose events are kept.
type client struct {
	bus.Bus
	events chan bus.Event
}

func newClient(b bus.Bus) *client {
	c := &client{Bus: b, events: make(chan bus.Event, 1000)}
	b.OnEvent(func(e bus.Event) { c.events <- e })
	return c
}

// next returns the next event that is not an Error, which failing attempts to connect may add anywhere.
func (c *client) next(t testing.TB) bus.Event {
	t.Helper()
	for {
		select {
		case e := <-c.events:
			if e.Kind != bus.Error {
				return e
			}
		case <-time.After(patience):
			t.Fatal("no event")
		}
	}
}

func (c *client) expect(t testing.TB, kind bus.EventKind) bus.Event {
	t.Helper()
	e := c.next(t)
	if e.Kind != kind {
		t.Fatalf("event %v %q, want %v", e.Kind, e.Text, kind)
	}
	return e
}

func (c *client) expectNoEvent(t testing.TB) {
	t.Helper()
	select {
	case e := <-c.events:
		t.Fatalf("unexpected event %v %q", e.Kind, e.Text)
	default:
	}
}

// subscribe returns a channel with the messages of a new subscription.
func (c *client) subscribe(t testing.TB, subject string) <-chan message {
	t.Helper()
	got := make(chan message, 10000)
	if _, err := c.Subscribe(subject, collect(got)); err != nil {
		t.Fatal(err)
	}
	return got
}

func collect(to chan<- message) bus.Handler {
	return func(subject string, data []byte) { to <- message{subject, data} }
}

func (c *client) publish(t testing.TB, subject, text string) {
	t.Helper()
	if err := c.Publish(subject, []byte(text)); err != nil {
		t.Errorf("publish to %s: %v", subject, err)
	}
}

var settled atomic.Int64

// settle waits until the server has done all that c asked of it and has sent c all messages it had for it.
func (c *client) settle(t testing.TB) {
	t.Helper()
	subject := fmt.Sprintf("settle.%d", settled.Add(1))
	back := make(chan message, 1)
	unsubscribe, err := c.Subscribe(subject, collect(back))
	if err != nil {
		t.Fatal(err)
	}
	defer unsubscribe()
	c.publish(t, subject, "")
	receive(t, back)
}

func receive(t testing.TB, from <-chan message) message {
	t.Helper()
	select {
	case m := <-from:
		return m
	case <-time.After(patience):
		t.Fatal("no message")
		panic("unreachable")
	}
}

func expectTexts(t testing.TB, from <-chan message, want ...string) {
	t.Helper()
	for _, text := range want {
		if m := receive(t, from); string(m.data) != text {
			t.Fatalf("got %q, want %q", m.data, text)
		}
	}
}

func expectNothing(t testing.TB, from ...<-chan message) {
	t.Helper()
	for _, c := range from {
		select {
		case m := <-c:
			t.Fatalf("unexpected message %q on %s", m.data, m.subject)
		default:
		}
	}
}

func fill(data []byte, b byte) {
	for i := range data {
		data[i] = b
	}
}

// expectNoGoroutines waits until no goroutine of a bus is left. Those of nats.go end soon after Close without
// telling anybody, so there is no event to wait for.
func expectNoGoroutines(t testing.TB) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		left := busGoroutines()
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still running:\n%s", strings.Join(left, "\n\n"))
		}
		runtime.Gosched()
	}
}

// busGoroutines returns the stacks of all goroutines that were started by this package or by nats.go.
func busGoroutines() (found []string) {
	buffer := make([]byte, 1<<20)
	for stack := range strings.SplitSeq(string(buffer[:runtime.Stack(buffer, true)]), "\n\n") {
		_, starter, _ := strings.Cut(stack, "created by ")
		if strings.HasPrefix(starter, "github.com/getevo/rmds/engine/internal/bus.") ||
			strings.HasPrefix(starter, "github.com/nats-io/nats%2ego.") || strings.HasPrefix(starter, "github.com/nats-io/nats.go.") {
			found = append(found, stack)
		}
	}
	return found
}
