package engine

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/getevo/rmds/engine/internal/store"
	"github.com/getevo/rmds/engine/internal/wire"
)

// manager obeys management commands, this node's own and those of other nodes, one after the other on one goroutine.
//
//	Mgmt ──submit──┐
//	               ├──► jobs ──run──► audit "begun" ──► kick list, purge ──► audit the outcome ──► answer
//	bus ──offer────┘
//
// A crash leaves a command "begun" in the audit, each of its steps done or not done, and no answer. Kicks that were taken
// over are enforced at the next start.
type manager struct {
	c        *Connection
	jobs     chan func()
	finished chan struct{}

	mu    sync.Mutex
	nonce uint64          // for the next command to this node
	calls map[uint64]call // commands to others that wait for their answers, by id

	recent []answered // the newest last; the manager's goroutine only
}

// answered is a command that was answered a moment ago: its repetition gets the same answer.
type answered struct {
	from   string
	id     uint64
	answer wire.Answer
	at     time.Time
}

// Bounds of what the manager keeps.
const (
	maxJobs    = 256 // commands and lists that wait; what comes from the bus beyond is dropped, and comes again
	keepRecent = 10 * time.Second
	maxRecent  = 256
)

func newManager(c *Connection) *manager {
	return &manager{c: c, jobs: make(chan func(), maxJobs), finished: make(chan struct{}), nonce: randomID(), calls: map[uint64]call{}}
}

func (g *manager) run() {
	defer close(g.finished)
	g.enforce(nil) // what a crash has left half done
	for {
		select {
		case <-g.c.stopping:
			return
		case job := <-g.jobs:
			job()
		}
	}
}

// offer queues a job of another node, if there is room.
func (g *manager) offer(job func()) {
	select {
	case g.jobs <- job:
	default:
	}
}

// submit runs a job of this node's own program and waits for it.
func (g *manager) submit(job func() error) error {
	done := make(chan error, 1)
	select {
	case g.jobs <- func() { done <- job() }:
	case <-g.finished:
		return ErrClosed
	}
	select {
	case err := <-done:
		return err
	case <-g.finished:
		return ErrClosed
	}
}

// present is the nonce that the next command must carry.
func (g *manager) present() uint64 { g.mu.Lock(); defer g.mu.Unlock(); return g.nonce }

// onCommand takes a command of another node. Loop's goroutine.
func (g *manager) onCommand(from string, f wire.Frame) {
	if cmd, ok := f.(*wire.Command); ok && from != g.c.cfg.NodeID {
		g.offer(func() { g.serve(from, cmd) })
	}
}

// serve obeys or refuses a command, and answers.
func (g *manager) serve(from string, f *wire.Command) {
	now := time.Now()
	for len(g.recent) > 0 && (now.Sub(g.recent[0].at) > keepRecent || len(g.recent) > maxRecent) {
		g.recent = g.recent[1:]
	}
	for i := range g.recent {
		if r := &g.recent[i]; r.from == from && r.id == f.ID {
			g.reply(from, &r.answer)
			return
		}
	}
	a := wire.Answer{Command: f.ID}
	a.Outcome, a.Text = g.admit(from, f)
	if a.Outcome == wire.OutcomeDone {
		g.mu.Lock()
		g.nonce = randomID() // whatever becomes of this command, it cannot come again
		g.mu.Unlock()
		n, err := g.obey(from, f.Key, f.Action, f.Kicks)
		a.Count = n
		if err != nil {
			a.Outcome, a.Text = wire.OutcomeFailed, err.Error()
		}
	} else {
		g.refuse(from, f, a.Text)
	}
	a.StoreID, a.Nonce = g.c.st.Meta().StoreID, g.present()
	g.recent = append(g.recent, answered{from: from, id: f.ID, answer: a, at: now})
	g.reply(from, &a)
	g.c.loop.post(func() { g.c.loop.announce(time.Now()) }) // the nonce is new
}

// admit says whether a command may be obeyed: "done", or an outcome that refuses it, and why.
func (g *manager) admit(from string, f *wire.Command) (outcome, text string) {
	c := g.c
	subject := c.cfg.NATSPrefix + c.cfg.ManagementChannel + "." + from + "." + c.cfg.NodeID
	if err := verify(c.cfg.Operators, f.Key, f.Signature, wire.CommandText(subject, f)); err != nil {
		return wire.OutcomeRefused, err.Error()
	}
	switch {
	case f.Target != c.st.Meta().StoreID:
		return wire.OutcomeStale, "meant for another database"
	case f.Nonce != g.present():
		return wire.OutcomeStale, "the nonce is not the present one: the command is late, or was sent before"
	}
	return wire.OutcomeDone, ""
}

// refuse keeps a refusal.
func (g *manager) refuse(from string, f *wire.Command, why string) {
	c := g.c
	if _, err := c.st.AddAudit(store.Audit{At: c.wall().UnixNano(), Who: from, Key: f.Key, Action: f.Action, Args: commandArgs(f.Kicks),
		Outcome: wire.OutcomeRefused, Text: why}); err != nil {
		c.log.Error("audit a refused command", "from", from, "err", err)
	}
	c.emit(Event{Kind: "command_refused", Node: from, Text: f.Action + " " + commandArgs(f.Kicks) + ": " + why})
}

func (g *manager) reply(to string, a *wire.Answer) {
	g.c.loop.post(func() { g.c.loop.peer(to).answer(a) })
}

// obey does what a command says, between its two lines in the audit.
func (g *manager) obey(who, key, action string, kicks []wire.Kick) (n int64, err error) {
	c := g.c
	id, err := c.st.AddAudit(store.Audit{At: c.wall().UnixNano(), Who: who, Key: key, Action: action, Args: commandArgs(kicks), Outcome: auditBegun})
	if err != nil {
		return 0, errors.Join(ErrStorage, err)
	}
	outcome, text := wire.OutcomeDone, ""
	if n, err = g.do(action, kicks); err != nil {
		outcome, text = wire.OutcomeFailed, err.Error()
	} else if action != wire.ActionKick {
		text = fmt.Sprintf("%d message(s)", n)
	}
	c.emit(Event{Kind: "command", Node: who, Text: strings.TrimSpace(action + " " + commandArgs(kicks) + ": " + outcome + " " + text)})
	if auditErr := c.st.FinishAudit(id, outcome, text); auditErr != nil && err == nil {
		err = errors.Join(ErrStorage, auditErr)
	}
	return n, err
}

func (g *manager) do(action string, kicks []wire.Kick) (int64, error) {
	switch action {
	case wire.ActionKick:
		n, err := g.takeKicks(kicks)
		return int64(n), err
	case wire.ActionPurgeQueue:
		return g.purgeQueues()
	case wire.ActionPurgeSent:
		return g.c.clean.clean(sweep{})
	case wire.ActionPurgeAll:
		queued, err := g.purgeQueues()
		if err != nil {
			return queued, err
		}
		deleted, err := g.c.clean.clean(sweep{all: true})
		return queued + deleted, err
	}
	return 0, fmt.Errorf("unknown command %q", action)
}

// commandArgs describes what a command is about, for the audit.
func commandArgs(kicks []wire.Kick) string {
	var args []string
	for _, k := range kicks {
		what := "kick "
		if k.Lifted {
			what = "unkick "
		}
		switch k.Channel {
		case wire.KickNode:
			args = append(args, what+k.Node)
		case wire.KickChannels:
			args = append(args, what+k.Node+" from all channels")
		default:
			args = append(args, what+k.Node+" from "+k.Channel)
		}
	}
	return strings.Join(args, ", ")
}
