package engine

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/getevo/rmds/engine/internal/bus"
)

var (
	simSeed = flag.Uint64("sim.seed", 0, "replay the simulation with this one seed")
	simRuns = flag.Int("sim.runs", 10, "number of seeds of the simulation")
)

// simNode is a node of a simulated network: it keeps its database through restarts.
type simNode struct {
	t    testing.TB
	id   string
	path string
	net  *bus.Network
	mem  *bus.Mem
	conn *Connection
	cfg  func(*Config)
	join func(*Connection)
}

func newSimNode(t testing.TB, net *bus.Network, id string, join func(*Connection)) *simNode {
	return &simNode{t: t, id: id, path: filepath.Join(t.TempDir(), id+".db"), net: net, join: join}
}

func (n *simNode) start() {
	n.t.Helper()
	cfg := DefaultConfig()
	cfg.NodeID, cfg.StoragePath, cfg.Logger = n.id, n.path, testLogger(n.t)
	cfg.KeepaliveInterval, cfg.NodeOfflineTimeout = time.Second, 5*time.Second
	cfg.sync = "OFF" // the simulated machine does not lose power
	cfg.bus = func(*Config) (busLink, error) { n.mem = n.net.Connect(n.id); return n.mem, nil }
	if n.cfg != nil {
		n.cfg(cfg)
	}
	c, err := New(cfg)
	if err != nil {
		n.t.Fatal(err)
	}
	n.conn = c
	if n.join != nil {
		n.join(c)
	}
}

func (n *simNode) stop() {
	n.t.Helper()
	if err := n.conn.Close(); err != nil {
		n.t.Error(err)
	}
}

func testLogger(t testing.TB) *slog.Logger {
	if testing.Verbose() && *simSeed != 0 {
		return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.NewTextHandler(io.Discard, nil))
}

// tally is the handler of the tests: it keeps in its store how often each message was handled and whether order held,
// and replies.
func tally(name string) *Handler {
	return &Handler{Name: name, Func: func(_ context.Context, tx *Tx, m *Message) error {
		n, err := strconv.Atoi(string(m.Data))
		if err != nil {
			return Rejected(err.Error())
		}
		for _, key := range []string{"seen/" + m.Sender + "/" + strconv.Itoa(n), "count/" + m.Sender} {
			if err := increment(tx, key); err != nil {
				return err
			}
		}
		last, _, err := tx.Get("last/" + m.Sender)
		if err != nil {
			return err
		}
		if l, _ := strconv.Atoi(string(last)); n <= l {
			if err := increment(tx, "disorder/"+m.Sender); err != nil {
				return err
			}
		}
		if err := tx.Set("last/"+m.Sender, m.Data); err != nil {
			return err
		}
		if m.InReplyTo != "" {
			return nil
		}
		return tx.Reply(m.Data)
	}}
}

func increment(tx *Tx, key string) error {
	v, _, err := tx.Get(key)
	if err != nil {
		return err
	}
	n, _ := strconv.Atoi(string(v))
	return tx.Set(key, []byte(strconv.Itoa(n+1)))
}

// kvNumber reads a counter from a handler's store.
func kvNumber(t testing.TB, c *Connection, store, key string) int {
	t.Helper()
	v, _, err := c.KV(store).Get(key)
	if err != nil {
		t.Fatal(err)
	}
	n, _ := strconv.Atoi(string(v))
	return n
}

// checkTally fails the test unless each of the messages 1 to sent of a sender was handled once and in order.
func checkTally(t testing.TB, c *Connection, store, sender string, sent int) {
	t.Helper()
	if got := kvNumber(t, c, store, "count/"+sender); got != sent {
		t.Errorf("%s/%s: handled %d, sent %d", store, sender, got, sent)
	}
	if got := kvNumber(t, c, store, "disorder/"+sender); got != 0 {
		t.Errorf("%s/%s: %d out of order", store, sender, got)
	}
	for n := 1; n <= sent; n++ {
		if got := kvNumber(t, c, store, fmt.Sprintf("seen/%s/%d", sender, n)); got != 1 {
			t.Errorf("%s/%s: message %d handled %d times", store, sender, n, got)
		}
	}
}

// eventually waits, in the bubble's time, until the condition holds.
func eventually(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// TestSimulation runs two nodes in virtual time over a network that loses 20 % of all frames, duplicates 10 %, reorders,
// corrupts and cuts, while both nodes are restarted: every accepted message is handled once and in order, and so is every
// reply. Replay one seed with: go test ./engine -run TestSimulation -sim.seed N -v
func TestSimulation(t *testing.T) {
	seeds := make([]uint64, 0, *simRuns)
	if *simSeed != 0 {
		seeds = append(seeds, *simSeed)
	} else {
		for i := range *simRuns {
			seeds = append(seeds, uint64(i+1))
		}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { simulate(t, seed) })
		})
	}
}

func simulate(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	net := bus.NewNetwork(seed)
	net.Set(bus.Faults{Loss: 0.2, Duplicate: 0.1, Corrupt: 0.02, Reorder: 0.2, Delay: time.Millisecond, Jitter: 20 * time.Millisecond})
	var out, other *Channel
	a := newSimNode(t, net, "a", func(c *Connection) {
		out, other = c.Join("plant.x", WriteOnly), c.Join("plant.y", WriteOnly)
		check(t, out.HandleReplies(tally("replies")))
		check(t, other.HandleReplies(tally("replies")))
	})
	b := newSimNode(t, net, "b", func(c *Connection) {
		check(t, c.Join("plant.x", ReadOnly).Handle(tally("work")))
		check(t, c.Join("plant.y", ReadOnly).Handle(tally("work")))
	})
	a.start()
	b.start()
	sent := 0
	for range 40 {
		for range rnd.IntN(30) {
			ch := out
			if rnd.IntN(2) == 0 {
				ch = other
			}
			sent++
			check(t, ch.SendMessage(strconv.Itoa(sent)))
		}
		switch rnd.IntN(10) {
		case 0:
			b.stop()
			time.Sleep(time.Duration(rnd.IntN(3000)) * time.Millisecond)
			b.start()
		case 1:
			a.stop()
			time.Sleep(time.Duration(rnd.IntN(3000)) * time.Millisecond)
			a.start()
		case 2:
			net.Partition("a")
			time.Sleep(time.Duration(rnd.IntN(10000)) * time.Millisecond)
			net.Heal()
		case 3:
			b.mem.Down()
			time.Sleep(time.Duration(rnd.IntN(2000)) * time.Millisecond)
			b.mem.Up()
		}
		time.Sleep(time.Duration(rnd.IntN(200)) * time.Millisecond)
	}
	eventually(t, 10*time.Minute, "everything is handled and answered", func() bool {
		return kvNumber(t, b.conn, "work", "count/a") >= sent && kvNumber(t, a.conn, "replies", "count/b") >= sent
	})
	time.Sleep(20 * time.Second) // what comes twice has time to come
	checkTally(t, b.conn, "work", "a", sent)
	checkTally(t, a.conn, "replies", "b", sent)
	eventually(t, time.Minute, "the queues are empty", func() bool { return a.conn.Status().Queued == 0 && b.conn.Status().Queued == 0 })
	a.stop()
	b.stop()
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
