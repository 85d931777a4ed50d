package bus

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Network is a NATS server in memory that treats its clients as badly as it is told to. Given the same seed and
// the same calls in the same order it does the same things. The zero Network is not usable: see NewNetwork.
//
// Methods may be called from any goroutine, but inside a testing/synctest bubble a network must be made, used
// and its clients closed in that same bubble.
type Network struct {
	mu     sync.Mutex // guards everything below and the fields of all clients
	random *rand.Rand
	faults Faults
	groups map[string]int // the side of the cut a name is on; absent: 0
	cuts   int            // groups made so far
	mems   []*Mem         // in the order they connected
	sent   uint64         // number of copies sent: breaks ties between those due at the same time
}

// NewNetwork returns a network without clients and without faults, whose random choices come from seed.
func NewNetwork(seed uint64) *Network {
	return &Network{random: rand.New(rand.NewPCG(seed, 0)), groups: make(map[string]int)}
}

// Connect returns a new client, connected. Name is what Partition knows it by; two clients may share one.
// The caller closes it.
func (n *Network) Connect(name string) *Mem {
	m := &Mem{network: n, name: name, up: true, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	n.mu.Lock()
	n.mems = append(n.mems, m)
	n.mu.Unlock()
	go m.run()
	return m
}

// Set makes f the faults for what is published from now on.
func (n *Network) Set(f Faults) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults = f
}

// Partition cuts the named nodes off from all others; among themselves they keep talking. A further call makes
// a further group. Nobody is told: to a node the others just fall silent. What is on its way still arrives.
func (n *Network) Partition(names ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cuts++
	for _, name := range names {
		n.groups[name] = n.cuts
	}
}

// Heal ends all partitions.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.groups)
}

// publish sends a copy of data to every subscription that matches. The caller holds n.mu.
func (n *Network) publish(from *Mem, subject string, data []byte) {
	for _, to := range n.mems {
		if !to.up || n.groups[to.name] != n.groups[from.name] {
			continue
		}
		for _, s := range to.subscriptions {
			if matchSubject(s.pattern, subject) {
				n.send(from, to, s, subject, data)
			}
		}
	}
}

// send puts one copy of a message, or none or two, into to's queue. The caller holds n.mu.
func (n *Network) send(from, to *Mem, s *memSubscription, subject string, data []byte) {
	if chance(n.random, n.faults.Loss) {
		return
	}
	copies := 1
	if chance(n.random, n.faults.Duplicate) {
		copies = 2
	}
	for range copies {
		own := append(make([]byte, 0, len(data)), data...)
		if chance(n.random, n.faults.Corrupt) {
			flipBits(n.random, own)
		}
		n.sent++
		heap.Push(&to.queue, delivery{due: n.dueTime(from, s), order: n.sent, to: s, subject: subject, data: own})
	}
	to.poke()
}

// dueTime returns when a copy that from sends now arrives at s: not before the one sent last, unless this is
// one that others overtake. The caller holds n.mu.
func (n *Network) dueTime(from *Mem, s *memSubscription) time.Time {
	due := time.Now().Add(n.faults.Delay + upTo(n.random, n.faults.Jitter))
	if chance(n.random, n.faults.Reorder) {
		return due.Add(upTo(n.random, holdBack))
	}
	if last := s.last[from]; due.Before(last) {
		due = last
	}
	s.last[from] = due
	return due
}

// remove forgets a client. The caller holds n.mu.
func (n *Network) remove(m *Mem) {
	n.mems = slices.DeleteFunc(n.mems, func(other *Mem) bool { return other == m })
	for _, other := range n.mems {
		for _, s := range other.subscriptions {
			delete(s.last, m)
		}
	}
}
