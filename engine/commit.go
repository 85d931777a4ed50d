package engine

import (
	"errors"
	"sync"
	"time"

	"github.com/getevo/rmds/engine/internal/store"
	"github.com/getevo/rmds/engine/internal/wire"
)

// Limits of one group commit and of one block in it. A block is what a link sends as it lies, so it stays well
// below NATS's default max_payload; a commit takes whatever waits, up to some milliseconds of work.
const (
	maxCommitUnits = 8192
	maxCommitBytes = 8 << 20
	blockBytes     = 48 << 10

	maxWaitingBytes = 4 * maxCommitBytes // of what waits for its commit, beyond which senders and domains wait
)

// errDiscarded tells a domain that what it handled was thrown away with a failed commit: it must be handled again.
var errDiscarded = errors.New("rmds: discarded with a failed commit")

// unit is one thing that takes effect as a whole: an accepted message, or the outcome of a handled one.
// The committer fills seq into records. done runs on the committer's goroutine after the commit and must not block.
type unit struct {
	records  []wire.Record
	bytes    int
	handled  *advance // nil for plain sends
	kv       []kvWrites
	dead     []store.Dead
	skips    []store.Skip
	attempts []store.Attempt
	undo     []store.AttemptKey
	removed  []int64 // dead letters requeued by this unit
	events   []store.Event
	tell     []func() // what is counted and told when the unit is on disk
	done     func(error)
}

// advance moves one position over one record, if the position is what the record says came before it (P4).
type advance struct {
	sender     string
	lineage    []store.Run
	membership uint64
	run        uint64
	prev, seq  int64
	first      bool
	epoch      uint64
}

// committer owns the writing side of the store. One goroutine takes whatever waits, commits it in one transaction and
// answers everybody. Nothing in memory that mirrors the disk changes before the commit has returned nil.
//
//	units ──► pending ──► store.Commit ──nil──► tail grows, done(nil), the loop is woken
//	                           └──error──► sends: done(err); every handled unit in hand or waiting: done(errDiscarded),
//	                                       epoch+1, overlays dropped; handlers stay away until a commit succeeds
type committer struct {
	st          *store.Store
	tail        *tail
	packer      packer // committer's goroutine only
	wall        func() time.Time
	appended    func(blocks []*block)       // counts what a commit appended, before the senders are answered
	grew        func(blocks []*block)       // wakes the links, after the tail has the blocks; nil means all of them
	landed      func() error                // counts again what the disk has, after a failed commit that was none
	cursors     func() []store.Cursor       // cursors that have moved since the last call
	cursorsLost func()                      // those of the last call were not written
	discard     func()                      // a handled tail was thrown away: drop overlays and guests
	onError     func(err error, again bool) // storage fails (again=false) or works again (true)

	mu      sync.Mutex
	pending []*unit
	bytes   int
	room    *sync.Cond // for senders when too much waits
	wake    chan struct{}
	closed  bool
	epoch   uint64        // guarded by mu; bumped whenever handled units are thrown away
	healthy chan struct{} // guarded by mu; closed while storage works, replaced by an open one when it fails
	sick    bool

	nextSeq  int64 // committer's goroutine only
	unsure   bool  // a commit has failed and may have landed; committer's goroutine only
	alone    int   // handled units to be committed one by one, to find an offender; committer's goroutine only
	finished chan struct{}
}

func newCommitter(st *store.Store, t *tail, next int64, compress bool, wall func() time.Time) *committer {
	c := &committer{st: st, tail: t, nextSeq: next, packer: packer{compress: compress}, wall: wall, wake: make(chan struct{}, 1), finished: make(chan struct{})}
	c.room = sync.NewCond(&c.mu)
	c.healthy = make(chan struct{})
	close(c.healthy)
	return c
}

// add queues a unit. It fails only after close, and waits while more than some commits' worth is queued.
func (c *committer) add(u *unit) error {
	c.mu.Lock()
	for !c.closed && u.handled == nil && c.bytes > maxWaitingBytes {
		c.room.Wait()
	}
	if c.closed {
		c.mu.Unlock()
		return ErrClosed
	}
	if u.handled != nil && u.handled.epoch != c.epoch {
		c.mu.Unlock()
		return errDiscarded
	}
	u.stage() // under the lock: a unit of an epoch that is over must not touch what later runs have staged
	c.pending = append(c.pending, u)
	c.bytes += u.bytes
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return nil
}

// waitForRoom waits while too much waits for its commit: handlers must not outrun the disk.
func (c *committer) waitForRoom() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.closed && c.bytes > maxWaitingBytes {
		c.room.Wait()
	}
}

// state returns the epoch that a handler's run belongs to, and a channel that is closed while storage works.
func (c *committer) state() (epoch uint64, healthy <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.epoch, c.healthy
}

// close lets the goroutine commit what is queued and waits for its end.
func (c *committer) close() {
	c.mu.Lock()
	c.closed = true
	c.room.Broadcast()
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
	<-c.finished
}

func (c *committer) run() {
	defer close(c.finished)
	probe := time.NewTimer(time.Hour)
	defer probe.Stop()
	pause := 100 * time.Millisecond
	for {
		units, closed := c.take()
		if len(units) > 0 {
			c.commit(units)
			continue
		}
		if closed {
			c.commitCursors()
			return
		}
		wait := time.Second // idle cursors are written once a second at most, without a commit of their own when there is traffic
		if c.isSick() {
			wait, pause = pause, min(2*pause, 5*time.Second)
		} else {
			pause = 100 * time.Millisecond
		}
		probe.Reset(wait)
		select {
		case <-c.wake:
		case <-probe.C:
			c.commitCursors()
		}
	}
}

func (c *committer) isSick() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.sick }

// take removes the next batch from the queue.
func (c *committer) take() (units []*unit, closed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, size := 0, 0
	for n < len(c.pending) && n < maxCommitUnits && size < maxCommitBytes {
		if c.alone > 0 && c.pending[n].handled != nil {
			if n > 0 {
				break
			}
			c.alone--
			size = maxCommitBytes
		}
		size += c.pending[n].bytes
		c.bytes -= c.pending[n].bytes
		n++
	}
	units = c.pending[:n:n]
	c.pending = c.pending[n:]
	c.room.Broadcast()
	return units, c.closed
}

// commitCursors writes moved cursors when no other commit carries them, and is the probe write of a sick store.
func (c *committer) commitCursors() {
	if err := c.resync(); err != nil {
		c.setHealth(err)
		return
	}
	moved := c.cursors()
	if len(moved) == 0 && !c.isSick() {
		return
	}
	err := c.resync() // what a failed commit has left must not wait for the next message
	if err == nil {
		b := &store.Batch{Now: c.wall(), Cursors: moved}
		if c.isSick() {
			b.Events = []store.Event{{At: c.wall().UnixNano(), Kind: "storage_probe", Text: "storage works again"}}
		}
		_, err = c.st.Commit(b)
	}
	if err != nil {
		c.cursorsLost()
	}
	c.setHealth(err)
}

// setHealth takes the outcome of a write.
func (c *committer) setHealth(err error) {
	c.mu.Lock()
	was := c.sick
	c.sick = err != nil
	if c.sick && !was {
		c.healthy = make(chan struct{})
	} else if !c.sick && was {
		close(c.healthy)
	}
	c.mu.Unlock()
	if err != nil || was {
		c.onError(err, err == nil)
	}
}

func (c *committer) commit(units []*unit) {
	var batch *store.Batch
	var blocks []*block
	var next int64
	err := c.resync()
	if err == nil {
		batch, blocks, next = c.build(units)
		_, err = c.st.Commit(batch)
	}
	if err == nil {
		c.nextSeq = next
		c.setHealth(nil)
		c.appended(blocks)
		for _, u := range units {
			u.done(nil) // before the links can see the records: a Request waits before its answer can come
		}
		if len(blocks) > 0 {
			c.tail.append(blocks)
			c.grew(blocks)
		}
		return
	}
	c.unsure = true
	c.cursorsLost()
	if store.IsIO(err) {
		c.setHealth(err)
		c.fail(units, err)
		return
	}
	c.isolate(units, err)
}

// resync asks the disk what a failed commit has left: one that failed in its fsync may have landed all the same (P32).
// Its senders were told that nothing is promised, but what lies in the log is delivered.
func (c *committer) resync() error {
	if !c.unsure {
		return nil
	}
	next, err := c.st.NextSeq()
	if err != nil {
		return err
	}
	if next != c.nextSeq {
		if err := c.landed(); err != nil {
			return err
		}
		c.nextSeq = next
		c.tail.reset(next - 1)
		c.grew(nil)
	}
	c.unsure = false
	return nil
}

// fail answers a batch that never happened (P13).
func (c *committer) fail(units []*unit, err error) {
	handled := false
	for _, u := range units {
		if u.handled != nil {
			handled = true
			u.done(errDiscarded)
		} else {
			u.done(errors.Join(ErrStorage, err))
		}
	}
	if handled {
		c.throwAway()
	}
}

// throwAway discards every handled unit that waits: later ones may have read what the lost ones wrote.
func (c *committer) throwAway() {
	c.mu.Lock()
	c.epoch++
	var lost []*unit
	kept := c.pending[:0:0]
	for _, u := range c.pending {
		if u.handled != nil {
			lost = append(lost, u)
			c.bytes -= u.bytes
		} else {
			kept = append(kept, u)
		}
	}
	c.pending = kept
	c.discard() // under the lock: nobody may run in the new epoch over the old overlays
	c.mu.Unlock()
	for _, u := range lost {
		u.done(errDiscarded)
	}
}

// isolate answers a commit that failed for another reason than the disk. Plain sends are tried again without the
// handled units; those are handled again and then committed one by one, so that an offender is found alone.
func (c *committer) isolate(units []*unit, err error) {
	var sends, handled []*unit
	for _, u := range units {
		if u.handled != nil {
			handled = append(handled, u)
		} else {
			sends = append(sends, u)
		}
	}
	switch {
	case len(handled) == 0 && len(sends) == 1:
		sends[0].done(errors.Join(ErrStorage, err))
		return
	case len(handled) == 0:
		for _, u := range sends {
			c.commit([]*unit{u})
		}
		return
	}
	var stale *store.StaleError
	offender := len(units) == 1 && !errors.As(err, &stale)
	c.alone = len(handled)
	c.throwAway()
	for _, u := range handled {
		if offender {
			u.done(err) // the domain counts an attempt
		} else {
			u.done(errDiscarded)
		}
	}
	if len(sends) > 0 {
		c.commit(sends)
	}
}

// build turns units into one store batch, numbering records in order and cutting them into blocks.
func (c *committer) build(units []*unit) (*store.Batch, []*block, int64) {
	now := c.wall()
	b := &store.Batch{Now: now, Cursors: c.cursors()}
	next := c.nextSeq
	var recs []wire.Record
	var blocks []*block
	size := 0
	cut := func() {
		if len(recs) > 0 {
			blocks = append(blocks, newBlock(recs, &c.packer))
			recs, size = nil, 0
		}
	}
	chains, written := map[chainKey]int{}, map[kvKey]int{}
	for _, u := range units {
		for i := range u.records {
			r := &u.records[i]
			r.Seq = next
			next++
			if size > 0 && size+len(r.Content) > blockBytes {
				cut()
			}
			if recs == nil {
				recs = make([]wire.Record, 0, min(len(units), 256))
			}
			recs = append(recs, *r)
			size += recordSize(r)
		}
		for _, w := range u.kv {
			addWrites(b, written, w.writes)
		}
		b.Skips = append(b.Skips, u.skips...)
		b.Dead = append(b.Dead, u.dead...)
		b.Attempts = append(b.Attempts, u.attempts...)
		b.DropAttempts = append(b.DropAttempts, u.undo...)
		b.DeadRemove = append(b.DeadRemove, u.removed...)
		b.Events = append(b.Events, u.events...)
		if u.handled != nil && u.handled.membership != 0 {
			addAdvance(b, chains, u.handled)
		}
	}
	cut()
	for _, bl := range blocks {
		b.Blocks = append(b.Blocks, bl.stored())
	}
	return b, blocks, next
}

type kvKey struct{ store, key string }

// addWrites keeps only the last write of a batch to each key: a handler's counter costs one statement a commit.
func addWrites(b *store.Batch, written map[kvKey]int, writes []store.KVWrite) {
	for _, w := range writes {
		k := kvKey{w.Store, w.Key}
		if i, ok := written[k]; ok {
			b.KV[i] = w
			continue
		}
		written[k] = len(b.KV)
		b.KV = append(b.KV, w)
	}
}

type chainKey struct {
	sender     string
	membership uint64
}

// addAdvance joins consecutive advances of one membership into one conditional update per run.
func addAdvance(b *store.Batch, chains map[chainKey]int, a *advance) {
	k := chainKey{a.sender, a.membership}
	if i, ok := chains[k]; ok {
		segs := b.Advances[i].Segments
		last := &segs[len(segs)-1]
		switch {
		case last.Seq == a.prev && last.Run == a.run:
			last.Seq = a.seq
			return
		case last.Seq == a.prev:
			b.Advances[i].Segments = append(segs, store.Segment{Run: a.run, Prev: a.prev, Seq: a.seq})
			return
		}
	}
	chains[k] = len(b.Advances)
	b.Advances = append(b.Advances, store.Advance{Sender: a.sender, Lineage: a.lineage, Membership: a.membership, First: a.first,
		Segments: []store.Segment{{Run: a.run, Prev: a.prev, Seq: a.seq}}})
}
