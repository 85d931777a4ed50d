package engine

import (
	"path/filepath"
	"testing"
	"time"
)

// realNode starts a node that speaks to a real nats-server.
func realNode(t testing.TB, id, url string, change ...func(*Config)) *Connection {
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
