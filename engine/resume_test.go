package engine

import (
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/getevo/rmds/engine/internal/bus"
)

// TestResumeAfterOutage: both nodes lose NATS and come back in either order, some milliseconds apart. What was sent
// meanwhile, and what was on its way, arrives within a second.
func TestResumeAfterOutage(t *testing.T) {
	for _, outage := range []time.Duration{50 * time.Millisecond, 3 * time.Second, time.Hour} {
		for _, lead := range []time.Duration{-17 * time.Millisecond, 0, 17 * time.Millisecond, 300 * time.Millisecond} {
			t.Run(fmt.Sprintf("outage=%v/lead=%v", outage, lead), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { resume(t, outage, lead) })
			})
		}
	}
}

func resume(t *testing.T, outage, lead time.Duration) {
	net := bus.NewNetwork(1)
	net.Set(bus.Faults{Delay: time.Millisecond})
	var out *Channel
	a := newSimNode(t, net, "a", func(c *Connection) { out = c.Join("x", WriteOnly) })
	b := newSimNode(t, net, "b", func(c *Connection) { check(t, c.Join("x", ReadOnly).Handle(tally("work"))) })
	fast := func(c *Config) { c.KeepaliveInterval, c.NodeOfflineTimeout = 500*time.Millisecond, 2*time.Second }
	a.cfg, b.cfg = fast, fast
	a.start()
	b.start()
	defer a.stop()
	defer b.stop()
	sent := 0
	send := func(n int) {
		for range n {
			sent++
			check(t, out.SendMessage(strconv.Itoa(sent)))
			time.Sleep(20 * time.Millisecond)
		}
	}
	send(50)
	a.mem.Down()
	b.mem.Down()
	send(20)
	time.Sleep(outage)
	first, second := a, b
	if lead < 0 {
		first, second, lead = b, a, -lead
	}
	first.mem.Up()
	time.Sleep(lead)
	second.mem.Up()
	eventually(t, time.Second, "everything is handled", func() bool { return kvNumber(t, b.conn, "work", "count/a") == sent })
	checkTally(t, b.conn, "work", "a", sent)
}
