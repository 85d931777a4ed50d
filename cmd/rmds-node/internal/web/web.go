// Package web lets people and programs look into a running node over HTTP on a TCP address, without changing anything:
//
//	GET /                        the page, live
//	GET /healthz                 200 unless the process should be looked after; a node without NATS is healthy
//	GET /readyz                  200 if it also has NATS and no trouble
//	GET /metrics                 Prometheus's text format
//	GET /api/v1/status           admin.Status
//	GET /api/v1/history?after=N  History: figures of the last ten minutes
//	GET /api/v1/events?after=N   Events: the newest ones
//	GET /api/v1/dead[?before=N]  DeadLetters: newest first
//	GET /api/v1/dead/ID          DeadLetter: one, with its content if Options.ShowPayloads
//
// One goroutine, the recorder's, asks the node for its status, once an interval, and keeps the newest and a ring of
// figures; requests are answered from these, so that no number of them can disturb the node. Dead letters alone are read
// from its database. Nothing here is durable: a restart begins an empty history.
//
// There is no authorization: whoever reaches the address may look. What could be worth stealing, the contents of dead
// letters, is withheld unless the configuration says otherwise. Nothing but GET and HEAD is answered, no other origin may
// read an answer, the page runs no script but its own, and a request for a host name that is not the node's is refused,
// since it comes from a page that has its name point here (DNS rebinding).
package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/getevo/rmds/cmd/rmds-node/internal/admin"
)

// Node is what is looked into. Its methods are called from many goroutines. An error that is an *admin.Error is passed
// on as it is.
type Node interface {
	Status() admin.Status
	// DeadLetters returns up to n dead letters with ids below before (0: no bound), newest first, without contents.
	DeadLetters(before int64, n int) ([]admin.DeadLetter, error)
	// DeadLetter returns one with its content.
	DeadLetter(id int64) (admin.DeadLetter, error)
}

// Options of a server.
type Options struct {
	Listen       string        // host:port; port 0 takes a free one, and an empty host means all addresses
	Hosts        []string      // names, beside IP addresses and localhost, by which the node may be asked for
	ShowPayloads bool          // serve the contents and headers of dead letters
	Interval     time.Duration // between two looks at the node; 0 means a second
}

// Server serves one Node. Make it with Serve.
type Server struct {
	node  Node
	o     Options
	rec   *Recorder
	log   *slog.Logger
	http  *http.Server
	addr  net.Addr
	stop  context.CancelFunc
	looks chan struct{} // closed when the recorder's goroutine has ended
	ended chan struct{} // closed when serving has ended
}

// maxConnections bounds what strangers can take of the node's file descriptors.
const maxConnections = 64

// Serve listens and serves until Close. rec is where the node's events go; the server fills in the rest.
func Serve(o Options, node Node, rec *Recorder, log *slog.Logger) (*Server, error) {
	if o.Interval == 0 {
		o.Interval = time.Second
	}
	l, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("admin.listen: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{node: node, o: o, rec: rec, log: log, addr: l.Addr(), stop: stop, looks: make(chan struct{}), ended: make(chan struct{})}
	s.http = &http.Server{
		Handler:           s.guard(s.routes()),
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelDebug), // strangers' mistakes must not fill the log
	}
	rec.sample(node.Status(), time.Now())
	go func() {
		defer close(s.looks)
		s.look(ctx)
	}()
	go func() {
		defer close(s.ended)
		if err := s.http.Serve(limit(l, maxConnections)); !errors.Is(err, http.ErrServerClosed) {
			log.Error("the web page is gone until the node's next start", "error", err) // no reason to end the node
		}
	}()
	return s, nil
}

// look asks the node for its status, again and again until ctx ends.
func (s *Server) look(ctx context.Context) {
	tick := time.NewTicker(s.o.Interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.rec.sample(s.node.Status(), time.Now())
		}
	}
}

// URL returns where the page is.
func (s *Server) URL() string {
	a := s.addr.(*net.TCPAddr)
	if a.IP.IsUnspecified() {
		return fmt.Sprintf("http://localhost:%d/", a.Port)
	}
	return "http://" + a.String() + "/"
}

// Close stops listening and looking, and waits for the requests under way until ctx ends; then it cuts them off.
func (s *Server) Close(ctx context.Context) error {
	s.stop()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	<-s.ended
	<-s.looks
	if err != nil {
		return fmt.Errorf("web: %w", err)
	}
	return nil
}
