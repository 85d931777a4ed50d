package engine

import (
	"fmt"
	"sync"
	"time"

	"github.com/getevo/rmds/engine/internal/store"
)

// janitor deletes from the log what nobody needs any more, and gives up readers that are gone for good. One goroutine,
// waited for by Connection.Close.
//
// A block goes when every known reader has acknowledged what it is owed of it and DeliveredMessageRetention has passed.
// What no reader was ever known for stays for MessageExpiry as well, and then becomes a dead letter (P26).
//
// A link that opens may be owed more than the survey has seen: deleting and opening exclude each other, and what was
// surveyed before an opening is surveyed again.
type janitor struct {
	c        *Connection
	work     sync.Mutex // held by who deletes from the log or takes from readers' queues; may wait for the loop
	finished chan struct{}

	mu     sync.Mutex // held while log is deleted; taken last: its holder waits for nobody but the disk
	opened uint64     // guarded by mu: openings of links, each of which may owe somebody more
}

// opening says that a link opens. It waits for a deletion that runs, a piece of one at most. Loop's goroutine.
func (j *janitor) opening() {
	j.mu.Lock()
	j.opened++
	j.mu.Unlock()
}

// delete deletes a piece, or nothing if a link has opened since the survey.
func (j *janitor) delete(through int64, n needs, dead []store.Dead) (deleted int64, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.opened != n.opened {
		return 0, nil
	}
	return j.c.st.DeleteLog(through, n.cursors, dead)
}

func newJanitor(c *Connection) *janitor { return &janitor{c: c, finished: make(chan struct{})} }

func (j *janitor) run() {
	defer close(j.finished)
	clean, expire := time.NewTicker(j.c.cfg.MessageCleanupInterval), time.NewTicker(j.c.cfg.ExpiredNodeCleanupInterval)
	defer clean.Stop()
	defer expire.Stop()
	for {
		select {
		case <-j.c.stopping:
			return
		case <-clean.C:
			if _, err := j.clean(sweep{retention: j.c.cfg.DeliveredMessageRetention}); err != nil {
				j.c.log.Error("clean the log", "err", err)
			}
		case <-expire.C:
			if err := j.expireReaders(); err != nil {
				j.c.log.Error("expire readers", "err", err)
			}
		}
	}
}

// needs is what the log is kept for at one moment.
type needs struct {
	through int64 // everybody has acknowledged what lies at or below
	cursors []store.Cursor
	read    map[streamKey]bool  // streams with readers
	past    map[streamKey]int64 // up to where a reader that has left had come
	opened  uint64              // janitor.opened at that moment
}

// survey asks the loop what readers still need.
func (j *janitor) survey() (n needs, ok bool) {
	n = needs{through: j.c.tail.lastSeq(), read: map[streamKey]bool{}}
	ok = j.c.loop.call(func() {
		j.mu.Lock()
		n.opened = j.opened
		j.mu.Unlock()
		for _, p := range j.c.loop.peers {
			for _, m := range p.members {
				acked, count := j.c.ledger.cursor(m)
				n.read[m.stream] = true
				if j.c.ledger.behind(m) {
					n.through = min(n.through, acked)
				}
				n.cursors = append(n.cursors, store.Cursor{Node: m.node, Membership: m.id, Acked: acked, Count: count, Scanned: max(acked, n.through)})
			}
		}
	})
	return n, ok
}

// sweep says what of the log is to go.
type sweep struct {
	retention time.Duration // acknowledged messages stay for that long
	all       bool          // what no reader was ever known for goes as well, whatever its age
}

// reason says why what nobody has read becomes dead letters.
func (j *janitor) reason(s sweep) (reason, detail string) {
	if s.all {
		return reasonPurged, "purged before a reader was seen"
	}
	return "no_reader", fmt.Sprintf("no reader was ever seen in %v", j.c.cfg.MessageExpiry)
}

// clean deletes blocks that are of no more use, and returns how many records that were.
func (j *janitor) clean(s sweep) (deleted int64, err error) {
	j.work.Lock()
	defer j.work.Unlock()
	reason, detail := j.reason(s)
	for {
		n, ok := j.survey()
		if !ok {
			return deleted, nil
		}
		d, dead, err := j.cleanPiece(n, s)
		deleted += d
		if err != nil || d == 0 {
			return deleted, err
		}
		j.c.count.dead.Add(reason, int64(len(dead)))
		for i := range dead {
			j.c.emit(Event{Kind: "dead_letter", Channel: dead[i].Channel, Node: dead[i].ToNode, Text: reason + ": " + detail})
		}
	}
}

// cleanPiece deletes some blocks of what a survey says may go. What is left is for the next piece, or the next round.
func (j *janitor) cleanPiece(n needs, s sweep) (deleted int64, dead []store.Dead, err error) {
	now := j.c.wall()
	through := n.through
	if s.retention > 0 {
		kept, err := j.c.st.FirstCreatedAtOrAfter(now.Add(-s.retention).UnixNano())
		if err != nil {
			return 0, nil, err
		}
		through = min(through, kept-1)
	}
	if n.past, err = j.formerReaders(); err != nil {
		return 0, nil, err
	}
	if !s.all {
		unread, err := j.unread(n, now, s.retention)
		if err != nil {
			return 0, nil, err
		}
		through = min(through, unread)
	}
	end, dead, err := j.piece(through, n, s)
	if err != nil || end == 0 {
		return 0, nil, err
	}
	deleted, err = j.delete(end, n, dead)
	return deleted, dead, err
}

// formerReaders returns how far the readers had come that have left, or were given up.
func (j *janitor) formerReaders() (map[streamKey]int64, error) {
	list, err := j.c.st.Members()
	past := map[streamKey]int64{}
	for _, m := range list {
		k := streamKey{channel: m.Channel}
		if m.Channel == "" {
			k = streamKey{to: m.Node}
		}
		if m.Ended {
			past[k] = max(past[k], m.Acked)
		}
	}
	return past, err
}

// unread returns the seq up to which what no reader is known for may go.
func (j *janitor) unread(n needs, now time.Time, retention time.Duration) (int64, error) {
	old := int64(0)
	if expiry := j.c.cfg.MessageExpiry; expiry > 0 {
		kept, err := j.c.st.FirstCreatedAtOrAfter(now.Add(-max(expiry, retention)).UnixNano())
		if err != nil {
			return 0, err
		}
		old = kept - 1
	}
	oldest, err := j.c.st.OldestRecords()
	if err != nil {
		return 0, err
	}
	through := j.c.tail.lastSeq()
	for k, first := range oldest {
		if !n.read[streamKey{k[0], k[1]}] {
			through = min(through, max(old, first-1, n.past[streamKey{k[0], k[1]}]))
		}
	}
	return through, nil
}

// piece returns the end of the next blocks to delete, at or below through, and the dead letters of what nobody has read.
func (j *janitor) piece(through int64, n needs, s sweep) (end int64, dead []store.Dead, err error) {
	reason, detail := j.reason(s)
	blocks, err := j.c.st.ReadLog(0, 1<<20)
	if err != nil {
		return 0, nil, err
	}
	for i := range blocks {
		if blocks[i].Last > through || i == store.DeletePiece {
			break
		}
		start := end
		end = blocks[i].Last
		b, err := loadBlock(&blocks[i])
		if err != nil {
			return 0, nil, err
		}
		before := len(dead)
		for k := range b.recs {
			r := &b.recs[k]
			if n.read[streamOf(r)] || r.Seq <= n.past[streamOf(r)] {
				continue
			}
			if now := j.c.wall().UnixNano(); !s.all && (r.TTL == 0 || now-r.Created <= r.TTL) { // it may still find a reader
				return start, dead[:before], nil
			}
			dead = append(dead, store.Dead{At: j.c.wall().UnixNano(), Side: "sender", Sender: j.c.cfg.NodeID, Run: runAt(j.c.lineage, r.Seq), Seq: r.Seq,
				Channel: r.Channel, ToNode: r.To, Reason: reason, Detail: detail,
				Created: r.Created, Headers: encodeHeaders(r.Headers), Content: r.Content})
		}
	}
	return end, dead, nil
}

// expireReaders gives up the readers that were silent for ReaderExpiry while this node could have heard them.
func (j *janitor) expireReaders() error {
	j.work.Lock()
	defer j.work.Unlock()
	var gone, silent []*member
	j.c.loop.call(func() {
		now := time.Now()
		for _, p := range j.c.loop.peers {
			p.countSilence(now)
			for _, m := range p.members {
				switch {
				case j.c.cfg.ReaderExpiry > 0 && p.silence >= j.c.cfg.ReaderExpiry:
					gone = append(gone, m)
					delete(p.members, m.id)
				case p.silence > 0:
					silent = append(silent, m)
				}
			}
			if len(p.members) == 0 {
				clear(p.out)
			}
		}
		for _, m := range silent {
			if err := j.c.loop.peers[m.node].save(m); err != nil {
				j.c.log.Error("keep a reader's silence", "reader", m.node, "err", err)
			}
		}
	})
	for _, m := range gone {
		if err := j.giveUp(m); err != nil {
			return fmt.Errorf("give up reader %s: %w", m.node, err)
		}
	}
	return nil
}

// giveUp makes dead letters of what a reader is still owed, and ends its membership. The loop knows it no more.
func (j *janitor) giveUp(m *member) error {
	c := j.c
	acked, count := c.ledger.cursor(m)
	owed := c.ledger.depth(m)
	for {
		blocks, err := c.st.ReadLog(acked, 1<<20)
		if err != nil {
			return err
		}
		if len(blocks) == 0 {
			break
		}
		batch := &store.Batch{Now: c.wall()}
		for i := range blocks {
			b, err := loadBlock(&blocks[i])
			if err != nil {
				return err
			}
			for k := range b.recs {
				if r := &b.recs[k]; r.Seq > acked && streamOf(r) == m.stream {
					count++
					batch.Dead = append(batch.Dead, store.Dead{At: c.wall().UnixNano(), Side: "sender", Sender: c.cfg.NodeID, Run: runAt(c.lineage, r.Seq),
						Seq: r.Seq, Channel: r.Channel, ToNode: r.To, Reader: m.node, Reason: "reader_gone", Created: r.Created,
						Detail: fmt.Sprintf("silent for %v (ReaderExpiry)", c.cfg.ReaderExpiry), Headers: encodeHeaders(r.Headers), Content: r.Content})
				}
			}
			acked = b.last
		}
		batch.Cursors = []store.Cursor{{Node: m.node, Membership: m.id, Acked: acked, Count: count, Scanned: acked}}
		if _, err := c.st.Commit(batch); err != nil {
			return err
		}
		c.count.dead.Add("reader_gone", int64(len(batch.Dead)))
	}
	if err := c.st.EndMember(m.node, m.id, "given up"); err != nil {
		return err
	}
	c.ledger.removeMember(m)
	c.emit(Event{Kind: "reader_gone", Node: m.node, Channel: m.stream.channel,
		Text: fmt.Sprintf("silent for %v: given up, %d message(s) became dead letters", c.cfg.ReaderExpiry, owed)})
	return nil
}
