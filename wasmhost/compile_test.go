package wasmhost

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/getevo/rmds/wasmhost/internal/wat"
)

// TestMain lets the test's own program be the compiler of its tests.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "compile" {
		if err := Compile(context.Background(), os.Args[2], os.Stdin); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func newCompilingHost(t *testing.T, timeout time.Duration, command ...string) (h *Host, cache string) {
	t.Helper()
	cache = filepath.Join(t.TempDir(), "cache")
	h, err := New(context.Background(), Options{CacheDir: cache, Compiler: Compiler{Command: command, Timeout: timeout}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return h, cache
}

// cached counts the modules in a cache.
func cached(t *testing.T, dir string) int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// TestCompileApart holds that the process's work is what this process then runs: it adds nothing to the cache itself.
func TestCompileApart(t *testing.T) {
	h, cache := newCompilingHost(t, time.Minute, os.Args[0], "compile")
	g, err := tryLoad(t, h, version(7))
	if err != nil {
		t.Fatal(err)
	}
	before := cached(t, cache)
	if v := versionOf(t, g.Call); v != 7 || before == 0 {
		t.Errorf("version %d runs, %d files in the cache", v, before)
	}
	_, err = tryLoad(t, h, wat.Must(`(module (memory (export "memory") 1) (func (export "rmds_handle") (result i32) i64.const 0))`))
	wantErr(t, err, ErrNotModule, "invalid function", "i64")
	if n := cached(t, cache); n != before {
		t.Errorf("%d files in the cache, %d before", n, before)
	}
}

// TestCompileTimeout kills a compiler that does not end.
func TestCompileTimeout(t *testing.T) {
	h, _ := newCompilingHost(t, 50*time.Millisecond, "sleep")
	h.cacheDir = "1000000" // what sleep gets as its last argument
	_, err := tryLoad(t, h, version(7))
	wantErr(t, err, ErrCompileTime, "50ms")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := h.Load(ctx, version(7), DefaultLimits(), Settings{}); err != context.Canceled {
		t.Errorf("with a context that has ended: %v", err)
	}
}

func TestCompilerFails(t *testing.T) {
	h, _ := newCompilingHost(t, time.Minute, "false")
	_, err := tryLoad(t, h, version(7))
	wantErr(t, err, ErrNotModule, "the compiler failed", "exit status 1")
	h, _ = newCompilingHost(t, time.Minute, filepath.Join(t.TempDir(), "nobody"))
	_, err = tryLoad(t, h, version(7))
	wantErr(t, err, ErrNotModule, "nobody")
	for _, o := range []Options{
		{Compiler: Compiler{Command: []string{"true"}, Timeout: time.Second}},
		{Compiler: Compiler{Command: []string{"true"}}, CacheDir: filepath.Join(t.TempDir(), "cache")},
	} {
		if _, err := New(context.Background(), o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}
