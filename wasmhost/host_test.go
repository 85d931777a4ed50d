package wasmhost

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getevo/rmds/wasmhost/internal/wat"
)

// newHost returns a Host for one test.
func newHost(t testing.TB) *Host {
	t.Helper()
	h, err := New(context.Background(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(context.Background()); err != nil {
			t.Errorf("closing the host: %v", err)
		}
	})
	return h
}

// guest is a module under test with the log that it writes.
type guest struct {
	*Module
	log *logBuffer
}

type option func(*Limits, *Settings)

// load loads a module and fails the test if it is refused.
func load(t testing.TB, wasm []byte, opts ...option) guest {
	t.Helper()
	g, err := tryLoad(t, newHost(t), wasm, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func tryLoad(t testing.TB, h *Host, wasm []byte, opts ...option) (guest, error) {
	t.Helper()
	log := &logBuffer{}
	limits := DefaultLimits()
	limits.Timeout, limits.CPU = time.Minute, time.Minute // machines that run tests can be very busy
	settings := Settings{Name: "test", Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	for _, o := range opts {
		o(&limits, &settings)
	}
	m, err := h.Load(context.Background(), wasm, limits, settings)
	if err == nil {
		t.Cleanup(func() {
			if err := m.Close(context.Background()); err != nil {
				t.Errorf("closing the module: %v", err)
			}
		})
	}
	return guest{m, log}, err
}

// loadWAT wraps functions and data into a module with the imports of rmds_v1.
func loadWAT(t testing.TB, body string, opts ...option) guest {
	t.Helper()
	return load(t, reactor(body), opts...)
}

// reactor assembles a module that imports all of rmds_v1 and has two pages of memory.
func reactor(body string) []byte {
	return wat.Must(`(module
	  (import "rmds_v1" "msg_get" (func $msg_get (param i32 i32 i32 i32) (result i32)))
	  (import "rmds_v1" "cfg_get" (func $cfg_get (param i32 i32 i32 i32) (result i32)))
	  (import "rmds_v1" "kv_get" (func $kv_get (param i32 i32 i32 i32) (result i32)))
	  (import "rmds_v1" "kv_set" (func $kv_set (param i32 i32 i32 i32) (result i32)))
	  (import "rmds_v1" "kv_del" (func $kv_del (param i32 i32) (result i32)))
	  (import "rmds_v1" "kv_next" (func $kv_next (param i32 i32 i32 i32) (result i32)))
	  (import "rmds_v1" "reply" (func $reply (param i32 i32) (result i32)))
	  (import "rmds_v1" "send" (func $send (param i32 i32 i32 i32) (result i32)))
	  (import "rmds_v1" "head" (func $head (param i32 i32 i32 i32) (result i32)))
	  (import "rmds_v1" "note" (func $note (param i32 i32 i32 i32) (result i32)))
	  (import "rmds_v1" "log" (func $log (param i32 i32 i32)))
	  (import "rmds_v1" "now" (func $now (result i64)))
	  (import "rmds_v1" "random" (func $random (param i32 i32) (result i32)))
	  (memory (export "memory") 2)
	  ` + body + `)`)
}

func (g guest) run(t testing.TB, msg *Msg, fx *effects) Outcome {
	t.Helper()
	return g.Call(context.Background(), msg, fx)
}

func message(content string) *Msg {
	return &Msg{Content: []byte(content), ID: "m-1", Channel: "in", Sender: "node-a", Attempt: 1,
		CreatedAt: time.Unix(1700000000, 123456789)}
}

// sent is a reply (no channel) or a send.
type sent struct {
	channel, content string
	headers          []Header
}

// effects keeps what a guest does.
type effects struct {
	kv   map[string]string
	sent []sent
	err  error // for every method
}

func newEffects() *effects { return &effects{kv: map[string]string{}} }

func (e *effects) Get(key string) ([]byte, bool, error) {
	v, ok := e.kv[key]
	return []byte(v), ok, e.err
}

func (e *effects) Set(key string, v []byte) error {
	e.kv[key] = string(v)
	return e.err
}

func (e *effects) Delete(key string) error {
	delete(e.kv, key)
	return e.err
}

func (e *effects) Next(key string) (string, bool, error) {
	for _, k := range slices.Sorted(maps.Keys(e.kv)) {
		if k > key {
			return k, true, e.err
		}
	}
	return "", false, e.err
}

func (e *effects) Reply(content []byte, h []Header) error { return e.Send("", content, h) }

func (e *effects) Send(channel string, content []byte, h []Header) error {
	e.sent = append(e.sent, sent{channel, string(content), h})
	return e.err
}

// logBuffer is a writer that many goroutines may use.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func wantErr(t *testing.T, err error, is error, words ...string) {
	t.Helper()
	if !errors.Is(err, is) {
		t.Fatalf("error is %v, want one that is %q", err, is)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}
