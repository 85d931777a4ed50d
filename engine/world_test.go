package engine

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/getevo/rmds/engine/internal/bus"
)

// world is the large simulation: several nodes that all write and read, on real SQLite, in virtual time, on a network that
// does everything wrong, while nodes crash in the middle of a commit, are wiped, and come back from backups. It keeps a
// model of what was promised and compares it with what the handlers' stores say.
type world struct {
	t     *testing.T
	rnd   *rand.Rand
	net   *bus.Network
	nodes []*worldNode
	stats map[string]int
}

// worldNode is a node of the world with what the model knows of it.
type worldNode struct {
	*simNode
	w    *world
	disk *crashingDisk
	up   bool

	sent    []sentMessage // the n-th is number n+1
	restore func()        // a backup, and how much had been sent when it was taken
	backup  int
	ever    map[string]bool // "sender/n": handled in some life of this node
	skipped map[string]bool // handled before this node was wiped
}

type sentMessage struct {
	channel string
	maybe   bool // not promised, or promised by a database that is gone
}

// crashingDisk kills the node at one of its commits: from then on nothing reaches the disk.
type crashingDisk struct {
	mu   sync.Mutex
	in   int // commits until the crash; 0 none is planned
	at   string
	dead bool
}

func (d *crashingDisk) hook(op string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return errDisk
	}
	if d.in > 0 && op == d.at {
		if d.in--; d.in == 0 {
			d.dead = true
			return errDisk
		}
	}
	return nil
}

func (d *crashingDisk) plan(in int, at string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.in, d.at, d.dead = in, at, false
}

func (d *crashingDisk) kill()      { d.mu.Lock(); d.dead = true; d.mu.Unlock() }
func (d *crashingDisk) died() bool { d.mu.Lock(); defer d.mu.Unlock(); return d.dead }

var worldChannels = []string{"plant.x", "plant.y"}

// dice is a random number that depends on its arguments alone: the same in every run and attempt.
func dice(args ...any) uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, args...)
	return h.Sum64()
}

// rejects says whether a node's handler rejects a message.
func rejects(node, sender string, n int) bool { return dice(node, sender, n)%40 == 0 }

// worldHandler counts each message under its own key, and all under one (P18); it fails some first attempts, for good
// reason or by panic, and rejects some messages.
func (n *worldNode) handler() *Handler {
	memory := -1
	return &Handler{Name: "work", Discarded: func() { memory = -1 }, Func: func(_ context.Context, tx *Tx, m *Message) error {
		number, err := strconv.Atoi(string(m.Data))
		if err != nil {
			return Rejected(err.Error())
		}
		if rejects(n.id, m.Sender, number) {
			return Rejected("the dice say so")
		}
		total, _, err := tx.Get("total")
		if err != nil {
			return err
		}
		if stored, _ := strconv.Atoi(string(total)); memory >= 0 && memory != stored {
			if err := increment(tx, "wrong"); err != nil {
				return err
			}
		}
		if err := tx.Set("half", m.Data); err != nil { // thrown away with a failed attempt
			return err
		}
		switch dice(n.id, m.Sender, number, m.Attempt, "verdict") % 25 {
		case 0:
			return errors.New("failed")
		case 1:
			panic("panicked")
		case 2:
			return RetryAfter(time.Duration(dice(number)%500)*time.Millisecond, "later")
		}
		if err := tally("").Func(context.Background(), tx, m); err != nil {
			return err
		}
		stored, _ := strconv.Atoi(string(total))
		memory = stored + 1
		return increment(tx, "total")
	}}
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, rnd: rand.New(rand.NewPCG(seed, 2)), net: bus.NewNetwork(seed), stats: map[string]int{}}
	for i := range 3 + w.rnd.IntN(3) {
		n := &worldNode{w: w, disk: &crashingDisk{}, ever: map[string]bool{}, skipped: map[string]bool{}}
		n.simNode = newSimNode(t, w.net, fmt.Sprintf("n%d", i), func(c *Connection) {
			work := n.handler()
			for _, name := range worldChannels {
				ch := c.Join(name, RW, WithStart(StartAll))
				check(t, ch.Handle(work))
				check(t, ch.HandleReplies(tally("replies")))
			}
		})
		n.cfg = func(c *Config) {
			c.Fault, c.MaxRetryAttempts, c.DeliveryRetryInterval = n.disk.hook, 1000, 200*time.Millisecond
			c.MaxMessagesPerReceiver = 1 << 20
		}
		w.nodes = append(w.nodes, n)
	}
	for _, n := range w.nodes {
		n.begin()
	}
	return w
}

func (n *worldNode) begin() {
	n.disk.plan(0, "")
	n.start()
	n.up = true
	n.w.tell("%s starts run %016x of store %016x, had sent %d", n.id, n.conn.run, n.conn.st.Meta().StoreID, len(n.sent))
}

// crash ends a node as a power cut would: nothing reaches the disk or the network any more.
func (n *worldNode) crash() {
	n.disk.kill()
	n.mem.Down()
	n.w.tell("%s crashes", n.id)
	_ = n.conn.Close() // fails: the disk is gone
	n.up = false
	n.w.stats["crash"]++
}

// send sends some messages and notes what was promised.
func (n *worldNode) send(count int) {
	for range count {
		channel := worldChannels[n.w.rnd.IntN(len(worldChannels))]
		err := n.conn.channel(channel).SendMessage(strconv.Itoa(len(n.sent) + 1))
		n.sent = append(n.sent, sentMessage{channel: channel, maybe: err != nil})
		if err != nil && !errors.Is(err, ErrStorage) && !errors.Is(err, ErrClosed) {
			n.w.t.Errorf("send: %v", err)
		}
		n.w.stats["sent"]++
	}
}

// remember notes what the stopped node has handled.
func (n *worldNode) remember() {
	n.disk.plan(0, "")
	n.start()
	for key, ok, err := n.conn.KV("work").Next("seen/"); ok && strings.HasPrefix(key, "seen/"); key, ok, err = n.conn.KV("work").Next(key) {
		check(n.t, err)
		n.ever[strings.TrimPrefix(key, "seen/")] = true
	}
	check(n.t, n.conn.Close())
}

// rollBack brings the node back from its backup: what it had promised since may be gone.
func (n *worldNode) rollBack() {
	n.remember()
	n.restore()
	n.w.tell("%s is restored: %d of %d sent", n.id, n.backup, len(n.sent))
	for i := n.backup; i < len(n.sent); i++ {
		n.sent[i].maybe = true
	}
	n.w.stats["restore"]++
}

// lose wipes the node's database. What it had handled in any life need not come again: its senders' cursors may say that
// it is done. What it had promised may be gone.
func (n *worldNode) lose() {
	n.remember()
	n.wipe()
	n.w.tell("%s is wiped, had handled %d, had sent %d", n.id, len(n.ever), len(n.sent))
	maps.Copy(n.skipped, n.ever)
	for i := range n.sent {
		n.sent[i].maybe = true
	}
	n.restore = nil
	n.w.stats["wipe"]++
}

// tell adds a line to the story that -v prints.
func (w *world) tell(format string, args ...any) {
	if testing.Verbose() {
		w.t.Logf("%s "+format, append([]any{time.Now().Format("15:04:05.000")}, args...)...)
	}
}

// step lets something happen.
func (w *world) step(gentle bool) {
	n := w.nodes[w.rnd.IntN(len(w.nodes))]
	if n.up && n.disk.died() {
		n.crash()
	}
	switch k := w.rnd.IntN(100); {
	case !n.up:
		switch {
		case k < 10 && n.restore != nil && !gentle:
			n.rollBack()
		case k < 13 && !gentle:
			n.lose()
		case k < 40:
			return // stays off for a while
		}
		n.begin()
	case k < 55:
		n.send(w.rnd.IntN(20))
	case k < 63:
		n.disk.plan(1+w.rnd.IntN(5), []string{"Commit", "Commit.sync", "Commit.landed"}[w.rnd.IntN(3)])
	case k < 66:
		n.crash()
	case k < 69:
		n.up = false
		if err := n.conn.Close(); err != nil { // a planned crash came first
			w.stats["crash"]++
			break
		}
		if !gentle {
			n.restore, n.backup = n.snapshot(), len(n.sent)
		}
	case k < 74:
		w.net.Partition(n.id)
		w.stats["partition"]++
	case k < 80:
		w.net.Heal()
	case k < 84:
		n.mem.Down()
		time.Sleep(time.Duration(w.rnd.IntN(3000)) * time.Millisecond)
		n.mem.Up()
	}
	time.Sleep(time.Duration(w.rnd.IntN(300)) * time.Millisecond)
}

// settle ends all faults and waits until nothing is on its way.
func (w *world) settle() {
	w.net.Set(bus.Faults{Delay: time.Millisecond})
	w.net.Heal()
	for _, n := range w.nodes {
		if n.up && n.disk.died() {
			n.crash()
		}
		if !n.up {
			n.begin()
		}
		n.disk.plan(0, "")
	}
	defer func() {
		if w.t.Failed() {
			for _, n := range w.nodes {
				n.explain()
			}
		}
	}()
	eventually(w.t, 30*time.Minute, "everything is delivered", func() bool {
		for _, n := range w.nodes {
			s := n.conn.Status()
			if s.Queued > 0 || len(s.Peers) < len(w.nodes)-1 {
				return false
			}
			for _, p := range s.Peers {
				if len(p.Readers) < len(worldChannels) {
					return false
				}
			}
		}
		return true
	})
	time.Sleep(30 * time.Second)
}

// judge compares the handlers' stores with the model (G2, G3, G4).
func (w *world) judge() {
	for _, r := range w.nodes {
		total := 0
		for _, s := range w.nodes {
			if r == s {
				continue
			}
			for i, m := range s.sent {
				key := s.id + "/" + strconv.Itoa(i+1)
				got, want := kvNumber(w.t, r.conn, "work", "seen/"+key), 1
				total += got
				if rejects(r.id, s.id, i+1) {
					want = 0
				}
				if got == want || got == 0 && (m.maybe || r.skipped[key]) {
					continue
				}
				w.t.Errorf("%s: message %s (%+v) handled %d times, want %d", r.id, key, m, got, want)
			}
			if d := kvNumber(w.t, r.conn, "work", "disorder/"+s.id); d != 0 {
				w.t.Errorf("%s: %d messages of %s out of order", r.id, d, s.id)
			}
		}
		if n := kvNumber(w.t, r.conn, "work", "total"); n != total {
			w.t.Errorf("%s: the counter says %d, the keys %d", r.id, n, total)
		}
		if n := kvNumber(w.t, r.conn, "work", "wrong"); n != 0 {
			w.t.Errorf("%s: the handler remembered what was thrown away, %d times", r.id, n)
		}
		w.stats["handled"] += total
	}
}

// explain logs what a node believes to owe, and what its log says.
func (n *worldNode) explain() {
	streams, err := n.conn.st.Streams()
	check(n.t, err)
	total := map[streamKey]int64{}
	for _, s := range streams {
		total[streamKey{s.Channel, s.To}] = s.Count
	}
	n.conn.loop.call(func() {
		for _, p := range n.conn.loop.peers {
			for _, m := range p.members {
				acked, count := n.conn.ledger.cursor(m)
				through, err := n.conn.countThrough(m.stream, acked)
				check(n.t, err)
				o := p.out[m.domain]
				if n.conn.ledger.depth(m) == 0 {
					continue
				}
				n.t.Logf("%s owes %s %v: depth %d; acked %d, count %d, by the log %d; appended by the log %d; framed %d; link %v", n.id, p.node, m.stream,
					n.conn.ledger.depth(m), acked, count, through, total[m.stream], m.framed, o != nil && o.accept != nil)
			}
		}
	})
}

func (w *world) end() {
	for _, n := range w.nodes {
		if n.up {
			n.disk.plan(0, "")
			check(w.t, n.conn.Close())
		}
	}
}

// TestWorld runs the large simulation. Replay one seed with: go test ./engine -run TestWorld -sim.seed N -v
func TestWorld(t *testing.T) {
	seeds := []uint64{*simSeed}
	if *simSeed == 0 {
		seeds = seeds[:0]
		for i := range *simRuns {
			seeds = append(seeds, uint64(i+1))
		}
	}
	var mu sync.Mutex
	sum := map[string]int{}
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, seed)
				w.net.Set(bus.Faults{Loss: 0.1, Duplicate: 0.1, Corrupt: 0.02, Reorder: 0.1, Delay: time.Millisecond, Jitter: 10 * time.Millisecond})
				defer w.end()
				for range 150 {
					w.step(seed%3 == 0)
				}
				w.settle()
				w.judge()
				mu.Lock()
				defer mu.Unlock()
				for k, v := range w.stats {
					sum[k] += v
				}
			})
		})
	}
	t.Logf("%d seeds: %v", len(seeds), sum)
	if sum["handled"] == 0 || sum["crash"] == 0 {
		t.Error("nothing happened: the simulation shows nothing")
	}
}
