package engine

import (
	"errors"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/getevo/rmds/engine/internal/bus"
)

// TestDefaultConfig holds the defaults that the seed's README states.
func TestDefaultConfig(t *testing.T) {
	c := DefaultConfig()
	for _, tt := range []struct {
		field     string
		got, want any
	}{
		{"NodeID", c.NodeID, ""},
		{"NATSPrefix", c.NATSPrefix, "rmds."},
		{"EnableCompression", c.EnableCompression, true},
		{"StoragePath", c.StoragePath, "./rmds-{nodeID}.db"},
		{"KeepaliveInterval", c.KeepaliveInterval, 10 * time.Second},
		{"MessageExpiry", c.MessageExpiry, 24 * time.Hour},
		{"NodeOfflineTimeout", c.NodeOfflineTimeout, 30 * time.Second},
		{"DiscoveryBroadcastInterval", c.DiscoveryBroadcastInterval, 30 * time.Second},
		{"DeliveryRetryInterval", c.DeliveryRetryInterval, 5 * time.Second},
		{"ACKTimeout", c.ACKTimeout, 10 * time.Second},
		{"ManagementChannel", c.ManagementChannel, "management"},
		{"DiscoveryChannel", c.DiscoveryChannel, "discovery"},
		{"KeepaliveChannel", c.KeepaliveChannel, "keepalive"},
		{"MaxMessagesPerReceiver", c.MaxMessagesPerReceiver, 10000},
		{"MessageCleanupInterval", c.MessageCleanupInterval, time.Hour},
		{"DeliveredMessageRetention", c.DeliveredMessageRetention, 3 * 24 * time.Hour},
		{"ExpiredNodeCleanupInterval", c.ExpiredNodeCleanupInterval, 24 * time.Hour},
		{"MaxRetryAttempts", c.MaxRetryAttempts, 10},
	} {
		if tt.got != tt.want {
			t.Errorf("%s is %v, want %v", tt.field, tt.got, tt.want)
		}
	}
}

// TestConfigErrors: nonsense is an error of New that names the field, and leaves no database behind.
func TestConfigErrors(t *testing.T) {
	for field, change := range map[string]func(*Config){
		"NodeID":                     func(c *Config) { c.NodeID = "a.b" },
		"NATSServers":                func(c *Config) { c.NATSServers = nil },
		"NATSPrefix":                 func(c *Config) { c.NATSPrefix = "rmds" },
		"StoragePath":                func(c *Config) { c.StoragePath = "" },
		"KeepaliveInterval":          func(c *Config) { c.KeepaliveInterval = 0 },
		"MessageExpiry":              func(c *Config) { c.MessageExpiry = -1 },
		"NodeOfflineTimeout":         func(c *Config) { c.NodeOfflineTimeout = time.Second },
		"DiscoveryBroadcastInterval": func(c *Config) { c.DiscoveryBroadcastInterval = -1 },
		"DeliveryRetryInterval":      func(c *Config) { c.DeliveryRetryInterval = 0 },
		"ACKTimeout":                 func(c *Config) { c.ACKTimeout = 0 },
		"ManagementChannel":          func(c *Config) { c.ManagementChannel = "a b" },
		"DiscoveryChannel":           func(c *Config) { c.DiscoveryChannel = "data" },
		"KeepaliveChannel":           func(c *Config) { c.KeepaliveChannel = c.DiscoveryChannel },
		"MaxMessagesPerReceiver":     func(c *Config) { c.MaxMessagesPerReceiver = 0 },
		"MessageCleanupInterval":     func(c *Config) { c.MessageCleanupInterval = 0 },
		"DeliveredMessageRetention":  func(c *Config) { c.DeliveredMessageRetention = -1 },
		"ExpiredNodeCleanupInterval": func(c *Config) { c.ExpiredNodeCleanupInterval = 0 },
		"MaxRetryAttempts":           func(c *Config) { c.MaxRetryAttempts = 0 },
	} {
		dir := t.TempDir()
		c := DefaultConfig()
		c.NodeID, c.StoragePath = "n", filepath.Join(dir, "{nodeID}.db")
		change(c)
		conn, err := New(c)
		if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), field+":") {
			t.Errorf("%s: %v", field, err)
		}
		if conn != nil {
			check(t, conn.Close())
		}
		if files, _ := filepath.Glob(filepath.Join(dir, "*")); files != nil {
			t.Errorf("%s: New has left %v", field, files)
		}
	}
}

// TestNATSPrefix: nodes of two prefixes share a NATS server and nothing else, also where a prefix begins with the other.
func TestNATSPrefix(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var here, there inbox
		net, a, b := pair(t, writeX, here.joinX(t))
		other := newSimNode(t, net, "c", there.joinX(t))
		other.cfg = func(c *Config) { c.NATSPrefix = "rmds.other." }
		other.start()
		defer other.stop()
		sendRange(t, a.conn, 1, 10)
		eventually(t, 10*time.Second, "they have come", func() bool { return here.count() == 10 })
		time.Sleep(time.Minute)
		if there.count() > 0 || len(other.conn.Status().Peers) > 0 || len(b.conn.Status().Peers) != 1 {
			t.Error("nodes of different prefixes have met")
		}
	})
}

// TestChannelNames: the subjects carry the configured names, and two configurations that differ do not meet.
func TestChannelNames(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := bus.NewNetwork(1)
		mem := net.Connect("ear")
		defer mem.Close()
		var presence, discovery atomic.Int32
		for subject, n := range map[string]*atomic.Int32{"rmds.alive.*": &presence, "rmds.who.*": &discovery} {
			_, err := mem.Subscribe(subject, func(string, []byte) { n.Add(1) })
			check(t, err)
		}
		n := newSimNode(t, net, "n", writeX)
		n.cfg = func(c *Config) {
			c.KeepaliveChannel, c.DiscoveryChannel = "alive", "who"
			c.KeepaliveInterval, c.DiscoveryBroadcastInterval, c.NodeOfflineTimeout = 10*time.Second, 30*time.Second, 30*time.Second
		}
		n.start()
		defer n.stop()
		time.Sleep(time.Second)
		p, d := presence.Load(), discovery.Load()
		time.Sleep(5 * time.Minute)
		if p, d = presence.Load()-p, discovery.Load()-d; p < 29 || p > 31 || d < 9 || d > 11 {
			t.Errorf("in five minutes %d heartbeats and %d questions, want one in 10 s and one in 30 s", p, d)
		}
	})
}

// TestNodeOfflineTimeout: a node that falls silent counts as offline after that time, and as online when it is heard again.
func TestNodeOfflineTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		slow := func(c *Config) { c.KeepaliveInterval, c.NodeOfflineTimeout = 10*time.Second, 30*time.Second }
		net := bus.NewNetwork(1)
		a, b := newSimNode(t, net, "a", writeX), newSimNode(t, net, "b", readX(t))
		a.cfg, b.cfg = slow, slow
		a.start()
		b.start()
		defer func() { a.stop(); b.stop() }()
		online := func() bool { s := a.conn.Status(); return len(s.Peers) == 1 && s.Peers[0].Online }
		eventually(t, 5*time.Second, "b is online", online)
		time.Sleep(time.Minute)
		net.Partition("b")
		time.Sleep(15 * time.Second)
		if !online() {
			t.Error("offline after 15 s of silence")
		}
		time.Sleep(25 * time.Second)
		if online() {
			t.Error("online after 40 s of silence")
		}
		net.Heal()
		eventually(t, 15*time.Second, "b is online again", online)
	})
}

// TestDeliveryRetryInterval: the pause between attempts grows up to that interval.
func TestDeliveryRetryInterval(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var at []time.Time
		_, a, b := pair(t, writeX, nil)
		b.stop()
		b.cfg = func(c *Config) { c.DeliveryRetryInterval, c.MaxRetryAttempts = 5*time.Second, 12 }
		b.join = func(c *Connection) {
			check(t, c.Join("x", ReadOnly).OnMessage(func(m *Message) { at = append(at, time.Now()); _ = m.Nak(0) }))
		}
		b.start()
		sendRange(t, a.conn, 1, 1)
		eventually(t, 2*time.Minute, "it is given up", func() bool { return b.conn.Status().Dead == 1 })
		if len(at) != 12 {
			t.Fatalf("%d attempts, want 12", len(at))
		}
		for i := 2; i < len(at); i++ {
			before, pause := at[i-1].Sub(at[i-2]), at[i].Sub(at[i-1])
			if pause < before-time.Second || pause > 6*time.Second {
				t.Errorf("pause %d is %v after %v", i, pause, before)
			}
		}
		if last := at[11].Sub(at[10]); last < 4*time.Second {
			t.Errorf("the last pause is %v, want about 5s", last)
		}
	})
}

// TestCompression: compressible content takes less of the network with EnableCompression, and arrives the same.
func TestCompression(t *testing.T) {
	sizes := map[bool]int64{}
	for _, compress := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			var size atomic.Int64
			var got inbox
			net, a, _ := pair(t, writeX, nil)
			mem := net.Connect("meter")
			defer mem.Close()
			_, err := mem.Subscribe("rmds.data.>", func(_ string, data []byte) { size.Add(int64(len(data))) })
			check(t, err)
			b := newSimNode(t, net, "reader", got.joinX(t))
			b.start()
			defer b.stop()
			a.stop()
			a.cfg = func(c *Config) { c.EnableCompression = compress }
			a.start()
			text := strings.Repeat("reliable ", 1000)
			for range 100 {
				check(t, a.conn.channel("x").SendMessage(text))
			}
			eventually(t, time.Minute, "all have come", func() bool { return got.count() == 100 })
			for _, s := range got.list {
				if s != text {
					t.Fatalf("%d bytes came, and not the same", len(s))
				}
			}
			sizes[compress] = size.Load()
		})
	}
	t.Logf("%d bytes without compression, %d with it", sizes[false], sizes[true])
	if sizes[false] < 100*9000 || sizes[true] > sizes[false]/5 {
		t.Errorf("%d bytes without compression, %d with it", sizes[false], sizes[true])
	}
}

// TestConcurrentUse: every method may be called from any goroutine. It shows what it shows with the race detector.
func TestConcurrentUse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, a, b := pair(t, writeX, readX(t))
		done := make(chan struct{})
		work := []func(rnd *rand.Rand){
			func(*rand.Rand) { check(t, a.conn.channel("x").SendMessage("1")) },
			func(rnd *rand.Rand) { check(t, a.conn.Join("j"+strconv.Itoa(rnd.IntN(50)), RW).Err()) },
			func(*rand.Rand) { a.conn.Status(); b.conn.Status() },
			func(*rand.Rand) { _, _, err := b.conn.KV("work").Get("count/a"); check(t, err) },
			func(rnd *rand.Rand) {
				ch := b.conn.Join("k"+strconv.Itoa(rnd.IntN(50)), RW)
				_ = ch.OnMessage(func(m *Message) { _ = m.Ack() }) // ErrClosed if another goroutine has left it
				_ = ch.Unsubscribe()
			},
		}
		for i := range 10 {
			go func() {
				rnd := rand.New(rand.NewPCG(uint64(i), 1))
				for range 100 {
					work[(i+rnd.IntN(2))%len(work)](rnd)
					time.Sleep(time.Millisecond)
				}
				done <- struct{}{}
			}()
		}
		for range 10 {
			<-done
		}
		eventually(t, time.Minute, "the queue is empty", func() bool { return a.conn.Status().Queued == 0 })
	})
}

// TestCloseUnderLoad: Close waits for the handler that runs; every send that returned nil is there at the next start, every
// later one says ErrClosed, and no goroutine is left, which the bubble checks.
func TestCloseUnderLoad(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var got inbox
		_, a, _ := pair(t, writeX, got.joinX(t))
		accepted := make(chan int)
		go func() {
			n := 0
			for ; ; n++ {
				if err := a.conn.channel("x").SendMessage(strconv.Itoa(n + 1)); err != nil {
					if !errors.Is(err, ErrClosed) {
						t.Error(err)
					}
					break
				}
				time.Sleep(time.Millisecond)
			}
			accepted <- n
		}()
		time.Sleep(time.Second)
		a.stop()
		n := <-accepted
		a.start()
		eventually(t, time.Minute, "all that was accepted has come", func() bool { return got.count() >= n })
		got.check(t, n)
	})
}
