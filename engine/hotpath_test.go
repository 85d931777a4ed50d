package engine

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/getevo/rmds/engine/internal/bus"
)

// hotReading is a sensor's JSON of 256 bytes: what the figures of the hot path are measured with.
func hotReading(rng *rand.Rand, n int) []byte {
	b := fmt.Appendf(make([]byte, 0, 256), `{"device":"press-07","site":"hall-3","reading":%d`, n)
	for _, name := range []string{"temperature", "pressure", "vibration_x", "vibration_y", "current", "flow", "humidity"} {
		b = fmt.Appendf(b, `,"%s":%d.%d`, name, rng.IntN(90), rng.IntN(1000))
	}
	b = append(b, `,"state":"`...)
	for len(b) < 254 {
		b = append(b, 'x')
	}
	return append(b[:254], `"}`...)
}

// hotPath is a sender, and unless alone a reader that counts in its store, in one process over the bus in memory.
type hotPath struct {
	tb       testing.TB
	sender   *Connection
	ch       *Channel
	contents [][]byte
}

func newHotPath(tb testing.TB, alone bool) *hotPath {
	tb.Helper()
	h := &hotPath{tb: tb}
	net := bus.NewNetwork(1)
	join := func(c *Connection) { h.ch = c.Join("readings", WriteOnly) }
	h.sender = newHotNode(tb, net, "sender", join)
	if !alone {
		count := &Handler{Name: "count", Func: func(_ context.Context, tx *Tx, _ *Message) error {
			v, _, err := tx.Get("count")
			n := uint64(0)
			if len(v) == 8 {
				n = binary.LittleEndian.Uint64(v)
			}
			if err != nil {
				return err
			}
			return tx.Set("count", binary.LittleEndian.AppendUint64(nil, n+1))
		}}
		newHotNode(tb, net, "reader", func(c *Connection) {
			if err := c.Join("readings", ReadOnly, WithStart(StartAll)).Handle(count); err != nil {
				tb.Fatal(err)
			}
		})
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 1024 {
		h.contents = append(h.contents, hotReading(rng, i))
	}
	return h
}

func newHotNode(tb testing.TB, net *bus.Network, id string, join func(*Connection)) *Connection {
	tb.Helper()
	cfg := DefaultConfig()
	cfg.NodeID, cfg.StoragePath = id, tb.TempDir()+"/db"
	cfg.Logger, cfg.MaxMessagesPerReceiver, cfg.Observe = testLogger(tb), 1<<30, false
	cfg.bus = func(*Config) (busLink, error) { return net.Connect(id), nil }
	c, err := New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			tb.Error(err)
		}
	})
	join(c)
	return c
}

// send hands over n messages, at most a window of them unanswered, and returns when all are on disk.
func (h *hotPath) send(n int) {
	const window = 4096
	pending := make([]*Pending, 0, window)
	wait := func(k int) {
		for _, p := range pending[:k] {
			if _, err := p.Wait(context.Background()); err != nil {
				h.tb.Fatal(err)
			}
		}
		pending = pending[:copy(pending, pending[k:])]
	}
	for i := range n {
		if len(pending) == window {
			wait(window / 2)
		}
		pending = append(pending, h.ch.SendAsync(h.contents[i%len(h.contents)]))
	}
	wait(len(pending))
}

// deliver sends n messages and returns when all are acknowledged.
func (h *hotPath) deliver(n int) {
	want := h.sender.Status().Delivered + int64(n)
	h.send(n)
	deadline := time.Now().Add(time.Minute)
	for h.sender.Status().Delivered < want {
		if time.Now().After(deadline) {
			h.tb.Fatalf("%d of %d messages acknowledged", h.sender.Status().Delivered, want)
		}
		time.Sleep(time.Millisecond)
	}
}

func BenchmarkSend(b *testing.B) {
	h := newHotPath(b, true)
	h.send(8192)
	b.ReportAllocs()
	b.ResetTimer()
	h.send(b.N)
}

func BenchmarkDeliver(b *testing.B) {
	h := newHotPath(b, false)
	h.deliver(8192)
	b.ReportAllocs()
	b.ResetTimer()
	h.deliver(b.N)
}
