package engine

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/getevo/rmds/engine/internal/bus"
	"github.com/getevo/rmds/engine/internal/wire"
)

// Domains of order, as they are named on the wire.
const (
	domainStrict    = "s"
	domainAddressed = "a"
	domainChannel   = "c:" // followed by the channel's name
)

// maxFrameBytes is the largest frame that is made, also where the server would take more.
const maxFrameBytes = 128 << 10

// presencePause is the shortest time between two announcements of this node.
const presencePause = 100 * time.Millisecond

// loop is the goroutine that owns every link: what arrives from the bus, what domains have finished and what the log has
// gained reach it through a mailbox; after each round it steps the links that something happened to.
//
//	bus, committer, domains, API ──post──► box ──run──► peers, links ──frames──► bus
type loop struct {
	c *Connection

	mu      sync.Mutex
	box     []func()
	touched []*domain
	stopped bool
	wake    chan struct{}
	ended   chan struct{}

	// the loop's goroutine only
	peers       map[string]*peer
	subs        map[string]func() // subscriptions by subject
	linkNumber  uint64
	connected   bool
	since       time.Time // of the present connection, or of its loss
	announceAt  time.Time // zero: nothing to announce before the interval ends
	announcedAt time.Time
	discoverAt  time.Time
	nextWake    time.Time
}

func newLoop(c *Connection) *loop {
	return &loop{c: c, wake: make(chan struct{}, 1), ended: make(chan struct{}), peers: map[string]*peer{}, subs: map[string]func(){}}
}

// post runs fn on the loop's goroutine. After stop it does nothing.
func (l *loop) post(fn func()) {
	l.mu.Lock()
	if !l.stopped {
		l.box = append(l.box, fn)
	}
	l.mu.Unlock()
	l.signal()
}

// call runs fn on the loop's goroutine and waits for it; false after stop.
func (l *loop) call(fn func()) bool {
	done := make(chan struct{})
	l.post(func() { fn(); close(done) })
	select {
	case <-done:
		return true
	case <-l.ended:
		return false
	}
}

func (l *loop) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// touch notes that a domain has made progress; many touches before the next round are one.
func (l *loop) touch(d *domain) {
	if d.touched.Swap(true) {
		return
	}
	l.mu.Lock()
	l.touched = append(l.touched, d)
	l.mu.Unlock()
	l.signal()
}

// logGrew wakes the links that are owed something of the new blocks, or all links. Committer's goroutine.
func (l *loop) logGrew(blocks []*block) {
	l.post(func() {
		if blocks == nil {
			for _, p := range l.peers {
				p.openNeeded(time.Now())
				for _, o := range p.out {
					o.dirty = true
				}
			}
		}
		for _, b := range blocks {
			for _, part := range b.streams {
				l.owed(streamKey{part.Channel, part.To})
			}
		}
	})
}

func (l *loop) run() {
	defer close(l.ended)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		l.mu.Lock()
		box, touched, stopped := l.box, l.touched, l.stopped
		l.box, l.touched = nil, nil
		l.mu.Unlock()
		for _, d := range touched {
			d.touched.Store(false)
			if in := d.link; in != nil {
				l.progress(in)
			}
		}
		for _, fn := range box {
			fn()
		}
		now := time.Now()
		l.housekeep(now)
		l.stepLinks(now)
		if len(box) > 0 || len(touched) > 0 {
			continue
		}
		if stopped {
			l.farewell()
			return
		}
		timer.Reset(time.Until(l.nextWake))
		select {
		case <-l.wake:
		case <-timer.C:
		}
	}
}

// stop lets the loop send its last acks and its farewell, and waits for its end.
func (l *loop) stop() {
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	l.signal()
	<-l.ended
}

// stepLinks gives every link that was touched or whose time has come its turn, and finds the next time to wake up.
func (l *loop) stepLinks(now time.Time) {
	l.nextWake = now.Add(l.c.cfg.KeepaliveInterval)
	for _, at := range []time.Time{l.announceAt, l.discoverAt} {
		l.wakeBy(at)
	}
	for _, p := range l.peers {
		for _, o := range p.out {
			if o.dirty || !o.next.IsZero() && !o.next.After(now) {
				o.step(now)
			}
			l.wakeBy(o.next)
		}
		for _, in := range p.in {
			if in.dirty || !in.next.IsZero() && !in.next.After(now) {
				in.step(now)
			}
			l.wakeBy(in.next)
		}
	}
}

func (l *loop) wakeBy(at time.Time) {
	if !at.IsZero() && at.Before(l.nextWake) {
		l.nextWake = at
	}
}

// listen subscribes to what concerns this node.
func (l *loop) listen() error {
	c := l.c
	c.bus.OnEvent(func(e bus.Event) { l.post(func() { l.busEvent(e) }) })
	me, p := c.cfg.NodeID, c.cfg.NATSPrefix
	var err error
	l.call(func() {
		for _, s := range []struct {
			subject string
			handle  func(from string, f wire.Frame)
		}{
			{p + "data." + me + ".*", l.onData},
			{p + "ack." + me + ".*", l.onAck},
		} {
			if err == nil {
				err = l.subscribe(s.subject, lastToken, s.handle)
			}
		}
		if err == nil {
			err = l.subscribe(p+c.cfg.ManagementChannel+".*."+me, tokenBeforeLast, c.manager.onCommand)
		}
		if err == nil && c.cfg.Observe {
			err = errors.Join(l.subscribe(p+c.cfg.KeepaliveChannel+".*", lastToken, l.onPresence), l.listenForQuestions())
		}
		if !c.cfg.Observe {
			for _, node := range c.ledger.addressees() {
				l.watch(node)
			}
		}
		for _, p := range l.peers {
			p.watch()
		}
		if c.bus.Connected() {
			l.busEvent(bus.Event{Kind: bus.Connected})
		}
	})
	if err != nil {
		return fmt.Errorf("rmds: subscribe: %w", err)
	}
	return nil
}

func lastToken(subject string) string { return subject[strings.LastIndexByte(subject, '.')+1:] }

func tokenBeforeLast(subject string) string {
	return lastToken(subject[:strings.LastIndexByte(subject, '.')])
}

// subscribe listens to a subject once. Frames are decoded on the bus's goroutine and handled on the loop's; whoever sent
// a frame is who its subject says, because NATS's permissions guard that (and nothing else is trusted).
func (l *loop) subscribe(subject string, from func(subject string) string, handle func(from string, f wire.Frame)) error {
	if l.subs[subject] != nil {
		return nil
	}
	stop, err := l.attend(subject, from, handle)
	if err == nil {
		l.subs[subject] = stop
	}
	return err
}

// attend is a subscription of its own, until stop.
func (l *loop) attend(subject string, from func(subject string) string, handle func(from string, f wire.Frame)) (stop func(), err error) {
	return l.c.bus.Subscribe(subject, func(subject string, data []byte) {
		sender := from(subject)
		if CheckNodeID(sender) != nil {
			return
		}
		f, err := wire.Decode(data)
		if err != nil {
			l.c.count.corrupt.Add(1) // the link repairs it
			return
		}
		l.post(func() { handle(sender, f) })
	})
}

// publish encodes and sends a frame. What is lost while disconnected is sent again by its link.
func (l *loop) publish(subject string, f wire.Frame) {
	if !l.connected {
		return
	}
	if err := l.c.bus.Publish(subject, wire.Encode(nil, f)); err != nil && l.c.bus.Connected() {
		l.c.log.Warn("publish", "subject", subject, "err", err)
	}
}

func (l *loop) busEvent(e bus.Event) {
	switch e.Kind {
	case bus.Connected:
		if l.connected {
			return
		}
		l.connected, l.since = true, time.Now()
		l.c.setTrouble("nats", "")
		l.c.emit(Event{Kind: "connected", Text: e.Text})
		l.announce(l.since)
		l.discover(l.since)
		for _, p := range l.peers {
			for _, o := range p.out {
				o.kick(l.since)
			}
		}
	case bus.Disconnected:
		if !l.connected {
			return
		}
		l.connected, l.since = false, time.Now()
		l.c.setTrouble("nats", "not connected")
		l.c.emit(Event{Kind: "disconnected", Text: e.Text})
	case bus.AuthDenied:
		l.c.setTrouble("auth", e.Text)
		l.c.emit(Event{Kind: "auth_denied", Text: e.Text})
	default:
		l.c.emit(Event{Kind: "bus_error", Text: e.Text})
	}
}
