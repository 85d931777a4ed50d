package engine

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestSeedDocument: every test, example and benchmark that docs/seed.md names is there.
func TestSeedDocument(t *testing.T) {
	document, err := os.ReadFile("../docs/seed.md")
	check(t, err)
	there := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Example|Benchmark)\w+)\(`)
	err = filepath.WalkDir("..", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range declared.FindAllSubmatch(source, -1) {
			there[string(m[1])] = true
		}
		return err
	})
	check(t, err)
	named := regexp.MustCompile(`\b(?:Test|Example|Benchmark)[A-Z]\w+`).FindAllString(string(document), -1)
	if len(named) < 50 {
		t.Errorf("%d names found: the test reads the wrong thing", len(named))
	}
	for _, name := range named {
		if !there[name] && name != "TestScenario" { // the pattern of a command line
			t.Errorf("%s is not there", name)
		}
	}
}
