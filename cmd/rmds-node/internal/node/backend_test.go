package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/getevo/rmds/cmd/rmds-node/internal/admin"
	"github.com/getevo/rmds/cmd/rmds-node/internal/config"
	"github.com/getevo/rmds/engine"
	stats "github.com/getevo/rmds/handlers/stats-wat"
)

// start runs a node in this process, with a server of its own and the demo's handler.
func start(t *testing.T, delivery string) *Node {
	t.Helper()
	dir, err := os.MkdirTemp("", "rmds") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	put(t, dir, "stats.wasm", string(stats.Module))
	c := parse(t, filepath.Join(dir, "node.toml"), `
[node]
id = "box"
data_dir = "data"
[nats]
embedded = true
listen = "127.0.0.1:-1"
[admin]
socket = "admin.sock"
[[channel]]
name = "readings"
role = "both"
[[channel]]
name = "alerts"
role = "writer"
[[handler]]
name = "stats"
module = "stats.wasm"
channels = ["readings"]
`+delivery)
	n, err := Start(context.Background(), c, Program{Version: "test"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return n
}

// TestList reads a store through the socket, page by page, and compares it with what single reads say.
func TestList(t *testing.T) {
	n := start(t, "")
	sender := writerNode(t, n)
	ch := sender.Join("readings", engine.WriteOnly)
	for i, metric := range []string{"a", "b", "c"} {
		reading := fmt.Sprintf(`{"n":%d,"metric":%q,"value":1.0}`, i+1, metric)
		if _, err := ch.Request(t.Context(), "box", reading); err != nil {
			t.Fatal(err)
		}
	}
	c := admin.NewClient(n.config.Admin.Socket)
	defer c.Close()
	for prefix, want := range map[string]string{
		"mean/":  "mean/a mean/b mean/c",
		"mean/b": "mean/b",
		"seen/":  "seen/1 seen/2 seen/3",
		"zzz":    "",
		"":       "count last mean/a mean/b mean/c seen/1 seen/2 seen/3 window/a window/b window/c",
	} {
		for _, limit := range []int{1, 2, 100} {
			var keys []string
			for after, more := "", true; more; {
				page, err := c.List(t.Context(), "stats", prefix, after, limit)
				if err != nil {
					t.Fatal(err)
				}
				if len(page.Entries) > limit {
					t.Fatalf("a page of %d has %d entries", limit, len(page.Entries))
				}
				for _, e := range page.Entries {
					keys, after = append(keys, e.Key), e.Key
					if v, err := c.Get(t.Context(), "stats", e.Key); err != nil || string(v) != string(e.Value) {
						t.Errorf("%s is %q in the list, %q, %v alone", e.Key, e.Value, v, err)
					}
				}
				more = page.More
			}
			if got := strings.Join(keys, " "); got != want {
				t.Errorf("prefix %q by %d: %s, want %s", prefix, limit, got, want)
			}
		}
	}
}

// writerNode is another node on the server inside n.
func writerNode(t *testing.T, n *Node) *engine.Connection {
	t.Helper()
	cfg := engine.DefaultConfig()
	cfg.NodeID, cfg.StoragePath, cfg.NATSServers = "sender", filepath.Join(t.TempDir(), "sender.db"), []string{n.server.URL()}
	cfg.Logger = slog.New(slog.DiscardHandler)
	conn, err := engine.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return conn
}

// TestErrorCodes holds that what the engine refuses arrives under the documented code.
func TestErrorCodes(t *testing.T) {
	n := start(t, "[delivery]\nmax_message_bytes = \"100B\"\n")
	c := admin.NewClient(n.config.Admin.Socket)
	defer c.Close()
	want := func(code admin.Code, m admin.Outgoing) {
		t.Helper()
		_, err := c.Send(t.Context(), m)
		var e *admin.Error
		if !errors.As(err, &e) || e.Code != code {
			t.Errorf("%+v: %v, want %s", m, err, code)
		}
	}
	want(admin.CodeNotFound, admin.Outgoing{Channel: "nothing"})
	want(admin.CodeBadRequest, admin.Outgoing{Channel: "alerts", To: "a.b"})
	want(admin.CodeTooLarge, admin.Outgoing{Channel: "alerts", Content: make([]byte, 100)}) // with its headers it is more
	want(admin.CodeTooLarge, admin.Outgoing{Channel: "alerts", Content: make([]byte, 101)})
	for cause, code := range map[error]admin.Code{
		engine.ErrQueueFull: admin.CodeQueueFull, engine.ErrNotWriter: admin.CodeNotAllowed, engine.ErrStorage: admin.CodeStorage,
		engine.ErrClosed: admin.CodeClosed, context.DeadlineExceeded: admin.CodeTimeout,
	} {
		var e *admin.Error
		if err := apiError(fmt.Errorf("send: %w", cause)); !errors.As(err, &e) || e.Code != code || e.Message != "send: "+cause.Error() {
			t.Errorf("%v becomes %v, want %s", cause, err, code)
		}
	}
}

func TestStatus(t *testing.T) {
	n := start(t, "")
	c := admin.NewClient(n.config.Admin.Socket)
	defer c.Close()
	s, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.Node != "box" || s.Version != "test" || s.Database != n.config.Database() || s.StoreID == "" || s.Run == "" || s.Health != "ok" {
		t.Errorf("status is %+v", s)
	}
	if len(s.Channels) != 2 || s.Channels[1] != (admin.ChannelStatus{Name: "readings", Role: "both", Awake: true}) {
		t.Errorf("channels are %+v", s.Channels)
	}
	if len(s.Handlers) != 1 || s.Handlers[0].Name != "stats" || s.Handlers[0].Kind != "reactor" {
		t.Errorf("handlers are %+v", s.Handlers)
	}
}

// TestStartFails holds that a start that fails half-way leaves nothing behind that would stop the next one.
func TestStartFails(t *testing.T) {
	n := start(t, "")
	c := *n.config
	c.Node.ID, c.Node.DataDir = "other", t.TempDir()
	if _, err := Start(t.Context(), &c, Program{Version: "test"}, slog.New(slog.DiscardHandler)); !errors.Is(err, admin.ErrInUse) {
		t.Fatalf("Start on a socket in use: %v", err)
	}
	c.Admin.Socket += "2"
	again, err := Start(t.Context(), &c, Program{Version: "test"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("Start, once the reason is gone: %v", err)
	}
	if err := again.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestBadPlaces holds that places where the node cannot write are faults of the configuration.
func TestBadPlaces(t *testing.T) {
	dir := t.TempDir()
	file := put(t, dir, "file", "")
	for key, text := range map[string]string{
		"node.data_dir": "[node]\ndata_dir = \"file\"\n",
		"admin.socket":  "[node]\ndata_dir = \"data\"\n[admin]\nsocket = \"file\"\n",
	} {
		c := parse(t, filepath.Join(dir, "node.toml"), text)
		_, err := Start(t.Context(), c, Program{Version: "test"}, slog.New(slog.DiscardHandler))
		var faults config.Faults
		if !errors.As(err, &faults) || faults[0].Key != key || !strings.Contains(faults[0].Message, file) || faults[0].Line == 0 {
			t.Errorf("%s that is a file: %v", key, err)
		}
	}
}
