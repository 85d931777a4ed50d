package handlers

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getevo/rmds/wasmhost"
)

// host compiles and runs the modules of all tests.
var host *wasmhost.Host

func TestMain(m *testing.M) { os.Exit(withHost(m)) }

func withHost(m *testing.M) int {
	ctx := context.Background()
	cache, err := os.MkdirTemp("", "handlers")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(cache)
	if host, err = wasmhost.New(ctx, wasmhost.Options{CacheDir: cache}); err != nil {
		panic(err)
	}
	defer host.Close(ctx)
	return m.Run()
}

// node runs one handler over a store in memory, as a node does: what a call did counts only if the call was acknowledged.
type node struct {
	module *wasmhost.Module
	kv     map[string][]byte
	log    bytes.Buffer
}

// load loads a handler with the configured values. It may send on the channel alerts.
func load(t testing.TB, wasm []byte, config map[string]string) *node {
	t.Helper()
	n, err := tryLoad(t, wasm, config)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func tryLoad(t testing.TB, wasm []byte, config map[string]string) (*node, error) {
	t.Helper()
	ctx := context.Background()
	n := &node{kv: map[string][]byte{}}
	limits := wasmhost.DefaultLimits()
	limits.Timeout, limits.CPU = time.Minute, time.Minute // against hanging alone: the machine may be busy
	module, err := host.Load(ctx, wasm, limits, wasmhost.Settings{
		Name: "tested", Config: config, Sends: []string{"alerts"}, Logger: slog.New(slog.NewTextHandler(&n.log, nil)),
	})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { module.Close(ctx) })
	n.module = module
	return n, nil
}

// result is what became of a message.
type result struct {
	kind       wasmhost.Kind
	reason     string
	retryAfter time.Duration
	replies    []string // content
	sends      []string // channel and content
	headers    []string // of replies and sends, key=value
}

func (n *node) handle(t testing.TB, content string) result {
	return n.handleMsg(t, &wasmhost.Msg{Content: []byte(content), ID: "id1", Channel: "in", Sender: "sensor", Attempt: 1})
}

func (n *node) handleMsg(t testing.TB, m *wasmhost.Msg) result {
	t.Helper()
	e := &effects{kv: maps.Clone(n.kv)}
	outcome := n.module.Call(context.Background(), m, e)
	r := result{kind: outcome.Kind, reason: outcome.Reason, retryAfter: outcome.RetryAfter}
	if outcome.Kind == wasmhost.Ack {
		n.kv = e.kv
		r.replies, r.sends, r.headers = e.replies, e.sends, e.headers
	}
	return r
}

// effects is what one call does.
type effects struct {
	kv                      map[string][]byte
	replies, sends, headers []string
}

func (e *effects) Get(key string) ([]byte, bool, error) {
	value, ok := e.kv[key]
	return value, ok, nil
}

func (e *effects) Set(key string, value []byte) error {
	e.kv[key] = value
	return nil
}

func (e *effects) Delete(key string) error {
	delete(e.kv, key)
	return nil
}

func (e *effects) Next(key string) (string, bool, error) {
	keys := slices.Sorted(maps.Keys(e.kv))
	i, found := slices.BinarySearch(keys, key)
	if found {
		i++
	}
	if i == len(keys) {
		return "", false, nil
	}
	return keys[i], true, nil
}

func (e *effects) Reply(content []byte, headers []wasmhost.Header) error {
	e.replies = append(e.replies, string(content))
	e.addHeaders(headers)
	return nil
}

func (e *effects) Send(channel string, content []byte, headers []wasmhost.Header) error {
	if strings.Contains(string(content), "too-much") {
		return fmt.Errorf("the outbox is full: %w", wasmhost.ErrOverLimit)
	}
	e.sends = append(e.sends, channel+" "+string(content))
	e.addHeaders(headers)
	return nil
}

func (e *effects) addHeaders(headers []wasmhost.Header) {
	for _, h := range headers {
		e.headers = append(e.headers, h.Key+"="+h.Value)
	}
}
