package bus_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/getevo/rmds/engine/internal/bus"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
)

func TestServerStartsAfterTheClient(t *testing.T) {
	s := newServer(t, func(o *server.Options) { o.MaxPayload = 4096 })
	c := newClient(connectNATS(t, bus.NATSOptions{Servers: []string{s.url}}))
	refused := <-c.events
	if refused.Kind != bus.Error || !strings.Contains(refused.Text, "refused") {
		t.Fatalf("event %v %q, want the reason", refused.Kind, refused.Text)
	}
	if err := c.Publish("x", nil); !errors.Is(err, bus.ErrDisconnected) {
		t.Fatalf("publishing before the server started: %v", err)
	}
	if c.Connected() || c.MaxPayload() != 1<<20 {
		t.Fatalf("connected %v, max payload %d", c.Connected(), c.MaxPayload())
	}
	got := c.subscribe(t, "x")
	s.start(t)
	select {
	case e := <-c.events:
		if e.Kind != bus.Connected || !strings.Contains(e.Text, "127.0.0.1") {
			t.Fatalf("event %v %q, want Connected; a cause is to be told once", e.Kind, e.Text)
		}
	case <-time.After(patience):
		t.Fatal("not connected")
	}
	if c.MaxPayload() != 4096 {
		t.Errorf("max payload %d, the server's is 4096", c.MaxPayload())
	}
	c.publish(t, "x", "1")
	expectTexts(t, got, "1")
}

// A subscription that ended while the server was away must not come back with it.
func TestServerForgetsWhatEndedWhileDown(t *testing.T) {
	s := startServer(t, nil)
	c := newClient(connectNATS(t, bus.NATSOptions{Servers: []string{s.url}}))
	c.expect(t, bus.Connected)
	base := s.running.NumSubscriptions()
	unsubscribe, err := c.Subscribe("x", func(string, []byte) {})
	if err != nil {
		t.Fatal(err)
	}
	c.settle(t)
	s.stop()
	c.expect(t, bus.Disconnected)
	unsubscribe()
	s.start(t)
	c.expect(t, bus.Connected)
	if n := s.running.NumSubscriptions(); n != base {
		t.Errorf("the server has %d subscriptions, before there were %d", n, base)
	}
}

func TestOnEventAfterConnecting(t *testing.T) {
	s := startServer(t, nil)
	b := connectNATS(t, bus.NATSOptions{Servers: []string{s.url}})
	for deadline := time.Now().Add(patience); !b.Connected(); {
		if time.Now().After(deadline) {
			t.Fatal("not connected")
		}
	}
	c := newClient(b)
	c.expect(t, bus.Connected)
	c.settle(t)
	c.expectNoEvent(t)
}

func TestRefusedSubjects(t *testing.T) {
	s := startServer(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "node", Password: "p", Permissions: &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: []string{"mine.>", "settle.>"}},
			Subscribe: &server.SubjectPermission{Allow: []string{"mine.>", "settle.>"}},
		}}}
	})
	c := newClient(connectNATS(t, bus.NATSOptions{Servers: []string{s.url}, User: "node", Password: "p"}))
	c.expect(t, bus.Connected)

	c.publish(t, "theirs.1", "forged")
	if e := c.expect(t, bus.AuthDenied); e.Subject != "theirs.1" || !strings.Contains(e.Text, "Publish") {
		t.Errorf("refused publish told as %+v", e)
	}
	c.subscribe(t, "theirs.*")
	if e := c.expect(t, bus.AuthDenied); e.Subject != "theirs.*" || !strings.Contains(e.Text, "Subscription") {
		t.Errorf("refused subscription told as %+v", e)
	}
	got := c.subscribe(t, "mine.*")
	c.publish(t, "mine.1", "legal")
	expectTexts(t, got, "legal")
	c.expectNoEvent(t)

	s.stop()
	c.expect(t, bus.Disconnected)
	s.start(t)
	first, second := c.next(t), c.next(t) // which comes first depends on the server
	if first.Kind == bus.Connected {
		first, second = second, first
	}
	if first.Kind != bus.AuthDenied || first.Subject != "theirs.*" || second.Kind != bus.Connected {
		t.Errorf("after the restart: %+v, %+v", first, second)
	}
}

// An operator replaces the key on the server and then in the node's file, while the node runs.
func TestCredentialsReplaced(t *testing.T) {
	file := filepath.Join(t.TempDir(), "node.nk")
	publicA := writeNKey(t, file)
	s := newServer(t, func(o *server.Options) { o.Nkeys = []*server.NkeyUser{{Nkey: publicA}} })
	s.start(t)
	c := newClient(connectNATS(t, bus.NATSOptions{Servers: []string{s.url}, NKeyFile: file}))
	got := c.subscribe(t, "x")
	c.expect(t, bus.Connected)
	s.stop()
	c.expect(t, bus.Disconnected)

	publicB := writeNKey(t, filepath.Join(t.TempDir(), "other.nk"))
	s.options.Nkeys[0].Nkey = publicB
	s.start(t)
	if e := c.expect(t, bus.AuthDenied); e.Subject != "" {
		t.Errorf("refused credentials told as %+v", e)
	}
	if err := c.Publish("x", nil); !errors.Is(err, bus.ErrDisconnected) {
		t.Errorf("publishing with refused credentials: %v", err)
	}
	s.stop()
	s.options.Nkeys[0].Nkey = writeNKey(t, file)
	s.start(t)
	c.expect(t, bus.Connected)
	c.publish(t, "x", "1")
	expectTexts(t, got, "1")
}

// writeNKey writes a new user's seed to file and returns the public key.
func writeNKey(t *testing.T, file string) string {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, seed, 0o600); err != nil {
		t.Fatal(err)
	}
	return public
}

// replaceable is a server in this process that can be exchanged for another.
type replaceable struct {
	current atomic.Pointer[server.Server]
	asked   atomic.Int64
}

func (r *replaceable) InProcessConn() (net.Conn, error) {
	r.asked.Add(1)
	if s := r.current.Load(); s != nil {
		return s.InProcessConn()
	}
	return nil, errors.New("no server now")
}

func (r *replaceable) start(t *testing.T) {
	t.Helper()
	s, err := server.NewServer(&server.Options{DontListen: true, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(patience) {
		t.Fatal("server does not start")
	}
	r.current.Store(s)
	t.Cleanup(s.Shutdown)
}

func TestServerInProcessReplaced(t *testing.T) {
	var r replaceable
	r.start(t)
	c := newClient(connectNATS(t, bus.NATSOptions{InProcess: &r}))
	c.expect(t, bus.Connected)
	got := c.subscribe(t, "x")
	for range 2 {
		r.current.Swap(nil).Shutdown()
		c.expect(t, bus.Disconnected)
		r.start(t)
		c.expect(t, bus.Connected)
		c.publish(t, "x", "1")
		expectTexts(t, got, "1")
	}
	if r.asked.Load() < 3 {
		t.Errorf("asked for a connection %d times", r.asked.Load())
	}
}

// A server that takes connections and never says a word must not hold anybody up.
func TestSilentServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := newClient(connectNATS(t, bus.NATSOptions{Servers: []string{l.Addr().String()}}))
	silent, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	c.subscribe(t, "x")
	if err := c.Publish("x", nil); !errors.Is(err, bus.ErrDisconnected) {
		t.Errorf("publish: %v", err)
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		c.Close()
	}()
	select {
	case <-closed:
	case <-time.After(4 * time.Second):
		t.Error("Close waits for the greeting of a silent server")
	}
	expectNoGoroutines(t)
}

func TestSlowHandler(t *testing.T) {
	s := startServer(t, func(o *server.Options) { o.MaxPending = 1 << 30 })
	c := newClient(connectNATS(t, bus.NATSOptions{Servers: []string{s.url}}))
	c.expect(t, bus.Connected)
	release := make(chan struct{})
	if _, err := c.Subscribe("slow", func(string, []byte) { <-release }); err != nil {
		t.Fatal(err)
	}
	publisher := newClient(connectNATS(t, bus.NATSOptions{Servers: []string{s.url}}))
	publisher.expect(t, bus.Connected)
	c.settle(t)
	data := make([]byte, publisher.MaxPayload())
	for range 140 { // 128 may wait
		if err := publisher.Publish("slow", data); err != nil {
			t.Fatal(err)
		}
	}
	e := <-c.events
	if e.Kind != bus.Error || e.Subject != "slow" || !strings.Contains(e.Text, "slow") {
		t.Errorf("told as %+v", e)
	}
	close(release)
	c.settle(t)
}

func TestTLS(t *testing.T) {
	certificate, roots := selfSigned(t)
	s := startServer(t, func(o *server.Options) {
		o.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
		o.TLSTimeout = patience.Seconds()
	})
	stranger := newClient(connectNATS(t, bus.NATSOptions{Servers: []string{s.url}, TLS: &tls.Config{}}))
	if e := <-stranger.events; e.Kind != bus.Error || !strings.Contains(e.Text, "certificate") {
		t.Errorf("unknown authority told as %+v", e)
	}
	c := newClient(connectNATS(t, bus.NATSOptions{Servers: []string{s.url}, TLS: &tls.Config{RootCAs: roots}}))
	c.expect(t, bus.Connected)
	c.settle(t)
}

func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

func TestHopelessOptions(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	for name, o := range map[string]bus.NATSOptions{
		"no credentials file": {CredsFile: missing},
		"no nkey file":        {NKeyFile: missing},
		"no host":             {Servers: []string{"nats://:4222"}},
		"no URL":              {Servers: []string{"nats://a:b:c"}},
		"two ways":            {User: "u", Token: "t"},
	} {
		if b, err := bus.NATS(o); err == nil {
			b.Close()
			t.Errorf("%s: accepted", name)
		}
	}
}
