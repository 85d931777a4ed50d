package handlers

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// node runs one module with an in-memory store.
type node struct {
	config map[string]string
	kv     map[string][]byte
	mod    api.Module

	content string
	result  result
}

type result struct {
	kind, reason   string
	replies, sends []string
}

func load(t testing.TB, wasm []byte, config map[string]string) *node {
	t.Helper()
	n := &node{config: config, kv: map[string][]byte{}}
	if err := n.load(t, wasm); err != nil {
		t.Fatal(err)
	}
	return n
}

func tryLoad(t testing.TB, wasm []byte, config map[string]string) error {
	return (&node{config: config, kv: map[string][]byte{}}).load(t, wasm)
}

func (h *node) load(t testing.TB, wasm []byte) error {
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig())
	t.Cleanup(func() { r.Close(ctx) })
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	if _, err := h.exports(r.NewHostModuleBuilder("rmds_v1")).Instantiate(ctx); err != nil {
		return err
	}
	if _, err := r.NewHostModuleBuilder("env").NewFunctionBuilder().WithFunc(func(a, b, c, d uint32) {}).Export("abort").Instantiate(ctx); err != nil {
		return err
	}
	mod, err := r.InstantiateWithConfig(ctx, wasm, wazero.NewModuleConfig().WithStartFunctions("_initialize"))
	if err != nil {
		return err
	}
	h.mod = mod
	if f := mod.ExportedFunction("rmds_init"); f != nil {
		res, err := f.Call(ctx)
		if err != nil {
			return err
		}
		if res[0] != 0 {
			return errors.New("refused")
		}
	}
	return nil
}

func bytesAt(m api.Module, ptr, n uint32) []byte {
	b, ok := m.Memory().Read(ptr, n)
	if !ok {
		panic("pointer outside memory")
	}
	return b
}

func give(m api.Module, value []byte, ok bool, buf, size uint32) int32 {
	if !ok {
		return -1
	}
	if len(value) <= int(size) {
		copy(bytesAt(m, buf, uint32(len(value))), value)
	}
	return int32(len(value))
}

func (h *node) exports(b wazero.HostModuleBuilder) wazero.HostModuleBuilder {
	fn := func(name string, f any) { b = b.NewFunctionBuilder().WithFunc(f).Export(name) }
	fn("msg_get", func(_ context.Context, m api.Module, k, kn, p, n uint32) int32 {
		return give(m, []byte(h.content), string(bytesAt(m, k, kn)) == "content", p, n)
	})
	fn("cfg_get", func(_ context.Context, m api.Module, k, kn, p, n uint32) int32 {
		v, ok := h.config[string(bytesAt(m, k, kn))]
		return give(m, []byte(v), ok, p, n)
	})
	fn("kv_get", func(_ context.Context, m api.Module, k, kn, p, n uint32) int32 {
		v, ok := h.kv[string(bytesAt(m, k, kn))]
		return give(m, v, ok, p, n)
	})
	fn("kv_set", func(_ context.Context, m api.Module, k, kn, p, n uint32) int32 {
		h.kv[string(bytesAt(m, k, kn))] = bytes.Clone(bytesAt(m, p, n))
		return 0
	})
	fn("kv_del", func(_ context.Context, m api.Module, k, kn uint32) int32 {
		delete(h.kv, string(bytesAt(m, k, kn)))
		return 0
	})
	fn("kv_next", func(_ context.Context, m api.Module, k, kn, p, n uint32) int32 {
		key := string(bytesAt(m, k, kn))
		for _, next := range slices.Sorted(maps.Keys(h.kv)) {
			if next > key {
				return give(m, []byte(next), true, p, n)
			}
		}
		return -1
	})
	fn("reply", func(_ context.Context, m api.Module, p, n uint32) int32 {
		h.result.replies = append(h.result.replies, string(bytesAt(m, p, n)))
		return 0
	})
	fn("send", func(_ context.Context, m api.Module, k, kn, p, n uint32) int32 {
		h.result.sends = append(h.result.sends, string(bytesAt(m, k, kn))+" "+string(bytesAt(m, p, n)))
		return 0
	})
	fn("head", func(_ context.Context, m api.Module, k, kn, p, n uint32) int32 { return 0 })
	fn("note", func(_ context.Context, m api.Module, k, kn, p, n uint32) int32 {
		if string(bytesAt(m, k, kn)) == "reason" {
			h.result.reason = string(bytesAt(m, p, n))
		}
		return 0
	})
	fn("log", func(_ context.Context, m api.Module, level, p, n uint32) {})
	return b
}

// handle gives content to the module and returns its result.
func (h *node) handle(t testing.TB, content string) result {
	h.content, h.result = content, result{}
	before := maps.Clone(h.kv)
	res, err := h.mod.ExportedFunction("rmds_handle").Call(context.Background())
	switch {
	case err != nil || res[0] != 0 && res[0] != 65 && res[0] != 75:
		h.result.kind = "failed"
	case res[0] == 0:
		h.result.kind = "ack"
		return h.result
	case res[0] == 65:
		h.result.kind = "reject"
	}
	h.kv, h.result.replies, h.result.sends = before, nil, nil
	return h.result
}
