package handlers

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The committed modules are what build.sh makes of the committed sources.
func TestCommittedModules(t *testing.T) {
	if _, err := exec.LookPath("wat2wasm"); err != nil {
		t.Skip("wat2wasm is not installed; see build.sh")
	}
	dir := t.TempDir()
	if text, err := exec.Command("./build.sh", dir).CombinedOutput(); err != nil {
		t.Fatalf("build.sh: %v\n%s", err, text)
	}
	for _, module := range []string{"stats-wat/stats.wasm"} {
		committed, err := os.ReadFile(module)
		if err != nil {
			t.Fatal(err)
		}
		rebuilt, err := os.ReadFile(filepath.Join(dir, filepath.Base(module)))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(committed, rebuilt) {
			t.Errorf("%s is not what build.sh makes of its source: run handlers/build.sh and commit", module)
		}
	}
}
