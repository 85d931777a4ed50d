package engine

import (
	"go/build"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/getevo/rmds/"

// TestArrows holds the direction of the project's imports: cmd sees all, engine and wasmhost never see each other, and
// the innermost packages see nothing of the project.
func TestArrows(t *testing.T) {
	allowed := map[string][]string{ // package, or prefix with "/...": what it may import of the project
		"engine":                {"engine/internal/store", "engine/internal/wire", "engine/internal/link", "engine/internal/bus"},
		"engine/internal/store": {},
		"engine/internal/wire":  {},
		"engine/internal/bus":   {},
		"engine/internal/link":  {"engine/internal/wire"},
		"wasmhost/...":          {"wasmhost/..."},
		"handlers/...":          {"handlers/..."},
		"cmd/rmds-node/...":     {"engine", "wasmhost", "handlers/...", "cmd/rmds-node/..."},
		"cmd/chat/...":          {"engine", "cmd/chat/..."},
		"examples/...":          {"engine", "wasmhost", "handlers/..."},
	}
	match := func(pattern, pkg string) bool {
		prefix, deep := strings.CutSuffix(pattern, "/...")
		return pkg == prefix || deep && strings.HasPrefix(pkg, prefix+"/")
	}
	seen := 0
	err := filepath.WalkDir("..", func(dir string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return err
		}
		if name := e.Name(); dir != ".." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules" || name == "bench") {
			return filepath.SkipDir
		}
		p, err := build.ImportDir(dir, 0)
		if err != nil {
			return nil // no Go package for this platform
		}
		rel, _ := filepath.Rel("..", dir)
		pkg := filepath.ToSlash(rel)
		for _, imp := range p.Imports {
			if pkg == "engine" && strings.Contains(imp, "nats-server") {
				t.Errorf("%s imports %s: the library must not carry a server", pkg, imp)
			}
			inner, ours := strings.CutPrefix(imp, module)
			if !ours {
				continue
			}
			seen++
			ok := false
			for from, to := range allowed {
				ok = ok || match(from, pkg) && slices.ContainsFunc(to, func(p string) bool { return match(p, inner) })
			}
			if !ok {
				t.Errorf("%s imports %s", pkg, inner)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 5 {
		t.Errorf("only %d imports of the project seen: the test looks in the wrong place", seen)
	}
}
