package handlers

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// guestHost runs one module with an in-memory store.
type guestHost struct {
	config map[string]string
	kv     map[string][]byte
	mod    api.Module

	content       []byte
	replies, sent []string
	reason        string
}

func load(t *testing.T, wasm []byte, config map[string]string) *guestHost {
	t.Helper()
	ctx := context.Background()
	r := wazero.NewRuntime(ctx)
	t.Cleanup(func() { r.Close(ctx) })
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	h := &guestHost{config: config, kv: map[string][]byte{}}
	if _, err := h.exports(r.NewHostModuleBuilder("rmds_v1")).Instantiate(ctx); err != nil {
		t.Fatal(err)
	}
	mod, err := r.InstantiateWithConfig(ctx, wasm, wazero.NewModuleConfig().WithStartFunctions("_initialize"))
	if err != nil {
		t.Fatal(err)
	}
	h.mod = mod
	return h
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

func (h *guestHost) exports(b wazero.HostModuleBuilder) wazero.HostModuleBuilder {
	fn := func(name string, f any) { b = b.NewFunctionBuilder().WithFunc(f).Export(name) }
	fn("msg_get", func(_ context.Context, m api.Module, k, kn, p, n uint32) int32 {
		return give(m, h.content, string(bytesAt(m, k, kn)) == "content", p, n)
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
		h.replies = append(h.replies, string(bytesAt(m, p, n)))
		return 0
	})
	fn("send", func(_ context.Context, m api.Module, k, kn, p, n uint32) int32 {
		h.sent = append(h.sent, string(bytesAt(m, k, kn))+" "+string(bytesAt(m, p, n)))
		return 0
	})
	fn("head", func(_ context.Context, m api.Module, k, kn, p, n uint32) int32 { return 0 })
	fn("note", func(_ context.Context, m api.Module, k, kn, p, n uint32) int32 {
		if string(bytesAt(m, k, kn)) == "reason" {
			h.reason = string(bytesAt(m, p, n))
		}
		return 0
	})
	fn("log", func(_ context.Context, m api.Module, level, p, n uint32) {})
	return b
}

// init calls rmds_init.
func (h *guestHost) init() uint64 {
	res, err := h.mod.ExportedFunction("rmds_init").Call(context.Background())
	if err != nil {
		panic(err)
	}
	return res[0]
}

// handle gives content to the module and returns its result.
func (h *guestHost) handle(content string) uint64 {
	h.content, h.reason, h.replies, h.sent = []byte(content), "", nil, nil
	before := maps.Clone(h.kv)
	res, err := h.mod.ExportedFunction("rmds_handle").Call(context.Background())
	if err != nil {
		h.reason = err.Error()
		res = []uint64{1}
	}
	if res[0] != 0 {
		h.kv, h.replies, h.sent = before, nil, nil
	}
	return res[0]
}
