package engine

import (
	"slices"
	"time"

	"github.com/getevo/rmds/engine/internal/wire"
)

// How orders spread: presence carries the digest of the kick list, and whoever hears another digest than its own asks.
// An answer in parts needs no end: each order counts by itself.

// Pauses between questions to a node whose list stays different: it may have orders that this node does not accept.
const (
	firstKickPause = time.Second
	maxKickPause   = 10 * time.Minute
)

// kickListPart is how many orders one frame carries.
const kickListPart = 200

// kicksDisagree is how long a node whose kick list is another may yet turn out to have been kicked.
const kicksDisagree = 10 * time.Second

// compareKicks asks the peer for its orders if its digest is another than this node's.
func (p *peer) compareKicks(now time.Time, theirs uint64) {
	mine := p.l.c.kicks.sum()
	p.kicks.theirs = theirs
	if theirs == mine {
		return
	}
	k := &p.kicks
	switch pair := [2]uint64{theirs, mine}; {
	case pair != k.asked:
		k.asked, k.since, k.pause = pair, now, firstKickPause
	case now.Before(k.askAt):
		return
	default:
		k.pause = min(2*k.pause, maxKickPause)
	}
	k.askAt = now.Add(k.pause)
	p.answer(&wire.KickAsk{Digest: mine})
}

// kicksAgree reports whether the peer's kick list, as it was heard last, is this node's, or has been another for so long
// that it will stay so.
func (p *peer) kicksAgree(now time.Time) bool {
	return p.kicks.theirs == p.l.c.kicks.sum() || now.Sub(p.kicks.since) > kicksDisagree
}

// kickTalk is what a node remembers of comparing its kick list with a peer's.
type kickTalk struct {
	theirs uint64        // its digest, as heard last
	asked  [2]uint64     // its digest and this node's at the last KickAsk
	since  time.Time     // when they were first these
	askAt  time.Time     // when to ask again if they still are
	pause  time.Duration // doubling
}

// onKickAsk sends this node's orders, and asks for the peer's if they differ.
func (p *peer) onKickAsk(f *wire.KickAsk, now time.Time) {
	for part := range slices.Chunk(p.l.c.kicks.list(), kickListPart) {
		p.answer(&wire.KickList{Kicks: part})
	}
	p.compareKicks(now, f.Digest)
}

// takes handles a frame of management that came on the subject of acks; false: it is none.
func (g *manager) takes(from string, f wire.Frame) bool {
	switch f := f.(type) {
	case *wire.Answer:
		g.onAnswer(from, f)
	case *wire.KickAsk:
		g.c.loop.peer(from).onKickAsk(f, time.Now())
	case *wire.KickList:
		g.offer(func() {
			if _, err := g.takeKicks(f.Kicks); err != nil {
				g.c.log.Warn("orders of a kick list", "peer", from, "err", err)
			}
		})
	default:
		return false
	}
	return true
}
