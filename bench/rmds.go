package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/getevo/rmds/engine"
	"github.com/getevo/rmds/wasmhost"
)

const rmdsChannel = "readings"

func rmdsConfig(c clientConfig, id string) *engine.Config {
	cfg := engine.DefaultConfig()
	cfg.NodeID, cfg.StoragePath, cfg.NATSServers = id, filepath.Join(c.Dir, id+".db"), []string{c.URL}
	cfg.MaxMessagesPerReceiver = 1 << 30
	cfg.Observe = false
	cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	return cfg
}

type rmdsSender struct {
	conn *engine.Connection
	ch   *engine.Channel
}

func newRMDSSender(c clientConfig) (sender, error) {
	conn, err := engine.New(rmdsConfig(c, "sender"))
	if err != nil {
		return nil, err
	}
	return &rmdsSender{conn, conn.Join(rmdsChannel, engine.WriteOnly)}, nil
}

func (s *rmdsSender) send(content []byte) (func(context.Context) error, error) {
	p := s.ch.SendAsync(content)
	return func(ctx context.Context) error { _, err := p.Wait(ctx); return err }, nil
}

func (s *rmdsSender) drained(ctx context.Context) error {
	for s.conn.Status().Queued > 0 {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d messages not acknowledged: %w", s.conn.Status().Queued, ctx.Err())
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}

func (s *rmdsSender) close() error { return s.conn.Close() }

// rmdsReceiver is a set of nodes in one process, each with a database of its own.
type rmdsReceiver struct {
	conns []*engine.Connection
	guest *wasmhost.Module
	host  *wasmhost.Host
}

// newRMDSReceiver knows the variants "" (a handler that counts in its store, in the transaction) and "wasm" (the
// same as a module, written in Go).
func newRMDSReceiver(c clientConfig, handle func(int, []byte)) (receiver, error) {
	r := &rmdsReceiver{}
	run := countInStore
	if c.Variant == "wasm" {
		ctx := context.Background()
		var err error
		if r.host, err = wasmhost.New(ctx, wasmhost.Options{}); err != nil {
			return nil, err
		}
		module, err := os.ReadFile(c.Guest)
		if err != nil {
			return nil, err
		}
		if r.guest, err = r.host.Load(ctx, module, wasmhost.DefaultLimits(), wasmhost.Settings{Name: "bench"}); err != nil {
			return nil, err
		}
		run = r.callGuest
	}
	for i := range c.Readers {
		conn, err := engine.New(rmdsConfig(c, fmt.Sprintf("reader%d", i)))
		if err != nil {
			return nil, errors.Join(err, r.close())
		}
		r.conns = append(r.conns, conn)
		h := &engine.Handler{Name: "bench", Func: func(ctx context.Context, tx *engine.Tx, m *engine.Message) error {
			handle(i, m.Data)
			return run(ctx, tx, m)
		}}
		if r.guest != nil {
			h.Discarded = r.guest.Reset
		}
		if err := conn.Join(rmdsChannel, engine.ReadOnly, engine.WithStart(engine.StartAll)).Handle(h); err != nil {
			return nil, errors.Join(err, r.close())
		}
	}
	return r, nil
}

func countInStore(_ context.Context, tx *engine.Tx, _ *engine.Message) error {
	v, _, err := tx.Get("count")
	if err != nil {
		return err
	}
	n := uint64(0)
	if len(v) == 8 {
		n = binary.LittleEndian.Uint64(v)
	}
	return tx.Set("count", binary.LittleEndian.AppendUint64(nil, n+1))
}

func (r *rmdsReceiver) callGuest(ctx context.Context, tx *engine.Tx, m *engine.Message) error {
	o := r.guest.Call(ctx, &wasmhost.Msg{Content: m.Data, ID: m.ID.String(), Channel: m.Channel, Sender: m.Sender,
		CreatedAt: m.CreatedAt, Attempt: m.Attempt, Headers: m.Headers}, guestEffects{tx})
	if o.Kind != wasmhost.Ack {
		return fmt.Errorf("guest: %v %s %w", o.Kind, o.Reason, o.Err)
	}
	return nil
}

// guestEffects gives the module its store; what it would send is nothing to this measurement.
type guestEffects struct{ *engine.Tx }

func (e guestEffects) Reply([]byte, []wasmhost.Header) error        { return nil }
func (e guestEffects) Send(string, []byte, []wasmhost.Header) error { return nil }

// settled returns at once: the sender knows.
func (r *rmdsReceiver) settled(context.Context, int) error { return nil }

func (r *rmdsReceiver) close() (err error) {
	for _, c := range r.conns {
		err = errors.Join(err, c.Close())
	}
	if r.guest != nil {
		err = errors.Join(err, r.guest.Close(context.Background()))
	}
	if r.host != nil {
		err = errors.Join(err, r.host.Close(context.Background()))
	}
	return err
}
