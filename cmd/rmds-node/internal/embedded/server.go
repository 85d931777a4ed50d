// Package embedded runs a nats-server in this process: core NATS alone, without JetStream, for a box that has no NATS
// of its own. It listens on loopback, so that other nodes of the box can use it; elsewhere only with authorization.
package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Options say how the server listens and who may connect. User with Password, or Token, or neither.
type Options struct {
	Listen         string // host:port; port -1 takes a free one, which later starts keep
	User, Password string
	Token          string
	LeafRemotes    []string // URLs of hubs to connect to as a leaf node; may be empty
	LeafCredsFile  string   // credentials for them; may be empty
	MaxPayload     int32    // bytes of one NATS message; 0 means the server's 1 MiB
	Logger         *slog.Logger
}

// readyTimeout bounds the wait for a started server. It listens within milliseconds or not at all.
const readyTimeout = 10 * time.Second

// ErrNotRunning: the server is stopped.
var ErrNotRunning = errors.New("embedded NATS server: not running")

// Server is a nats-server that can be stopped and started again on the same address. Its methods may be called from
// any goroutine.
type Server struct {
	opts Options
	host string

	mu   sync.Mutex
	port int // the actual one after the first start
	s    *server.Server
}

// New checks the options. It starts nothing.
func New(o Options) (*Server, error) {
	host, port, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("embedded NATS server: listen address: %w", err)
	}
	n, err := strconv.Atoi(port)
	if err != nil || n < -1 || n == 0 || n > 65535 {
		return nil, fmt.Errorf("embedded NATS server: listen address %s: port %q: use 1 to 65535, or -1 for a free one", o.Listen, port)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) && o.User == "" && o.Token == "" {
		return nil, fmt.Errorf("embedded NATS server: %s lets other machines in without authorization", o.Listen)
	}
	for _, r := range o.LeafRemotes {
		if _, err := url.Parse(r); err != nil {
			return nil, fmt.Errorf("embedded NATS server: leaf remote: %w", err)
		}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Server{opts: o, host: host, port: n}, nil
}

// Start starts the server and returns when it takes connections.
func (e *Server) Start() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.s != nil {
		return errors.New("embedded NATS server: already running")
	}
	opts, err := e.serverOptions()
	if err != nil {
		return err
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return fmt.Errorf("embedded NATS server: %w", err)
	}
	l := &logger{log: e.opts.Logger.With("part", "nats-server")}
	s.SetLoggerV2(l, false, false, false)
	s.Start()
	if err := ready(s, l); err != nil {
		s.Shutdown()
		s.WaitForShutdown()
		return fmt.Errorf("embedded NATS server on %s: %w", e.opts.Listen, err)
	}
	if a, ok := s.Addr().(*net.TCPAddr); ok {
		e.port = a.Port
	}
	e.s = s
	return nil
}

// ready waits until the server takes connections or has said that it cannot.
func ready(s *server.Server, l *logger) error {
	for deadline := time.Now().Add(readyTimeout); !s.ReadyForConnections(50 * time.Millisecond); {
		if text := l.fatal(); text != "" {
			return errors.New(text)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not ready within %v", readyTimeout)
		}
	}
	return nil
}

func (e *Server) serverOptions() (*server.Options, error) {
	o := &server.Options{
		ServerName: "rmds-embedded-" + strconv.FormatInt(time.Now().UnixNano(), 36), // names must differ between leaf and hub
		Host:       e.host, Port: e.port,
		Username: e.opts.User, Password: e.opts.Password, Authorization: e.opts.Token,
		MaxPayload: e.opts.MaxPayload,
		NoSigs:     true, // the process's signals are not the server's
	}
	var remotes []*url.URL
	for _, r := range e.opts.LeafRemotes {
		u, err := url.Parse(r)
		if err != nil {
			return nil, fmt.Errorf("embedded NATS server: leaf remote: %w", err)
		}
		remotes = append(remotes, u)
	}
	if len(remotes) > 0 {
		o.LeafNode.Remotes = []*server.RemoteLeafOpts{{URLs: remotes, Credentials: e.opts.LeafCredsFile}}
	}
	return o, nil
}

// Stop stops the server and returns when it has ended. Stopping a stopped server does nothing.
func (e *Server) Stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.s == nil {
		return
	}
	e.s.Shutdown()
	e.s.WaitForShutdown()
	e.s = nil
}

// URL returns the address for clients on this machine, the actual port included once the server has been started.
func (e *Server) URL() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	host := e.host
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "nats://" + net.JoinHostPort(host, strconv.Itoa(e.port))
}

// InProcessConn connects to the server without a socket; it makes a Server what nats.go and the engine call an
// in-process connection provider. While the server is stopped the error wraps ErrNotRunning.
func (e *Server) InProcessConn() (net.Conn, error) {
	e.mu.Lock()
	s := e.s
	e.mu.Unlock()
	if s == nil {
		return nil, ErrNotRunning
	}
	return s.InProcessConn()
}
