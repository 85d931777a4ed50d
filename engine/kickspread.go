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

// compareKicks asks the peer for its orders if its digest is another than this node's.
func (p *peer) compareKicks(now time.Time, theirs uint64) {
	mine := p.l.c.kicks.sum()
	if theirs == mine {
		return
	}
	pair := [2]uint64{theirs, mine}
	switch {
	case pair != p.kicksAsked:
		p.kicksAsked, p.kicksPause = pair, firstKickPause
	case now.Before(p.kicksAskAt):
		return
	default:
		p.kicksPause = min(2*p.kicksPause, maxKickPause)
	}
	p.kicksAskAt = now.Add(p.kicksPause)
	p.answer(&wire.KickAsk{Digest: mine})
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
