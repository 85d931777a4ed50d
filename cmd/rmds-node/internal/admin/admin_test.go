package admin

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// fakeNode answers from what the test put into it.
type fakeNode struct {
	status Status
	kv     map[string]string
	reply  *Message
	err    error
	got    Outgoing
	hang   bool // Request waits for its context's end
}

func (n *fakeNode) Status() Status { return n.status }

func (n *fakeNode) Reload(_ context.Context, handlers ...string) ([]Reloaded, error) {
	var done []Reloaded
	for _, h := range handlers {
		if h == "nobody" {
			return nil, Errorf(CodeNotFound, "no handler %q", h)
		}
		r := Reloaded{Name: h, SHA256: "00", Changed: true}
		if h == "b" {
			r.Changed, r.Error = false, "bad"
		}
		done = append(done, r)
	}
	return done, nil
}

func (n *fakeNode) Send(_ context.Context, m Outgoing) (string, error) {
	n.got = m
	return "0123456789abcdef-1", n.err
}

func (n *fakeNode) Request(ctx context.Context, m Outgoing) (*Message, error) {
	n.got = m
	if n.hang {
		<-ctx.Done()
		return nil, Errorf(CodeTimeout, "no reply")
	}
	return n.reply, n.err
}

func (n *fakeNode) Get(_, key string) ([]byte, bool, error) {
	v, ok := n.kv[key]
	return []byte(v), ok, n.err
}

func (n *fakeNode) List(_, prefix, after string, limit int) ([]Entry, error) {
	var out []Entry
	for _, k := range []string{"a", "b", "b/c", "d"} {
		if v, ok := n.kv[k]; ok && k > after && strings.HasPrefix(k, prefix) && len(out) < limit {
			out = append(out, Entry{k, []byte(v)})
		}
	}
	return out, n.err
}

// socketPath returns a name short enough for a socket, whatever the test's name.
func socketPath(t *testing.T) string {
	dir, err := os.MkdirTemp("", "rmds")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "sub", "admin.sock")
}

func start(t *testing.T, n Node) (*Client, string) {
	t.Helper()
	socket := socketPath(t)
	s, err := Serve(socket, n, 1024, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	c := NewClient(socket)
	t.Cleanup(func() {
		c.Close()
		if err := s.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
		if s.Err() != nil {
			t.Errorf("serving ended with %v", s.Err())
		}
		if _, err := os.Lstat(socket); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the socket stays behind: %v", err)
		}
	})
	return c, socket
}

func TestStatus(t *testing.T) {
	n := &fakeNode{status: Status{Node: "a", Health: "ok", Queued: 3, Troubles: []string{}, Started: time.Unix(1, 0).UTC(),
		Channels: []ChannelStatus{{Name: "x", Role: "both", Awake: true}}, Peers: []PeerStatus{{Node: "b", Online: true, Readers: []ReaderStatus{{Channel: "x", Acked: 7, Queued: 3}}}}}}
	c, _ := start(t, n)
	got, err := c.Status(context.Background())
	if err != nil || !reflect.DeepEqual(*got, n.status) {
		t.Errorf("Status = %+v, %v; want %+v", got, err, n.status)
	}
}

func TestSend(t *testing.T) {
	n := &fakeNode{}
	c, _ := start(t, n)
	m := Outgoing{Channel: "plant.temperature", To: "b", TTL: 90 * time.Second, Headers: map[string]string{"k": "v=&w", "ü": ""}, Content: []byte("\x00\xff")}
	id, err := c.Send(context.Background(), m)
	if err != nil || id != "0123456789abcdef-1" || !reflect.DeepEqual(n.got, m) {
		t.Errorf("Send = %q, %v; the node got %+v", id, err, n.got)
	}
	if _, err := c.Send(context.Background(), Outgoing{Channel: "x", Content: make([]byte, 1024)}); err != nil {
		t.Errorf("content of the largest size: %v", err)
	}
	_, err = c.Send(context.Background(), Outgoing{Channel: "x", Content: make([]byte, 1025)})
	wantCode(t, err, CodeTooLarge)
}

func TestRequest(t *testing.T) {
	n := &fakeNode{reply: &Message{ID: "1", Sender: "b", Content: []byte("pong"), Headers: map[string]string{"k": "v"}}}
	c, _ := start(t, n)
	got, err := c.Request(context.Background(), Outgoing{Channel: "x", To: "b", Content: []byte("ping")}, 0)
	if err != nil || !reflect.DeepEqual(got, n.reply) || n.got.To != "b" {
		t.Errorf("Request = %+v, %v", got, err)
	}
	n.hang = true
	_, err = c.Request(context.Background(), Outgoing{Channel: "x", To: "b"}, time.Millisecond)
	wantCode(t, err, CodeTimeout)
}

func TestKV(t *testing.T) {
	n := &fakeNode{kv: map[string]string{"a": "1", "b": "2", "b/c": "3", "d": "", "../x": "5"}}
	c, _ := start(t, n)
	ctx := context.Background()
	for key, want := range n.kv {
		if v, err := c.Get(ctx, "alarm", key); err != nil || string(v) != want {
			t.Errorf("Get(%q) = %q, %v", key, v, err)
		}
	}
	_, err := c.Get(ctx, "alarm", "nothing")
	wantCode(t, err, CodeNotFound)
	page, err := c.List(ctx, "alarm", "b", "", 1)
	if err != nil || !reflect.DeepEqual(page, &Page{[]Entry{{"b", []byte("2")}}, true}) {
		t.Errorf("first page = %+v, %v", page, err)
	}
	page, err = c.List(ctx, "alarm", "b", "b", 0)
	if err != nil || !reflect.DeepEqual(page, &Page{[]Entry{{"b/c", []byte("3")}}, false}) {
		t.Errorf("last page = %+v, %v", page, err)
	}
	_, err = c.List(ctx, "alarm", "", "", MaxPage+1)
	wantCode(t, err, CodeBadRequest)
}

// TestErrors checks the documented body and status of every code.
func TestErrors(t *testing.T) {
	n := &fakeNode{}
	c, _ := start(t, n)
	for code, status := range httpStatus {
		n.err = Errorf(code, "because of %d", 7)
		_, err := c.Send(context.Background(), Outgoing{Channel: "x"})
		var e *Error
		if !errors.As(err, &e) || *e != (Error{code, "because of 7"}) {
			t.Errorf("%s arrives as %v", code, err)
		}
		a, err := c.http.Post("http://node/v1/send?channel=x", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
		if a.StatusCode != status {
			t.Errorf("%s has status %d, want %d", code, a.StatusCode, status)
		}
	}
	n.err = errors.New("boom")
	_, err := c.Send(context.Background(), Outgoing{Channel: "x"})
	wantCode(t, err, CodeInternal)
}

func TestBadCalls(t *testing.T) {
	c, _ := start(t, &fakeNode{})
	for _, tt := range []struct {
		method, path string
		want         Code
	}{
		{"GET", "/v1/statuss", CodeNotFound}, {"GET", "/v1/send?channel=x", CodeNotFound}, {"POST", "/v1/send", CodeBadRequest},
		{"POST", "/v1/send?channel=x&tll=1s", CodeBadRequest}, {"POST", "/v1/send?channel=x&ttl=soon", CodeBadRequest},
		{"POST", "/v1/send?channel=x&ttl=-1s", CodeBadRequest}, {"POST", "/v1/send?channel=x&header=k", CodeBadRequest},
		{"POST", "/v1/send?channel=x&timeout=1s", CodeBadRequest}, {"POST", "/v1/request?channel=x&timeout=0", CodeBadRequest}, {"GET", "/v1/kv/s?limit=no", CodeBadRequest},
	} {
		wantCode(t, c.call(context.Background(), tt.method, strings.SplitN(tt.path, "?", 2)[0], mustQuery(t, tt.path), nil, new(Sent)), tt.want)
	}
}

func mustQuery(t *testing.T, path string) map[string][]string {
	t.Helper()
	r, err := http.NewRequest("GET", path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r.URL.Query()
}

func wantCode(t *testing.T, err error, code Code) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Code != code {
		t.Errorf("error %v; want code %s", err, code)
	}
}

func TestUnreachable(t *testing.T) {
	socket := socketPath(t)
	if _, err := NewClient(socket).Status(context.Background()); !errors.Is(err, ErrUnreachable) {
		t.Errorf("no socket: %v", err)
	}
}

func TestSocketMode(t *testing.T) {
	_, socket := start(t, &fakeNode{})
	info, err := os.Lstat(socket)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("mode %v, %v; want 0660", info.Mode(), err)
	}
}

func TestSocketInUse(t *testing.T) {
	c, socket := start(t, &fakeNode{})
	if s, err := Serve(socket, &fakeNode{}, 1, slog.New(slog.DiscardHandler)); !errors.Is(err, ErrInUse) {
		t.Errorf("a second server on the socket: %v, %v", s, err)
	}
	if _, err := c.Status(context.Background()); err != nil {
		t.Errorf("the first server, afterwards: %v", err)
	}
}

func TestStaleSocket(t *testing.T) {
	socket := socketPath(t)
	if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false) // as after kill -9
	l.Close()
	s, err := Serve(socket, &fakeNode{}, 1, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestSocketIsAnotherFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(file, []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Serve(file, &fakeNode{}, 1, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("Serve on an ordinary file: %v", err)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "data" {
		t.Errorf("the file, afterwards: %q, %v", b, err)
	}
}

// TestCloseCutsOff holds that a call that does not end keeps Close from ending no longer than its context.
func TestCloseCutsOff(t *testing.T) {
	socket := socketPath(t)
	called := make(chan struct{})
	s, err := Serve(socket, &signalNode{fakeNode{hang: true}, called}, 1, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := NewClient(socket).Request(context.Background(), Outgoing{Channel: "x", To: "b"}, time.Hour)
		done <- err
	}()
	<-called
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Close = %v", err)
	}
	if err := <-done; !errors.Is(err, ErrUnreachable) {
		t.Errorf("the call ended with %v", err)
	}
}

type signalNode struct {
	fakeNode
	called chan struct{}
}

func (n *signalNode) Request(ctx context.Context, m Outgoing) (*Message, error) {
	close(n.called)
	return n.fakeNode.Request(ctx, m)
}

func TestReload(t *testing.T) {
	c, _ := start(t, &fakeNode{})
	done, err := c.Reload(t.Context(), "a", "b")
	want := []Reloaded{{Name: "a", SHA256: "00", Changed: true}, {Name: "b", SHA256: "00", Error: "bad"}}
	if err != nil || !slices.Equal(done, want) {
		t.Errorf("%+v, %v; want %+v", done, err, want)
	}
	_, err = c.Reload(t.Context(), "nobody")
	wantCode(t, err, CodeNotFound)
}
