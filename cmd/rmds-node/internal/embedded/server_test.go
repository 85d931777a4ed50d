package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

func start(t *testing.T, o Options) *Server {
	t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// echo sends one message through the connection and waits for it.
func echo(t *testing.T, c *nats.Conn) {
	t.Helper()
	sub, err := c.SubscribeSync("x")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Publish("x", []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if m, err := sub.NextMsg(10 * time.Second); err != nil || string(m.Data) != "hello" {
		t.Fatalf("NextMsg = %v, %v", m, err)
	}
}

func TestConnect(t *testing.T) {
	s := start(t, Options{Listen: "127.0.0.1:-1"})
	over, err := nats.Connect(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer over.Close()
	echo(t, over)
	inside, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		t.Fatal(err)
	}
	defer inside.Close()
	echo(t, inside)
	if inside.MaxPayload() != 1<<20 {
		t.Errorf("max payload is %d", inside.MaxPayload())
	}
}

// TestRestart holds that clients over both ways find the server again after a stop, at the same address.
func TestRestart(t *testing.T) {
	s := start(t, Options{Listen: "127.0.0.1:-1"})
	before := s.URL()
	lost, back := make(chan struct{}, 2), make(chan struct{}, 2)
	opts := []nats.Option{nats.MaxReconnects(-1), nats.ReconnectWait(10 * time.Millisecond), nats.ReconnectJitter(0, 0),
		nats.DisconnectErrHandler(func(*nats.Conn, error) { lost <- struct{}{} }), nats.ReconnectHandler(func(*nats.Conn) { back <- struct{}{} })}
	over, err := nats.Connect(s.URL(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer over.Close()
	inside, err := nats.Connect("", append(opts, nats.InProcessServer(s))...)
	if err != nil {
		t.Fatal(err)
	}
	defer inside.Close()
	s.Stop()
	s.Stop()
	if _, err := s.InProcessConn(); !errors.Is(err, ErrNotRunning) {
		t.Errorf("InProcessConn of a stopped server: %v", err)
	}
	wait(t, lost, "the loss")
	wait(t, lost, "the loss")
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	if s.URL() != before {
		t.Errorf("moved from %s to %s", before, s.URL())
	}
	wait(t, back, "the return")
	wait(t, back, "the return")
	echo(t, over)
	echo(t, inside)
}

func wait(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s was not seen", what)
	}
}

func TestStartTwice(t *testing.T) {
	if err := start(t, Options{Listen: "127.0.0.1:-1"}).Start(); err == nil {
		t.Error("a second Start succeeds")
	}
}

func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, err := New(Options{Listen: l.Addr().String(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("Start = %v", err)
	}
}

func TestAuthorization(t *testing.T) {
	s := start(t, Options{Listen: "127.0.0.1:-1", User: "u", Password: "p"})
	if c, err := nats.Connect(s.URL()); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("without credentials: %v, %v", c, err)
	}
	c, err := nats.Connect("", nats.InProcessServer(s), nats.UserInfo("u", "p"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	echo(t, c)
	tokened := start(t, Options{Listen: "127.0.0.1:-1", Token: "secret"})
	d, err := nats.Connect(tokened.URL(), nats.Token("secret"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	echo(t, d)
}

func TestNewRefuses(t *testing.T) {
	for _, o := range []Options{
		{Listen: "0.0.0.0:4222"}, {Listen: ":4222"}, {Listen: "[::]:4222"}, {Listen: "gateway:4222"},
		{Listen: "127.0.0.1"}, {Listen: "127.0.0.1:0"}, {Listen: "127.0.0.1:x"}, {Listen: "127.0.0.1:-2"},
		{Listen: "127.0.0.1:-1", LeafRemotes: []string{"nats://%zz"}},
	} {
		if s, err := New(o); err == nil {
			t.Errorf("New(%+v) = %v", o, s)
		}
	}
	for _, o := range []Options{{Listen: "localhost:4222"}, {Listen: "[::1]:4222"}, {Listen: "0.0.0.0:4222", Token: "t"}, {Listen: ":4222", User: "u"}} {
		if _, err := New(o); err != nil {
			t.Errorf("New(%+v): %v", o, err)
		}
	}
}

// TestLeaf sends between a client of the leaf and a client of its hub.
func TestLeaf(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "hub.conf")
	if err := os.WriteFile(conf, []byte("listen: 127.0.0.1:-1\nleafnodes { listen: 127.0.0.1:-1 }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	opts, err := natsserver.ProcessConfigFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	opts.NoSigs, opts.NoLog = true, true
	hub, err := natsserver.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	hub.Start()
	defer hub.Shutdown()
	if !hub.ReadyForConnections(10 * time.Second) {
		t.Fatal("the hub is not ready")
	}
	atHub, err := nats.Connect(hub.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer atHub.Close()
	sub, err := atHub.SubscribeSync("plant.*")
	if err != nil {
		t.Fatal(err)
	}
	if err := atHub.Flush(); err != nil {
		t.Fatal(err)
	}
	vars, err := hub.Varz(nil)
	if err != nil {
		t.Fatal(err)
	}
	remote := fmt.Sprintf("nats-leaf://127.0.0.1:%d", vars.LeafNode.Port)
	leaf := start(t, Options{Listen: "127.0.0.1:-1", LeafRemotes: []string{remote}})
	atLeaf, err := nats.Connect("", nats.InProcessServer(leaf))
	if err != nil {
		t.Fatal(err)
	}
	defer atLeaf.Close()
	// The interest of the hub arrives with the leaf connection: publish until it has.
	deadline := time.Now().Add(20 * time.Second)
	for {
		if err := atLeaf.Publish("plant.x", []byte("1")); err != nil {
			t.Fatal(err)
		}
		if _, err := sub.NextMsg(50 * time.Millisecond); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing of the leaf arrives at the hub")
		}
	}
}
