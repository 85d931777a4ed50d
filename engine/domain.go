package engine

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/getevo/rmds/engine/internal/link"
	"github.com/getevo/rmds/engine/internal/store"
	"github.com/getevo/rmds/engine/internal/wire"
)

// maxHops is how many times a message may be derived from another before it counts as a loop (P17).
const maxHops = 16

// domain is one ordering domain of one sender: its records are handled one at a time, in order, by one goroutine.
//
//	loop ──deliver──► queue ──run──► handler ──unit──► committer ──finished──► loop (ack)
//
// A handled record's successor runs without waiting for the commit; when a commit fails, everything handled and not
// committed is void: the domain is broken, its queue is dropped, and the loop resets the link, which starts again after
// the positions on disk.
type domain struct {
	c      *Connection
	sender string
	name   string

	link    *inLink         // the loop's goroutine only
	carried map[uint64]bool // memberships that were on its links; the loop's goroutine only
	touched atomic.Bool     // the loop knows already that there is progress

	wake  chan struct{}
	first bool // nothing was attempted yet, in this start of the node; the domain's goroutine only (P14)

	mu        sync.Mutex
	queue     []*item // each points into the slice of its frame
	gen       uint64  // the link that fills the queue; items of others are dropped
	running   bool    // a handler runs
	inCommit  int     // units handed to the committer
	processed uint64  // records of gen whose outcome is committed
	total     int64   // records whose outcome is committed, since the start
	negatives []wire.Negative
	broken    bool
	notBefore time.Time                  // back-off of the head
	attempts  map[store.AttemptKey]int   // failed ones, until the outcome is on disk
	offences  map[store.AttemptKey]error // why an outcome could not be committed, the disk being fine: a failed attempt (P13)
}

// item is a record with what the commit needs to know of it.
type item struct {
	d          link.Delivered
	lineage    []store.Run
	run        uint64
	membership uint64
	channel    string // of the membership; "" for addressed records
	first      bool
	gen        uint64
	began      time.Time // when the link was opened,
	theirs     int64     // and what the sender's clock said then
}

func (it *item) key(sender string) store.AttemptKey {
	return store.AttemptKey{Sender: sender, Run: it.run, Seq: it.d.Seq(), Membership: it.membership}
}

func newDomain(c *Connection, sender, name string) *domain {
	return &domain{c: c, sender: sender, name: name, wake: make(chan struct{}, 1), first: true, carried: map[uint64]bool{}, attempts: map[store.AttemptKey]int{},
		offences: map[store.AttemptKey]error{}}
}

func (d *domain) signal() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// restart empties the queue for a new link and says whether the domain is quiet: no handler runs and no commit is
// pending. Only then may the link be accepted (P9).
func (d *domain) restart(gen uint64) (quiet bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.queue = nil
	if d.running || d.inCommit > 0 {
		return false
	}
	d.gen, d.processed, d.broken, d.notBefore, d.negatives = gen, 0, false, time.Time{}, nil
	return true
}

// drop empties the queue: its link is gone.
func (d *domain) drop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.queue = nil
}

// quiet reports whether no handler runs and no commit is pending.
func (d *domain) quiet() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.running && d.inCommit == 0
}

// done is how many records have been handled since the start.
func (d *domain) done() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.total
}

// waiting is how many records wait for their handler, the one that it has among them.
func (d *domain) waiting() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.queue)
}

func (d *domain) deliver(items []item) {
	d.mu.Lock()
	for i := range items {
		d.queue = append(d.queue, &items[i])
	}
	d.mu.Unlock()
	d.signal()
}

// progress is what the loop tells the sender about: records done, negative outcomes since the last call, and whether
// the link must start again.
func (d *domain) progress() (processed uint64, negatives []wire.Negative, broken bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	negatives, d.negatives = d.negatives, nil
	return d.processed, negatives, d.broken
}

// run is the domain's goroutine.
func (d *domain) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		it, wait, end := d.next()
		if end {
			return
		}
		if it == nil {
			timer.Reset(wait)
			select {
			case <-d.wake:
			case <-timer.C:
			case <-d.c.stopping:
			}
			continue
		}
		d.c.commit.waitForRoom()
		if epoch, ok := d.storageWorks(); ok {
			d.handle(it, epoch)
		}
		d.mu.Lock()
		d.running = false
		d.mu.Unlock()
		d.c.touch(d)
	}
}

// storageWorks waits for it, but not for long: the link may be reset meanwhile.
func (d *domain) storageWorks() (epoch uint64, ok bool) {
	epoch, healthy := d.c.commit.state()
	select {
	case <-healthy:
		return epoch, true
	default:
	}
	select {
	case <-healthy:
		return epoch, true
	case <-d.c.stopping:
	case <-time.After(time.Second):
	}
	return epoch, false
}

// next returns the head of the queue and marks the domain as running, or how long to wait.
func (d *domain) next() (it *item, wait time.Duration, end bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-d.c.stopping:
		return nil, 0, true
	default:
	}
	if len(d.queue) == 0 || d.broken {
		return nil, time.Hour, false
	}
	if wait = time.Until(d.notBefore); wait > 0 {
		return nil, wait, false
	}
	d.running = true
	return d.queue[0], 0, false
}

// pop removes the head after its outcome was handed to the committer.
func (d *domain) pop(it *item) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.queue) > 0 && d.queue[0] == it {
		d.queue[0] = nil
		d.queue = d.queue[1:]
		d.notBefore = time.Time{}
	}
}

func (d *domain) handle(it *item, epoch uint64) {
	if it.d.Skip != nil {
		d.finish(it, epoch, d.skipUnit(it))
		return
	}
	rec := &it.d.Record
	// by the sender's clock and the time that has passed: this node's clock may jump
	if age := it.theirs + int64(time.Since(it.began)) - rec.Created; rec.TTL > 0 && age > rec.TTL {
		d.finish(it, epoch, d.deadUnit(it, "ttl", "expired before it was handled", 0))
		return
	}
	if d.c.kicks.denies(d.sender, rec.Channel) {
		d.finish(it, epoch, d.deadUnit(it, "forbidden", "the sender is kicked out of the channel", 0))
		return
	}
	t := d.c.taker(rec)
	switch {
	case t == nil && rec.To != "":
		d.finish(it, epoch, d.deadUnit(it, "no_handler", "no Request waits for it and the channel has no handler", 0))
		return
	case t == nil: // the handler went away after the link was opened: the channel is dormant again (P16)
		d.breakUp()
		return
	case !t.permits(d.sender):
		d.finish(it, epoch, d.deadUnit(it, "forbidden", "allow_writers does not name the sender", 0))
		return
	}
	d.attempt(it, epoch, t)
}

// attempt runs the takers of the record once and hands on the outcome.
func (d *domain) attempt(it *item, epoch uint64, t *taker) {
	key := it.key(d.sender)
	n, offence := d.tried(key)
	n++
	if offence != nil {
		d.failed(it, epoch, key, n, t.maxAttempts(d.c.cfg.MaxRetryAttempts), verdict{err: offence})
		return
	}
	if n == 1 && d.first { // what is known of it from before; after a crash, this attempt is on disk before it begins
		stored, err := d.c.st.AttemptCount(key)
		n = stored + 1
		if err == nil && d.c.unclean {
			stored = n
			err = d.c.commitNow(&unit{attempts: []store.Attempt{{AttemptKey: key, Count: n, LastError: "the node ended during this attempt"}}})
		}
		if err != nil {
			return // storage fails; the next look comes when it works again
		}
		d.first = false
		if stored > 0 {
			d.try(key, stored)
		}
	}
	m := newMessage(it.run, d.sender, &it.d.Record, n)
	u, v, unlock := t.run(d.c, m, &it.d.Record, epoch)
	defer unlock()
	if v.err != nil && d.c.ctx.Err() != nil {
		return // the node is closing: no attempt
	}
	if v.err == nil {
		d.finish(it, epoch, u)
		return
	}
	d.failed(it, epoch, key, n, t.maxAttempts(d.c.cfg.MaxRetryAttempts), v)
}

// failed counts an attempt, and after the last one, or a rejection, makes the record a dead letter.
func (d *domain) failed(it *item, epoch uint64, key store.AttemptKey, n, most int, v verdict) {
	reason, rejected := v.rejected()
	switch {
	case rejected:
		d.finish(it, epoch, d.deadUnit(it, "rejected", reason, n))
	case n >= most:
		d.finish(it, epoch, d.deadUnit(it, "attempts", v.err.Error(), n))
	default:
		d.try(key, n)
		d.c.count.retries.Add(1)
		d.mu.Lock()
		d.notBefore = time.Now().Add(v.pause(n, d.c.cfg.DeliveryRetryInterval))
		d.mu.Unlock()
		a := store.Attempt{AttemptKey: key, Count: n, NextAt: d.c.wall().UnixNano(), LastError: v.err.Error()}
		if err := d.c.commit.add(&unit{attempts: []store.Attempt{a}, done: func(error) {}}); err != nil {
			return // closing: the attempt was not kept, which costs one more
		}
	}
}

// finish hands the outcome of a record to the committer.
func (d *domain) finish(it *item, epoch uint64, u *unit) {
	rec := &it.d.Record
	run, prev, seq := it.run, it.d.Prev, rec.Seq
	if it.d.Skip != nil {
		seq = it.d.Skip.To
	}
	u.handled = &advance{sender: d.sender, lineage: it.lineage, membership: it.membership, run: run, prev: prev, seq: seq, first: it.first, epoch: epoch}
	u.bytes += len(rec.Content) / 8
	key := it.key(d.sender)
	if n, _ := d.tried(key); n > 0 {
		u.undo = append(u.undo, key)
	}
	gen := it.gen
	u.done = func(err error) {
		if err == nil {
			u.committed()
			d.c.count.accepted.Add(int64(len(u.records)))
		}
		d.settled(key, err)
		d.finished(gen, err)
	}
	d.mu.Lock()
	d.inCommit++
	d.mu.Unlock()
	if err := d.c.commit.add(u); err != nil {
		d.finished(gen, err)
		return
	}
	d.pop(it)
}

// finished runs on the committer's goroutine when the outcome of a record is on disk, or will never be.
func (d *domain) finished(gen uint64, err error) {
	d.mu.Lock()
	d.inCommit--
	switch {
	case err == nil && gen == d.gen:
		d.processed++
		d.total++
		d.c.count.handled.Add(1)
	case err != nil && !errors.Is(err, ErrClosed):
		d.broken = true
	}
	d.mu.Unlock()
	d.c.touch(d)
}

// tried returns the failed attempts at a record, and an offence that was not counted as one yet.
func (d *domain) tried(k store.AttemptKey) (n int, offence error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.attempts[k], d.offences[k]
}

// try counts an attempt.
func (d *domain) try(k store.AttemptKey, n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.attempts[k] = n
	delete(d.offences, k)
}

// settled takes the fate of a record's outcome. Committer's goroutine.
func (d *domain) settled(k store.AttemptKey, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case err == nil:
		delete(d.attempts, k)
		delete(d.offences, k)
	case !errors.Is(err, errDiscarded) && !errors.Is(err, ErrClosed):
		d.offences[k] = err
	}
}

func (d *domain) breakUp() {
	d.mu.Lock()
	d.broken = true
	d.mu.Unlock()
}

func (d *domain) skipUnit(it *item) *unit {
	s := it.d.Skip
	text := fmt.Sprintf("%d message(s) of %s will never come: %s (seq %d to %d)", s.Count, d.sender, s.Reason, s.Prev+1, s.To)
	if s.Reason == "deleted" {
		text = fmt.Sprintf("%s does not keep its messages up to seq %d any more", d.sender, s.To)
	}
	return &unit{tell: []func(){func() {
		d.c.count.gaps.Add(1)
		d.c.emit(Event{Kind: "gap", Node: d.sender, Channel: it.channel, Text: text})
	}}, events: []store.Event{{At: d.c.wall().UnixNano(), Kind: "gap", Node: d.sender, Channel: it.channel, Text: text}}}
}

// deadUnit sets the record aside; the position moves past it in the same transaction (P22).
func (d *domain) deadUnit(it *item, reason, detail string, attempts int) *unit {
	rec := &it.d.Record
	tell := func() { // not before: the commit may fail, and the next attempt may have another outcome
		d.mu.Lock()
		d.negatives = append(d.negatives, wire.Negative{Run: it.run, Seq: rec.Seq, Channel: rec.Channel, Outcome: reason, Reason: detail})
		d.mu.Unlock()
		d.c.count.dead.Add(reason, 1)
		d.c.emit(Event{Kind: "dead_letter", Node: d.sender, Channel: rec.Channel, Text: reason + ": " + detail})
	}
	return &unit{tell: []func(){tell}, dead: []store.Dead{{At: d.c.wall().UnixNano(), Side: "receiver", Sender: d.sender, Run: it.run, Seq: rec.Seq,
		Channel: rec.Channel, ToNode: rec.To, Reader: d.c.cfg.NodeID, Reason: reason, Detail: detail, Handler: d.c.handlerName(rec.Channel),
		Attempts: attempts, Created: rec.Created, Headers: encodeHeaders(rec.Headers), Content: rec.Content}}}
}
