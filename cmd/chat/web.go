package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"time"
)

//go:embed page
var pageFiles embed.FS

// webServer serves the page of a chat.
//
//	GET  /        the page; its script and style are files beside it, and nothing comes from elsewhere
//	GET  /events  the conversation as server-sent events, from its beginning on, and the state of the node
//	POST /send    {"text": "..."}, a message or a command; the answer is {"answer": "..."} or {"error": "..."}
type webServer struct {
	chat   *chat
	listen net.Listener
	server *http.Server
	ended  chan error
}

// serveWeb listens on addr. ctx ends the pages' event streams.
func serveWeb(ctx context.Context, c *chat, addr string) (*webServer, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("web page: %w", err)
	}
	files, err := fs.Sub(pageFiles, "page")
	if err != nil {
		return nil, err
	}
	w := &webServer{chat: c, listen: l, ended: make(chan error, 1)}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(files))
	mux.HandleFunc("GET /events", w.events)
	mux.HandleFunc("POST /send", w.send)
	w.server = &http.Server{
		Handler:           w.guard(http.NewCrossOriginProtection().Handler(mux)),
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	go func() { w.ended <- w.server.Serve(l) }()
	return w, nil
}

// url is where a browser on this machine finds the page.
func (w *webServer) url() string {
	_, port, _ := net.SplitHostPort(w.listen.Addr().String()) // a listener's address has a port
	return "http://localhost:" + port
}

// close ends what the server does. The context of serveWeb has ended.
func (w *webServer) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	err := w.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = w.server.Close() // a browser that does not let go
	}
	if served := <-w.ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// guard keeps pages from elsewhere out: a page that listens on this machine alone answers to this machine's names alone,
// so that a name that somebody lets point to 127.0.0.1 does not reach it, and whatever texts hold, the browser runs nothing
// but the page's own script.
func (w *webServer) guard(next http.Handler) http.Handler {
	local := w.listen.Addr().(*net.TCPAddr).IP.IsLoopback()
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if local && !isLoopbackName(r.Host) {
			http.Error(rw, "this page is for this machine: open it as localhost", http.StatusMisdirectedRequest)
			return
		}
		h := rw.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(rw, r)
	})
}

func isLoopbackName(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// state is what the page shows above the conversation.
type state struct {
	Node      string   `json:"node"`
	Channel   string   `json:"channel"`
	Does      string   `json:"does"` // reads, writes, or both
	Connected bool     `json:"connected"`
	Queued    int64    `json:"queued"`
	Online    []string `json:"online"` // other nodes
}

func (c *chat) state() state {
	s := c.conn.Status()
	st := state{Node: s.Node, Channel: c.ch.Name(), Does: does[c.ch.Role()], Connected: s.Connected, Queued: s.Queued, Online: []string{}}
	for _, p := range s.Peers {
		if p.Online {
			st.Online = append(st.Online, p.Node)
		}
	}
	return st
}

// events streams the conversation. A page that has lost its stream opens a new one and gets everything again.
func (w *webServer) events(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(rw)
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	var last string
	write := func(event string, v any) error {
		b, err := json.Marshal(v)
		if err == nil {
			_, err = fmt.Fprintf(rw, "event: %s\ndata: %s\n\n", event, b)
		}
		return err
	}
	err := write("reset", nil)
	for n := 0; err == nil; {
		lines, next, changed := w.chat.room.since(n)
		n = next
		for i := range lines {
			if err = write("line", lines[i]); err != nil {
				return // the page is gone
			}
		}
		now := w.chat.state()
		if text := fmt.Sprint(now); text != last {
			last = text
			if err = write("state", now); err != nil {
				return
			}
		}
		if err = out.Flush(); err != nil {
			return
		}
		select {
		case <-changed:
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}

// send takes what was typed into the page.
func (w *webServer) send(rw http.ResponseWriter, r *http.Request) {
	var in struct {
		Text string `json:"text"`
	}
	body := http.MaxBytesReader(rw, r.Body, maxLineBytes)
	if err := json.NewDecoder(body).Decode(&in); err != nil && !errors.Is(err, io.EOF) {
		reply(rw, http.StatusBadRequest, "error", err.Error())
		return
	}
	text := strings.TrimSpace(in.Text)
	switch {
	case text == "":
		reply(rw, http.StatusBadRequest, "error", "nothing to send")
	case strings.HasPrefix(text, "/"):
		answer, ok := w.chat.command(text)
		if !ok {
			reply(rw, http.StatusBadRequest, "error", "here the commands are /stats, /nodes and /topology")
			return
		}
		reply(rw, http.StatusOK, "answer", answer)
	default:
		if err := w.chat.send(text); err != nil {
			reply(rw, http.StatusConflict, "error", err.Error())
			return
		}
		reply(rw, http.StatusOK, "answer", "")
	}
}

func reply(rw http.ResponseWriter, status int, key, text string) {
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(status)
	_ = json.NewEncoder(rw).Encode(map[string]string{key: text}) // a page that is gone has nobody to tell
}
