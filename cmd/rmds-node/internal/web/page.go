package web

import (
	"bytes"
	"embed"
	"net/http"
	"path"
	"time"

	"github.com/getevo/rmds/cmd/rmds-node/internal/admin"
)

// files is the page: it needs nothing from anywhere else.
//
//go:embed page
var files embed.FS

var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

// page serves the page's files by their names; / is index.html.
func (s *Server) page(w http.ResponseWriter, r *http.Request) error {
	name := path.Base(r.URL.Path)
	if r.URL.Path == "/" {
		name = "index.html"
	} else if r.URL.Path != "/"+name {
		return notHere(r)
	}
	b, err := files.ReadFile("page/" + name)
	if err != nil {
		return notHere(r)
	}
	w.Header().Set("Content-Type", contentTypes[path.Ext(name)])
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(b))
	return nil
}

func notHere(r *http.Request) error {
	return admin.Errorf(admin.CodeNotFound, "there is no %s", r.URL.Path)
}
