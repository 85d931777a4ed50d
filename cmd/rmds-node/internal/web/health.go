package web

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/getevo/rmds/cmd/rmds-node/internal/admin"
)

// Health answers /healthz and /readyz.
type Health struct {
	OK      bool     `json:"ok"`
	Node    string   `json:"node"`
	Reasons []Reason `json:"reasons"` // all that is wrong, also when that is no reason not to be OK
}

// Reason is one thing that is wrong.
type Reason struct {
	Kind string `json:"kind"` // a word, for programs: nats, auth, storage, identity_conflict, stuck
	Text string `json:"text"`
}

// silence is how long the node may take to say how it is before it counts as stuck.
const silence = 15 * time.Second

// health collects what is wrong. Stuck is said by the age of the newest status, since a stuck node cannot be asked.
func health(s *admin.Status, age time.Duration) Health {
	h := Health{OK: true, Node: s.Node, Reasons: []Reason{}}
	for _, t := range s.Troubles {
		kind, text, _ := strings.Cut(t, ": ")
		h.Reasons = append(h.Reasons, Reason{kind, text})
	}
	if age > silence {
		h.Reasons = append(h.Reasons, Reason{"stuck", fmt.Sprintf("the node has not answered for %v", age.Round(time.Second))})
	}
	return h
}

// healthz is for whoever restarts a process or raises an alarm. Without NATS a node does its duty: it stores and waits.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) error {
	st, at := s.rec.latest()
	h := health(&st, time.Since(at))
	for _, r := range h.Reasons {
		if r.Kind == "storage" || r.Kind == "stuck" {
			h.OK = false
		}
	}
	return answerHealth(w, h)
}

// readyz is for whoever waits until messages flow.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) error {
	st, at := s.rec.latest()
	h := health(&st, time.Since(at))
	if !st.Connected && len(h.Reasons) == 0 {
		h.Reasons = append(h.Reasons, Reason{"nats", "not connected"})
	}
	h.OK = len(h.Reasons) == 0
	return answerHealth(w, h)
}

func answerHealth(w http.ResponseWriter, h Health) error {
	status := http.StatusOK
	if !h.OK {
		status = http.StatusServiceUnavailable
	}
	answer(w, status, h)
	return nil
}
