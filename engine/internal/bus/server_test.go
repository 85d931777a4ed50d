package bus_test

import (
	"fmt"
	"net"
	"testing"

	"github.com/getevo/rmds/engine/internal/bus"
	"github.com/nats-io/nats-server/v2/server"
)

// testServer is a real NATS server on a fixed port of the loopback interface.
type testServer struct {
	options *server.Options
	running *server.Server
	url     string
}

// newServer prepares a server, changed by adjust if that is not nil, that is not running yet.
func newServer(t testing.TB, adjust func(*server.Options)) *testServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	s := &testServer{
		options: &server.Options{Host: "127.0.0.1", Port: port, NoLog: true, NoSigs: true},
		url:     fmt.Sprintf("nats://127.0.0.1:%d", port),
	}
	if adjust != nil {
		adjust(s.options)
	}
	t.Cleanup(s.stop)
	return s
}

func startServer(t testing.TB, adjust func(*server.Options)) *testServer {
	t.Helper()
	s := newServer(t, adjust)
	s.start(t)
	return s
}

func (s *testServer) start(t testing.TB) {
	t.Helper()
	running, err := server.NewServer(s.options.Clone())
	if err != nil {
		t.Fatal(err)
	}
	running.Start()
	if !running.ReadyForConnections(patience) {
		t.Fatal("server does not start")
	}
	s.running = running
}

func (s *testServer) stop() {
	if s.running != nil {
		s.running.Shutdown()
		s.running.WaitForShutdown()
		s.running = nil
	}
}

func connectNATS(t testing.TB, o bus.NATSOptions) bus.Bus {
	t.Helper()
	b, err := bus.NATS(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}
