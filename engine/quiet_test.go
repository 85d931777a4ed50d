package engine

import (
	"context"
	"testing"
	"time"

	"github.com/getevo/rmds/engine/internal/bus"
)

// TestWritersThatDoNotObserve: they hear no questions, and still find their readers and get their replies, whoever comes
// first.
func TestWritersThatDoNotObserve(t *testing.T) {
	net := bus.NewNetwork(1)
	var chs []*Channel
	write := func(id string) {
		newHotNode(t, net, id, func(c *Connection) { chs = append(chs, c.Join("x", WriteOnly)) })
	}
	write("early")
	newHotNode(t, net, "reader", func(c *Connection) {
		h := &Handler{Name: "h", Func: func(_ context.Context, tx *Tx, m *Message) error { return tx.Reply(m.Data) }}
		if err := c.Join("x", ReadOnly).Handle(h); err != nil {
			t.Fatal(err)
		}
	})
	write("late")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // half the interval of presence: nobody may have waited for that
	defer cancel()
	for _, ch := range chs {
		if m, err := ch.Request(ctx, "", "hello"); err != nil || string(m.Data) != "hello" {
			t.Errorf("%s got %v, %v", ch.c.cfg.NodeID, m, err)
		}
	}
}
