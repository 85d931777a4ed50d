package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/getevo/rmds/cmd/rmds-node/internal/admin"
	"github.com/getevo/rmds/cmd/rmds-node/internal/metrics"
)

// maxShown is how much of a content is served; a whole one can be had by the command line.
const maxShown = 64 << 10

// deadPage is how many dead letters come at once.
const deadPage = 50

// DeadLetters is a page of dead letters, newest first.
type DeadLetters struct {
	DeadLetters []admin.DeadLetter `json:"dead_letters"`
	More        bool               `json:"more"` // there are older ones: ask with before set to the last id
}

// DeadLetter is a dead letter with what may be shown of its content.
type DeadLetter struct {
	admin.DeadLetter
	Size     int  `json:"size"`     // of the whole content, bytes; Content has its beginning
	Withheld bool `json:"withheld"` // Content and Headers are not shown: the configuration does not allow it
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	route := func(pattern string, h func(http.ResponseWriter, *http.Request) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := h(w, r); err != nil {
				s.failed(w, r, err)
			}
		})
	}
	route("GET /healthz", s.healthz)
	route("GET /readyz", s.readyz)
	route("GET /metrics", s.metrics)
	route("GET /api/v1/status", s.status)
	route("GET /api/v1/history", s.history)
	route("GET /api/v1/events", s.events)
	route("GET /api/v1/dead", s.deadLetters)
	route("GET /api/v1/dead/{id}", s.deadLetter)
	route("GET /", s.page)
	return mux
}

func (s *Server) failed(w http.ResponseWriter, r *http.Request, err error) {
	var e *admin.Error
	if !errors.As(err, &e) {
		s.log.Error("web request failed", "path", r.URL.Path, "error", err)
		e = admin.Errorf(admin.CodeInternal, "the node could not answer; its log says why")
	}
	fail(w, e.Code.HTTPStatus(), e)
}

func fail(w http.ResponseWriter, status int, e *admin.Error) {
	answer(w, status, struct {
		Error *admin.Error `json:"error"`
	}{e})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// An error here is the caller having gone away: there is nobody to tell.
	_ = json.NewEncoder(w).Encode(body)
}

func (s *Server) metrics(w http.ResponseWriter, _ *http.Request) error {
	st, _ := s.rec.latest()
	var b bytes.Buffer
	metrics.Write(&b, &st, time.Now())
	w.Header().Set("Content-Type", metrics.ContentType)
	_, _ = w.Write(b.Bytes()) // as in answer
	return nil
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) error {
	st, _ := s.rec.latest()
	answer(w, http.StatusOK, st)
	return nil
}

func (s *Server) history(w http.ResponseWriter, r *http.Request) error {
	after, err := number(r, "after")
	if err == nil {
		answer(w, http.StatusOK, s.rec.history(after))
	}
	return err
}

func (s *Server) events(w http.ResponseWriter, r *http.Request) error {
	after, err := number(r, "after")
	if err == nil {
		answer(w, http.StatusOK, s.rec.eventsAfter(after))
	}
	return err
}

func (s *Server) deadLetters(w http.ResponseWriter, r *http.Request) error {
	before, err := number(r, "before")
	if err != nil {
		return err
	}
	list, err := s.node.DeadLetters(before, deadPage+1)
	if err != nil {
		return err
	}
	more := len(list) > deadPage
	out := DeadLetters{append([]admin.DeadLetter{}, list[:min(len(list), deadPage)]...), more}
	for i := range out.DeadLetters {
		out.DeadLetters[i].Headers = nil // as the content: one by one
	}
	answer(w, http.StatusOK, out)
	return nil
}

func (s *Server) deadLetter(w http.ResponseWriter, r *http.Request) error {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return admin.Errorf(admin.CodeBadRequest, "the id of a dead letter is a number")
	}
	d, err := s.node.DeadLetter(id)
	if err != nil {
		return err
	}
	out := DeadLetter{DeadLetter: d, Size: len(d.Content)}
	out.Content = d.Content[:min(len(d.Content), maxShown)]
	if !s.o.ShowPayloads {
		out.Content, out.Headers, out.Withheld = nil, nil, true
	}
	answer(w, http.StatusOK, out)
	return nil
}

// number reads a parameter that is a number from 0; absent it is 0.
func number(r *http.Request, name string) (int64, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, admin.Errorf(admin.CodeBadRequest, "%s must be a number, 0 or above", name)
	}
	return n, nil
}
