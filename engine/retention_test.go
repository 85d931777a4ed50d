package engine

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getevo/rmds/engine/internal/bus"
)

func streamOfX(t *testing.T, c *Connection) (count, deleted int64) {
	t.Helper()
	streams, err := c.st.Streams()
	check(t, err)
	for _, s := range streams {
		if s.Channel == "x" {
			return s.Count, s.DeletedCount
		}
	}
	return 0, 0
}

// slowly makes virtual days cheap: nodes speak rarely.
func slowly(c *Config) {
	c.KeepaliveInterval, c.NodeOfflineTimeout, c.DiscoveryBroadcastInterval = time.Hour, 3*time.Hour, 6*time.Hour
}

// TestRetention: what every reader has acknowledged goes after DeliveredMessageRetention, not before, and what one reader
// has still to get stays however old it is.
func TestRetention(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := bus.NewNetwork(1)
		a := newSimNode(t, net, "a", writeX)
		a.cfg = func(c *Config) {
			slowly(c)
			c.MessageExpiry, c.DeliveredMessageRetention = 0, 10*time.Hour
		}
		b, d := newSimNode(t, net, "b", readX(t)), newSimNode(t, net, "d", readX(t))
		b.cfg, d.cfg = slowly, slowly
		a.start()
		b.start()
		d.start()
		defer func() { a.stop(); b.stop(); d.stop() }()
		sendRange(t, a.conn, 1, 5)
		eventually(t, time.Minute, "5 are handled", func() bool { return handled(t, b.conn, 5)() && handled(t, d.conn, 5)() })
		time.Sleep(9 * time.Hour)
		if _, deleted := streamOfX(t, a.conn); deleted != 0 {
			t.Errorf("%d messages were deleted before their time", deleted)
		}
		time.Sleep(3 * time.Hour)
		if _, deleted := streamOfX(t, a.conn); deleted != 5 {
			t.Errorf("%d of 5 messages were deleted", deleted)
		}
		d.mem.Down()
		sendRange(t, a.conn, 6, 10)
		time.Sleep(20 * 24 * time.Hour)
		if _, deleted := streamOfX(t, a.conn); deleted != 5 {
			t.Errorf("%d messages were deleted, 5 of them owed", deleted)
		}
		d.mem.Up()
		eventually(t, time.Minute, "10 are handled", handled(t, d.conn, 10))
		checkTally(t, d.conn, "work", "a", 10)
		time.Sleep(12 * time.Hour)
		if _, deleted := streamOfX(t, a.conn); deleted != 10 {
			t.Errorf("%d of 10 messages were deleted", deleted)
		}
		sendRange(t, a.conn, 11, 12)
		eventually(t, time.Minute, "12 are handled", func() bool { return handled(t, b.conn, 12)() && handled(t, d.conn, 12)() })
		checkTally(t, b.conn, "work", "a", 12)
	})
}

// TestP26NoReader: what no reader was ever known for is kept for MessageExpiry, and is a dead letter then; a reader that
// comes later is told that there was something.
func TestP26NoReader(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := bus.NewNetwork(1)
		a := newSimNode(t, net, "a", writeX)
		a.cfg = func(c *Config) {
			slowly(c)
			c.MessageExpiry, c.DeliveredMessageRetention = 48*time.Hour, time.Hour
		}
		a.start()
		defer a.stop()
		sendRange(t, a.conn, 1, 3)
		time.Sleep(47 * time.Hour)
		if _, deleted := streamOfX(t, a.conn); deleted != 0 {
			t.Errorf("%d messages were deleted before their time", deleted)
		}
		time.Sleep(3 * time.Hour)
		dead := setAside(t, a.conn)
		if len(dead) != 3 || dead[0].Reason != "no_reader" || string(dead[0].Content) != "" && string(dead[0].Content) != "1" {
			t.Errorf("dead letters are %+v", dead)
		}
		if _, deleted := streamOfX(t, a.conn); deleted != 3 {
			t.Errorf("%d of 3 messages were deleted", deleted)
		}
		b := newSimNode(t, net, "b", func(c *Connection) { check(t, c.Join("x", ReadOnly, WithStart(StartAll)).Handle(tally("work"))) })
		b.start()
		defer b.stop()
		sendRange(t, a.conn, 4, 5)
		eventually(t, time.Minute, "5 is handled", handled(t, b.conn, 5))
		if got, want := seen(t, b.conn, 5), []int{0, 0, 0, 1, 1}; !slices.Equal(got, want) {
			t.Errorf("handled %v, want %v", got, want)
		}
		events, err := b.conn.st.Events(0, 10)
		check(t, err)
		if len(events) != 1 || events[0].Kind != "gap" || !strings.Contains(events[0].Text, "does not keep") {
			t.Errorf("events are %+v, want one gap", events)
		}
	})
}

// TestReaderExpiry: a reader that is silent for ReaderExpiry is given up, its messages become dead letters. P25: the time
// in which this node was itself off or cut off does not count.
func TestReaderExpiry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := bus.NewNetwork(1)
		a := newSimNode(t, net, "a", writeX)
		a.cfg = func(c *Config) {
			slowly(c)
			c.MessageExpiry, c.MessageCleanupInterval = 0, 12*time.Hour
		}
		b := newSimNode(t, net, "b", readX(t))
		b.cfg = slowly
		a.start()
		b.start()
		defer a.stop()
		sendRange(t, a.conn, 1, 2)
		eventually(t, time.Minute, "2 are handled", func() bool { return handled(t, b.conn, 2)() && a.conn.Status().Queued == 0 })
		b.stop()
		sendRange(t, a.conn, 3, 5)
		time.Sleep(20 * 24 * time.Hour)
		a.stop()
		time.Sleep(100 * 24 * time.Hour) // off
		a.start()
		time.Sleep(time.Hour)
		a.mem.Down()
		time.Sleep(100 * 24 * time.Hour) // cut off
		a.mem.Up()
		time.Sleep(3 * 24 * time.Hour)
		if q := a.conn.Status().Queued; q != 3 {
			t.Errorf("%d messages wait, want 3: silence of this node's own making was counted", q)
		}
		time.Sleep(12 * 24 * time.Hour)
		if s := a.conn.Status(); s.Queued != 0 {
			t.Errorf("%d messages still wait for a reader that is gone", s.Queued)
		}
		dead := setAside(t, a.conn)
		if len(dead) != 3 || dead[0].Reason != "reader_gone" || dead[0].Reader != "b" {
			t.Errorf("dead letters are %+v", dead)
		}
	})
}
