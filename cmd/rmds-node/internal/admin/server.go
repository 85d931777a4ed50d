package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Node is what the server serves. Its methods are called from many goroutines; an error that is an *Error is passed
// on as it is, any other as CodeInternal.
type Node interface {
	Status() Status
	// Send returns the id of the message once it is on disk.
	Send(ctx context.Context, m Outgoing) (id string, err error)
	// Request sends m, to the node m.To if that is not empty, and returns the first reply to it. ctx limits the wait.
	Request(ctx context.Context, m Outgoing) (*Message, error)
	// Reload reads the modules of the named handlers, of all if none is named, from their files.
	Reload(ctx context.Context, handlers ...string) ([]Reloaded, error)
	// Get returns the value of a key, and whether there is one.
	Get(store, key string) ([]byte, bool, error)
	// List returns up to n entries whose keys have the prefix and come after the key after.
	List(store, prefix, after string, n int) ([]Entry, error)
}

// DefaultTimeout is how long a request waits for its reply unless it says otherwise.
const DefaultTimeout = 10 * time.Second

// Server serves one Node on one socket. Make it with Serve.
type Server struct {
	node       Node
	maxContent int64
	log        *slog.Logger
	http       *http.Server
	ended      chan struct{} // closed when serving has ended; err is set before
	err        error
}

// Serve opens the socket and serves on it until Close. A file that an earlier process left there is replaced; if
// another process still listens, the error wraps ErrInUse. maxContent is the most that is read of a message's content.
func Serve(socket string, node Node, maxContent int64, log *slog.Logger) (*Server, error) {
	l, err := listen(socket)
	if err != nil {
		return nil, err
	}
	s := &Server{node: node, maxContent: maxContent, log: log, ended: make(chan struct{})}
	s.http = &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	go func() {
		defer close(s.ended)
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.err = fmt.Errorf("admin socket: %w", err)
		}
	}()
	return s, nil
}

// Ended is closed when serving has ended, by Close or by a failure, which Err then returns.
func (s *Server) Ended() <-chan struct{} { return s.ended }

// Err returns why serving ended; nil after Close. Call it after Ended only.
func (s *Server) Err() error { return s.err }

// Close stops listening, removes the socket, and waits for the calls under way until ctx ends; then it cuts them off.
func (s *Server) Close(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	<-s.ended
	if err != nil {
		return fmt.Errorf("admin socket: %w", err)
	}
	return nil
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	route := func(pattern string, h func(http.ResponseWriter, *http.Request) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := h(w, r); err != nil {
				s.fail(w, r, err)
			}
		})
	}
	route("GET /v1/status", s.status)
	route("POST /v1/send", s.send)
	route("POST /v1/request", s.request)
	route("POST /v1/handlers/reload", s.reload)
	route("GET /v1/kv/{store}", s.list)
	route("GET /v1/kv/{store}/value", s.get)
	route("/", func(_ http.ResponseWriter, r *http.Request) error {
		return Errorf(CodeNotFound, "there is no %s %s", r.Method, r.URL.Path)
	})
	return mux
}

func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	var e *Error
	if !errors.As(err, &e) {
		s.log.Error("admin call failed", "method", r.Method, "path", r.URL.Path, "error", err)
		e = &Error{CodeInternal, err.Error()}
	}
	answer(w, e.Code.HTTPStatus(), errorBody{e})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// An error here is the caller having gone away: there is nobody to tell.
	_ = json.NewEncoder(w).Encode(body)
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) error {
	answer(w, http.StatusOK, s.node.Status())
	return nil
}

func (s *Server) send(w http.ResponseWriter, r *http.Request) error {
	m, _, err := s.outgoing(r, "channel", "to", "ttl", "header")
	if err != nil {
		return err
	}
	id, err := s.node.Send(r.Context(), m)
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, Sent{id})
	return nil
}

func (s *Server) request(w http.ResponseWriter, r *http.Request) error {
	m, q, err := s.outgoing(r, "channel", "to", "ttl", "timeout", "header")
	if err != nil {
		return err
	}
	timeout, err := durationOf(q, "timeout", DefaultTimeout)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	reply, err := s.node.Request(ctx, m)
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, reply)
	return nil
}

func (s *Server) reload(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, "handler")
	if err != nil {
		return err
	}
	done, err := s.node.Reload(r.Context(), q["handler"]...)
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, done)
	return nil
}

// outgoing reads the message of a send or a request, which may have the named parameters.
func (s *Server) outgoing(r *http.Request, known ...string) (Outgoing, url.Values, error) {
	q, err := query(r, known...)
	if err != nil {
		return Outgoing{}, nil, err
	}
	m := Outgoing{Channel: q.Get("channel"), To: q.Get("to")}
	if m.Channel == "" {
		return m, nil, Errorf(CodeBadRequest, "channel is missing")
	}
	if m.TTL, err = durationOf(q, "ttl", 0); err != nil {
		return m, nil, err
	}
	for _, h := range q["header"] {
		key, value, ok := strings.Cut(h, "=")
		if !ok || key == "" {
			return m, nil, Errorf(CodeBadRequest, "header %q: write name=value", h)
		}
		if m.Headers == nil {
			m.Headers = map[string]string{}
		}
		m.Headers[key] = value
	}
	m.Content, err = io.ReadAll(io.LimitReader(r.Body, s.maxContent+1))
	if err != nil {
		return m, nil, Errorf(CodeBadRequest, "the content broke off: %v", err)
	}
	if int64(len(m.Content)) > s.maxContent {
		return m, nil, Errorf(CodeTooLarge, "the content has more than %d bytes", s.maxContent)
	}
	return m, q, nil
}

// query returns the parameters and refuses unknown ones: a misspelt one must not be ignored.
func query(r *http.Request, known ...string) (url.Values, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, Errorf(CodeBadRequest, "parameters: %v", err)
	}
next:
	for name := range q {
		for _, k := range known {
			if name == k {
				continue next
			}
		}
		return nil, Errorf(CodeBadRequest, "unknown parameter %q; known: %s", name, strings.Join(known, ", "))
	}
	return q, nil
}

func durationOf(q url.Values, name string, otherwise time.Duration) (time.Duration, error) {
	if !q.Has(name) {
		return otherwise, nil
	}
	d, err := time.ParseDuration(q.Get(name))
	if err != nil || d <= 0 {
		return 0, Errorf(CodeBadRequest, "%s %q: write a duration above zero, for example 10s", name, q.Get(name))
	}
	return d, nil
}

func (s *Server) list(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, "prefix", "after", "limit")
	if err != nil {
		return err
	}
	limit := DefaultPage
	if q.Has("limit") {
		if limit, err = strconv.Atoi(q.Get("limit")); err != nil || limit < 1 || limit > MaxPage {
			return Errorf(CodeBadRequest, "limit %q: use 1 to %d", q.Get("limit"), MaxPage)
		}
	}
	entries, err := s.node.List(r.PathValue("store"), q.Get("prefix"), q.Get("after"), limit+1)
	if err != nil {
		return err
	}
	page := Page{Entries: []Entry{}}
	page.Entries = append(page.Entries, entries[:min(len(entries), limit)]...)
	page.More = len(entries) > limit
	answer(w, http.StatusOK, page)
	return nil
}

func (s *Server) get(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, "key")
	if err != nil {
		return err
	}
	store, key := r.PathValue("store"), q.Get("key")
	value, ok, err := s.node.Get(store, key)
	if err != nil {
		return err
	}
	if !ok {
		return Errorf(CodeNotFound, "store %s has no key %q", store, key)
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(value) // as in answer
	return nil
}
