package engine

import (
	"flag"
	"net"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

var outage = flag.Duration("scenario.outage", 2*time.Second, "how long NATS is away in the seed's scenarios 2 and 3")

// realNode starts a node that speaks to a real nats-server.
func realNode(t *testing.T, id, url string, change ...func(*Config)) *Connection {
	t.Helper()
	cfg := DefaultConfig()
	cfg.NodeID, cfg.StoragePath, cfg.Logger = id, filepath.Join(t.TempDir(), id+".db"), testLogger(t)
	cfg.NATSServers = []string{url}
	for _, f := range change {
		f(cfg)
	}
	c, err := New(cfg)
	check(t, err)
	t.Cleanup(func() { check(t, c.Close()) })
	return c
}

// collect handles a channel's messages by handing them on.
func collect(t *testing.T, ch *Channel) <-chan *Message {
	t.Helper()
	got := make(chan *Message, 1000)
	check(t, ch.OnMessage(func(m *Message) {
		got <- m
		if err := m.Ack(); err != nil {
			t.Error(err)
		}
	}))
	return got
}

func expect(t *testing.T, got <-chan *Message, text string, within time.Duration) {
	t.Helper()
	select {
	case m := <-got:
		if string(m.Data) != text {
			t.Fatalf("got %q, want %q", m.Data, text)
		}
	case <-time.After(within):
		t.Fatalf("%q did not come within %v", text, within)
	}
}

// freePort reserves a port for a server that is started later.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// TestScenario2 is the seed's: messages sent while NATS is away arrive within a second of its return. The test allows
// three, for busy machines; the time is logged.
func TestScenario2(t *testing.T) {
	t.Parallel()
	nats := runNATS(t, -1)
	port := nats.Addr().(*net.TCPAddr).Port
	url := nats.ClientURL()
	got := collect(t, realNode(t, "edge", url).Join("readings", ReadOnly))
	out := realNode(t, "sensor", url).Join("readings", WriteOnly)
	check(t, out.SendMessage("before"))
	expect(t, got, "before", 10*time.Second)
	nats.Shutdown()
	nats.WaitForShutdown()
	for i := range 10 {
		check(t, out.SendMessage("during "+strconv.Itoa(i)))
	}
	time.Sleep(*outage) // the outage itself
	nats = runNATS(t, port)
	defer nats.Shutdown()
	back := time.Now()
	for i := range 10 {
		expect(t, got, "during "+strconv.Itoa(i), 3*time.Second)
	}
	t.Logf("all there %v after NATS came back", time.Since(back))
}

// TestScenario3 is the seed's: both nodes start without NATS and without ever having met; what one sends arrives within
// a second of NATS's start. The test allows three, for busy machines; the time is logged.
func TestScenario3(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	url := "nats://127.0.0.1:" + strconv.Itoa(port)
	got := collect(t, realNode(t, "edge", url).Join("readings", ReadOnly))
	out := realNode(t, "sensor", url).Join("readings", WriteOnly)
	check(t, out.SendMessage("one"))
	check(t, out.SendMessage("two"))
	time.Sleep(*outage) // no NATS yet
	nats := runNATS(t, port)
	defer nats.Shutdown()
	back := time.Now()
	expect(t, got, "one", 3*time.Second)
	expect(t, got, "two", 3*time.Second)
	t.Logf("both there %v after NATS came up", time.Since(back))
}
