package main

import (
	"bufio"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/getevo/rmds/engine"
)

// TestQuickStart runs the program as it is, before there is a NATS server, beside a second node: each gets what the other
// has sent.
func TestQuickStart(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:4222")
	if err != nil {
		t.Skip("the program wants a NATS server of its own on localhost:4222, and that port is taken: ", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	binary := filepath.Join(dir, "quickstart")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	program := exec.Command(binary)
	program.Dir, program.Stderr = dir, os.Stderr
	out, err := program.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = program.Wait() }() // "signal: killed"
	defer program.Process.Kill()

	config := engine.DefaultConfig()
	config.NodeID, config.StoragePath, config.Logger = "node-2", filepath.Join(dir, "node-2.db"), slog.New(slog.DiscardHandler)
	node, err := engine.New(config)
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	got := make(chan string, 1)
	channel := node.Join("my-channel", engine.RW, engine.WithStart(engine.StartAll))
	if err := channel.OnMessage(func(m *engine.Message) { m.Ack(); got <- string(m.Data) + " from " + m.Sender }); err != nil {
		t.Fatal(err)
	}

	nats, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: 4222, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	nats.Start()
	defer nats.Shutdown()
	expect(t, got, "Hello, World! from node-1")
	if err := channel.SendMessage("Hello, node 1!"); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 1)
	go func() {
		s := bufio.NewScanner(out)
		for s.Scan() {
			lines <- s.Text()
		}
	}()
	expect(t, lines, "Received: Hello, node 1! from node-2")
}

func expect(t *testing.T, got <-chan string, want string) {
	t.Helper()
	select {
	case s := <-got:
		if s != want {
			t.Fatalf("got %q, want %q", s, want)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("%q did not come", want)
	}
}
