package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getevo/rmds/cmd/rmds-node/internal/admin"
)

// fake is a node that says what it is told to say.
type fake struct {
	mu     sync.Mutex
	status admin.Status
	dead   []admin.DeadLetter // newest first
	err    error
}

func (f *fake) Status() admin.Status { f.mu.Lock(); defer f.mu.Unlock(); return f.status }

func (f *fake) DeadLetters(before int64, n int) (out []admin.DeadLetter, _ error) {
	for _, d := range f.dead {
		if (before == 0 || d.ID < before) && len(out) < n {
			d.Content = nil
			out = append(out, d)
		}
	}
	return out, f.err
}

func (f *fake) DeadLetter(id int64) (admin.DeadLetter, error) {
	for _, d := range f.dead {
		if d.ID == id {
			return d, nil
		}
	}
	return admin.DeadLetter{}, admin.Errorf(admin.CodeNotFound, "there is no dead letter %d", id)
}

func serve(t *testing.T, o Options, node *fake) (*Server, *Recorder) {
	t.Helper()
	o.Listen = "127.0.0.1:0"
	rec := NewRecorder()
	s, err := Serve(o, node, rec, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(t.Context()); err != nil && !errors.Is(err, t.Context().Err()) {
			t.Error(err)
		}
	})
	return s, rec
}

// ask makes a request and returns the answer with its body.
func ask(t *testing.T, s *Server, method, path, host string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, strings.TrimSuffix(s.URL(), "/")+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	a, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a, string(b)
}

// get decodes the answer to a GET.
func get(t *testing.T, s *Server, path string, out any) {
	t.Helper()
	a, body := ask(t, s, "GET", path, "")
	if a.StatusCode != 200 {
		t.Fatalf("GET %s: %s: %s", path, a.Status, body)
	}
	if err := json.Unmarshal([]byte(body), out); err != nil {
		t.Fatalf("GET %s: %v in %s", path, err, body)
	}
}

func TestGuard(t *testing.T) {
	s, _ := serve(t, Options{Hosts: []string{"Gateway-7.lan"}}, &fake{})
	for _, tt := range []struct {
		method, path, host string
		want               int
	}{
		{"GET", "/", "", 200}, {"HEAD", "/", "", 200}, {"GET", "/", "localhost", 200}, {"GET", "/", "LOCALHOST:81", 200}, {"GET", "/", "[::1]:80", 200},
		{"GET", "/", "::1", 200}, {"GET", "/", "10.0.0.7:8222", 200}, {"GET", "/", "gateway-7.LAN:8222", 200}, {"GET", "/", "gateway-7.lan.", 200},
		{"GET", "/", "evil.example", 421}, {"GET", "/metrics", "evil.example:80", 421}, {"GET", "/api/v1/status", "localhost.evil.example", 421},
		{"GET", "/api/v1/dead/1", "127.0.0.1.evil.example", 421}, {"GET", "/", "xgateway-7.lan", 421},
		{"POST", "/", "", 405}, {"PUT", "/api/v1/status", "", 405}, {"DELETE", "/api/v1/dead/1", "", 405}, {"OPTIONS", "/api/v1/status", "", 405},
		{"POST", "/", "evil.example", 421},
		{"GET", "/nothing", "", 404}, {"GET", "/page/app.js", "", 404}, {"GET", "/..%2fweb.go", "", 404}, {"GET", "/app.js/", "", 404}, {"GET", "/api/v1/send", "", 404},
	} {
		a, body := ask(t, s, tt.method, tt.path, tt.host)
		if a.StatusCode != tt.want {
			t.Errorf("%s %s for %q: %s: %s", tt.method, tt.path, tt.host, a.Status, body)
		}
		h := a.Header
		if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s %s: Content-Security-Policy is %q", tt.method, tt.path, csp)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Access-Control-Allow-Origin") != "" || h.Get("Cross-Origin-Resource-Policy") != "same-origin" {
			t.Errorf("%s %s: headers %v", tt.method, tt.path, h)
		}
	}
}

// TestPageIsWhole holds that the page needs nothing from elsewhere, and never makes markup of text.
func TestPageIsWhole(t *testing.T) {
	s, _ := serve(t, Options{}, &fake{})
	list, err := files.ReadDir("page")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		a, body := ask(t, s, "GET", "/"+f.Name(), "")
		if want, _ := files.ReadFile("page/" + f.Name()); a.StatusCode != 200 || body != string(want) || a.Header.Get("Content-Type") == "" {
			t.Errorf("%s: %s, %s, %d bytes", f.Name(), a.Status, a.Header.Get("Content-Type"), len(body))
		}
		body = strings.ReplaceAll(body, "http://www.w3.org/2000/svg", "") // a name, not an address
		for _, bad := range []string{"http:", "https:", `"//`, "url(//", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", " style=", "onclick="} {
			if strings.Contains(body, bad) {
				t.Errorf("%s contains %s", f.Name(), bad)
			}
		}
	}
}

func TestHealth(t *testing.T) {
	for _, tt := range []struct {
		name            string
		status          admin.Status
		healthz, readyz int
		reason          string
	}{
		{"well", admin.Status{Connected: true}, 200, 200, ""},
		{"no NATS", admin.Status{Troubles: []string{"nats: not connected"}}, 200, 503, "nats"},
		{"not yet NATS", admin.Status{}, 200, 503, "nats"},
		{"disk", admin.Status{Connected: true, Troubles: []string{"storage: disk full: really"}}, 503, 503, "storage"},
		{"cloned", admin.Status{Connected: true, Troubles: []string{"identity_conflict: b: another"}}, 200, 503, "identity_conflict"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, rec := serve(t, Options{Interval: time.Hour}, &fake{status: tt.status})
			z, _ := ask(t, s, "GET", "/healthz", "")
			r, body := ask(t, s, "GET", "/readyz", "")
			var h Health
			if err := json.Unmarshal([]byte(body), &h); err != nil {
				t.Fatal(err)
			}
			reason := ""
			if len(h.Reasons) > 0 {
				reason = h.Reasons[0].Kind
			}
			if z.StatusCode != tt.healthz || r.StatusCode != tt.readyz || reason != tt.reason || h.OK != (tt.readyz == 200) {
				t.Errorf("healthz %d, readyz %d, %s", z.StatusCode, r.StatusCode, body)
			}
			rec.sample(tt.status, time.Now().Add(-time.Minute)) // the node has not answered since
			if z, body := ask(t, s, "GET", "/healthz", ""); z.StatusCode != 503 || !strings.Contains(body, "stuck") {
				t.Errorf("stuck: %s", body)
			}
		})
	}
}

func TestLooksAgainAndAgain(t *testing.T) {
	node := &fake{status: admin.Status{Node: "a", Queued: 1}}
	s, rec := serve(t, Options{Interval: time.Millisecond}, node)
	node.mu.Lock()
	node.status.Queued = 2
	node.mu.Unlock()
	for {
		if st, _ := rec.latest(); st.Queued == 2 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	var st admin.Status
	get(t, s, "/api/v1/status", &st)
	var h History
	get(t, s, "/api/v1/history", &h)
	if st.Queued != 2 || h.Queued[0] != 1 || h.Queued[len(h.Queued)-1] != 2 {
		t.Errorf("status has %d, the history %v", st.Queued, h.Queued)
	}
	if a, body := ask(t, s, "GET", "/metrics", ""); !strings.Contains(body, "rmds_queued_messages 2\n") || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Errorf("metrics: %s", body)
	}
}

func TestDeadLetters(t *testing.T) {
	node := &fake{}
	for id := int64(120); id > 0; id-- {
		node.dead = append(node.dead, admin.DeadLetter{ID: id, Reason: "rejected", Headers: map[string]string{"k": "v"}, Content: bytes.Repeat([]byte("x"), int(id)<<10)})
	}
	open, _ := serve(t, Options{ShowPayloads: true}, node)
	shut, _ := serve(t, Options{}, node)

	var got []int64
	var page DeadLetters
	for before := int64(0); len(got) == 0 || page.More; before = got[len(got)-1] {
		page = DeadLetters{}
		get(t, shut, fmt.Sprintf("/api/v1/dead?before=%d", before), &page)
		for _, d := range page.DeadLetters {
			got = append(got, d.ID)
			if d.Headers != nil || d.Content != nil {
				t.Fatal("the list shows what is inside")
			}
		}
	}
	if len(got) != 120 || got[0] != 120 || got[119] != 1 {
		t.Errorf("the pages have %v", got)
	}
	for _, tt := range []struct {
		s        *Server
		id       int
		content  int
		withheld bool
	}{{open, 3, 3 << 10, false}, {open, 100, maxShown, false}, {shut, 3, 0, true}} {
		var d DeadLetter
		get(t, tt.s, fmt.Sprintf("/api/v1/dead/%d", tt.id), &d)
		if len(d.Content) != tt.content || d.Size != tt.id<<10 || d.Withheld != tt.withheld || (d.Headers == nil) != tt.withheld {
			t.Errorf("%d: %d of %d bytes, withheld %v, headers %v", tt.id, len(d.Content), d.Size, d.Withheld, d.Headers)
		}
	}
	for path, want := range map[string]int{"/api/v1/dead/999": 404, "/api/v1/dead/x": 400, "/api/v1/dead?before=-1": 400, "/api/v1/history?after=x": 400, "/api/v1/events?after=1e3": 400} {
		if a, body := ask(t, open, "GET", path, ""); a.StatusCode != want {
			t.Errorf("%s: %s %s", path, a.Status, body)
		}
	}
	node.err = errors.New("secret path /x")
	if a, body := ask(t, open, "GET", "/api/v1/dead", ""); a.StatusCode != 500 || strings.Contains(body, "secret") {
		t.Errorf("a failure is told as %s %s", a.Status, body)
	}
}

// TestConnectionsAreBounded holds that those beyond the limit wait until one is closed.
func TestConnectionsAreBounded(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := limit(inner, 2)
	accepted := make(chan net.Conn, 3)
	ended := make(chan error)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				ended <- err
				return
			}
			accepted <- c
		}
	}()
	for range 3 {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	first := <-accepted
	<-accepted
	if len(l.(*limited).slots) != 2 || len(accepted) != 0 {
		t.Error("more connections than the limit")
	}
	first.Close()
	first.Close() // a second time frees nothing
	<-accepted
	l.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept ends with %v", err)
	}
}

func TestListenFails(t *testing.T) {
	s, _ := serve(t, Options{}, &fake{})
	_, err := Serve(Options{Listen: s.addr.String()}, &fake{}, NewRecorder(), slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "admin.listen") {
		t.Errorf("a second server on one address: %v", err)
	}
}
