package engine

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/getevo/rmds/engine/internal/store"
	"github.com/getevo/rmds/engine/internal/wire"
)

// reasonKicked is why a kicked node's links are refused, its memberships ended and its queues set aside.
const reasonKicked = "kicked"

// maxKicks bounds the kick list: orders about further nodes and channels are refused.
const maxKicks = 10_000

// kickList is who is out, as this node knows it: the newest order about each node and channel, lifted ones included, so
// that an older order heard later changes nothing. The manager alone changes it, after the change is on disk.
type kickList struct {
	prefix    string   // of the subjects: part of what is signed
	operators []string // who may sign; nil means that nobody needs to

	active atomic.Int64 // orders that are not lifted: while there are none, denies costs nothing
	mu     sync.RWMutex
	orders map[kickKey]wire.Kick
	digest uint64
	newest int64 // stamp
}

type kickKey struct{ node, channel string }

func newKickList(prefix string, operators []string) *kickList {
	return &kickList{prefix: prefix, operators: operators, orders: map[kickKey]wire.Kick{}}
}

// load takes the list of the disk. What operators have signed once stays in force when the configuration forgets them.
func (k *kickList) load(st *store.Store) error {
	stored, err := st.Kicks()
	if err != nil {
		return err
	}
	orders := make([]wire.Kick, len(stored))
	for i, s := range stored {
		orders[i] = wire.Kick{Node: s.Node, Channel: s.Channel, Lifted: s.Lifted, Stamp: s.Stamp, By: s.By, Key: s.Key, Signature: s.Signature}
	}
	k.put(orders)
	return nil
}

// denies reports whether a node is out of a channel, or, with wire.KickNode, out altogether.
func (k *kickList) denies(node, channel string) bool {
	if k.active.Load() == 0 {
		return false
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	return kickDenies(node, channel, func(key kickKey) bool { o, ok := k.orders[key]; return ok && !o.Lifted })
}

func kickDenies(node, channel string, in func(kickKey) bool) bool {
	return in(kickKey{node, wire.KickNode}) ||
		channel != wire.KickNode && (in(kickKey{node, wire.KickChannels}) || in(kickKey{node, channel}))
}

// sum is the digest that presence carries.
func (k *kickList) sum() uint64 { k.mu.RLock(); defer k.mu.RUnlock(); return k.digest }

// list returns all orders, by node and channel.
func (k *kickList) list() []wire.Kick {
	k.mu.RLock()
	defer k.mu.RUnlock()
	list := make([]wire.Kick, 0, len(k.orders))
	for _, o := range k.orders {
		list = append(list, o)
	}
	slices.SortFunc(list, func(a, b wire.Kick) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Channel, b.Channel))
	})
	return list
}

// outOf lists what a node is out of, as orders name it.
func (k *kickList) outOf(node string) (channels []string) {
	for _, o := range k.list() {
		if o.Node == node && !o.Lifted {
			channels = append(channels, o.Channel)
		}
	}
	return channels
}

// stamp returns the stamp of a new order.
func (k *kickList) stamp(now time.Time) int64 {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return max(now.UnixNano(), k.newest+1)
}

func (k *kickList) put(orders []wire.Kick) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, o := range orders {
		k.orders[kickKey{o.Node, o.Channel}] = o
		k.newest = max(k.newest, o.Stamp)
	}
	active := int64(0)
	all := make([]wire.Kick, 0, len(k.orders))
	for _, o := range k.orders {
		all = append(all, o)
		if !o.Lifted {
			active++
		}
	}
	k.digest = wire.KickDigest(all)
	k.active.Store(active)
}

// news returns those orders that count more than what is known. The error says what is wrong with others: they are
// malformed, or no operator has signed them.
func (k *kickList) news(orders []wire.Kick) (fresh []wire.Kick, err error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	var errs []error
	room := maxKicks - len(k.orders)
	for i := range orders {
		o := orders[i]
		known, ok := k.orders[kickKey{o.Node, o.Channel}]
		if ok && compareKicks(&o, &known) <= 0 {
			continue
		}
		if err := k.check(&o); err != nil {
			errs = append(errs, err)
			continue
		}
		if !ok {
			if room--; room < 0 {
				errs = append(errs, fmt.Errorf("the kick list is full: %d orders", maxKicks))
				break
			}
		}
		fresh = append(fresh, o)
	}
	return fresh, errors.Join(errs...)
}

// compareKicks orders two orders about the same node and channel: the greater counts.
func compareKicks(a, b *wire.Kick) int {
	lifted := map[bool]int{true: 1}
	return cmp.Or(cmp.Compare(a.Stamp, b.Stamp), cmp.Compare(a.By, b.By), cmp.Compare(lifted[a.Lifted], lifted[b.Lifted]))
}

func (k *kickList) check(o *wire.Kick) error {
	if err := CheckNodeID(o.Node); err != nil {
		return err
	}
	if o.Channel != wire.KickNode && o.Channel != wire.KickChannels {
		if err := CheckChannel(o.Channel); err != nil {
			return err
		}
	}
	if err := CheckNodeID(o.By); err != nil {
		return err
	}
	if err := verify(k.operators, o.Key, o.Signature, wire.KickText(k.prefix, o)); err != nil {
		return fmt.Errorf("order to kick %s: %w", o.Node, err)
	}
	return nil
}

// verify checks that one of the operators has signed a text; nil operators let everything pass.
func verify(operators []string, key string, signature, text []byte) error {
	switch {
	case operators == nil:
		return nil
	case key == "":
		return errors.New("not signed")
	case !slices.Contains(operators, key):
		return fmt.Errorf("signed by %s, which is no operator of this node", key)
	}
	pub, err := nkeys.FromPublicKey(key)
	if err == nil {
		err = pub.Verify(text, signature)
	}
	if err != nil {
		return fmt.Errorf("signature of %s: %w", key, err)
	}
	return nil
}
