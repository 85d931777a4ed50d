package web

import (
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/getevo/rmds/cmd/rmds-node/internal/admin"
)

// policy lets the page load what this server serves and nothing else: a script that got into it could not run, and could
// not send anything away.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// guard refuses what is not for this server, and sets the headers that all answers have.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		switch {
		case !s.known(r.Host):
			fail(w, http.StatusMisdirectedRequest, admin.Errorf(admin.CodeNotAllowed,
				"this node is not asked for by that name: use its IP address or localhost, or add the name to [admin] hosts"))
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			h.Set("Allow", "GET, HEAD")
			fail(w, http.StatusMethodNotAllowed, admin.Errorf(admin.CodeNotAllowed, "here one can only look: use GET"))
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// known reports whether a Host header names this node. An address cannot be rebound, so any will do; of names only
// localhost, which browsers do not look up, and those that the configuration gives.
func (s *Server) known(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.TrimSuffix(strings.Trim(name, "[]"), "."))
	return name == "localhost" || net.ParseIP(name) != nil ||
		slices.ContainsFunc(s.o.Hosts, func(h string) bool { return strings.EqualFold(h, name) })
}
