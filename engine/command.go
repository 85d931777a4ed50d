package engine

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/getevo/rmds/engine/internal/wire"
)

// Times of commands to other nodes.
const (
	commandTimeout = 10 * time.Second
	commandRepeat  = 250 * time.Millisecond
	commandTries   = 4 // commands made anew because the node's nonce had changed
)

// contact is what it takes to command a node.
type contact struct {
	node           string
	storeID, nonce uint64
	online         bool
}

// command tells the nodes named, or all that are known if none is, and this one first if it is among them.
func (m *Mgmt) command(nodes []string, action string, kicks []wire.Kick) ([]Answer, error) {
	c := m.c
	all := len(nodes) == 0
	var answers []Answer
	if all || slices.Contains(nodes, c.cfg.NodeID) {
		a := c.commandSelf(action, kicks)
		if answers = append(answers, a); a.Outcome != wire.OutcomeDone && action == wire.ActionKick {
			return answers, answersError(answers) // nobody else would hear of an order that its own node does not keep
		}
	}
	var contacts []contact
	if all || len(answers) < len(nodes) {
		contacts = c.contacts()
	}
	known := map[string]bool{c.cfg.NodeID: true}
	ctx, cancel := context.WithTimeout(c.ctx, commandTimeout)
	defer cancel()
	var mu sync.Mutex
	var asked sync.WaitGroup
	for _, to := range contacts {
		if known[to.node] = true; !all && !slices.Contains(nodes, to.node) || to.node == c.cfg.NodeID {
			continue
		}
		asked.Go(func() {
			a := c.commandNode(ctx, to, action, kicks)
			mu.Lock()
			defer mu.Unlock()
			answers = append(answers, a)
		})
	}
	asked.Wait()
	for _, node := range nodes {
		if !known[node] {
			answers = append(answers, Answer{Node: node, Outcome: outcomeOffline, Text: "never heard"})
		}
	}
	slices.SortFunc(answers, func(a, b Answer) int { return strings.Compare(a.Node, b.Node) })
	return answers, answersError(answers)
}

// commandSelf obeys a command of this node's own program.
func (c *Connection) commandSelf(action string, kicks []wire.Kick) Answer {
	a := Answer{Node: c.cfg.NodeID, Outcome: wire.OutcomeDone}
	key := ""
	for i := range kicks {
		key = kicks[i].Key
	}
	err := c.manager.submit(func() (err error) {
		a.Count, err = c.manager.obey(c.cfg.NodeID, key, action, kicks)
		return err
	})
	if err != nil {
		return Answer{Node: c.cfg.NodeID, Outcome: wire.OutcomeFailed, Text: err.Error()}
	}
	return a
}

// contacts returns the nodes that this one knows. Without Observe it asks around first.
func (c *Connection) contacts() (list []contact) {
	found := map[string]contact{}
	c.loop.call(func() {
		for node, p := range c.loop.peers {
			if !p.heard.IsZero() || len(p.members) > 0 {
				found[node] = contact{node: node, storeID: p.storeID, nonce: p.nonce, online: p.online && p.nonce != 0}
			}
		}
	})
	for node, pr := range c.lookAround() {
		found[node] = contact{node: node, storeID: pr.StoreID, nonce: pr.Nonce, online: true}
	}
	for _, to := range found {
		list = append(list, to)
	}
	return list
}

// commandNode tells one node and waits for its answer.
func (c *Connection) commandNode(ctx context.Context, to contact, action string, kicks []wire.Kick) Answer {
	if !to.online {
		return Answer{Node: to.node, Outcome: outcomeOffline}
	}
	subject := c.cfg.NATSPrefix + c.cfg.ManagementChannel + "." + c.cfg.NodeID + "." + to.node
	for try := 1; ; try++ {
		f := &wire.Command{ID: randomID(), Target: to.storeID, Nonce: to.nonce, Action: action, Kicks: kicks}
		if err := c.sign(wire.CommandText(subject, f), &f.Key, &f.Signature); err != nil {
			return Answer{Node: to.node, Outcome: wire.OutcomeFailed, Text: err.Error()}
		}
		a := c.manager.exchange(ctx, subject, f)
		switch {
		case a == nil:
			return Answer{Node: to.node, Outcome: outcomeSilent}
		case a.Outcome == wire.OutcomeStale && try < commandTries:
			to.storeID, to.nonce = a.StoreID, a.Nonce
		default:
			return Answer{Node: to.node, Outcome: a.Outcome, Text: a.Text, Count: a.Count}
		}
	}
}

// exchange sends a command until it is answered; nil: ctx has ended.
func (g *manager) exchange(ctx context.Context, subject string, f *wire.Command) *wire.Answer {
	answer := make(chan *wire.Answer, 1)
	g.mu.Lock()
	g.calls[f.ID] = call{lastToken(subject), answer}
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		delete(g.calls, f.ID)
		g.mu.Unlock()
	}()
	repeat := time.NewTicker(commandRepeat)
	defer repeat.Stop()
	for {
		g.c.loop.post(func() { g.c.loop.publish(subject, f) })
		select {
		case a := <-answer:
			return a
		case <-repeat.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// call is a command that waits for its answer.
type call struct {
	node   string
	answer chan<- *wire.Answer // capacity 1
}

// onAnswer takes an answer. Loop's goroutine.
func (g *manager) onAnswer(from string, f *wire.Answer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	waiting, ok := g.calls[f.Command]
	if !ok || waiting.node != from {
		return
	}
	delete(g.calls, f.Command)
	if p := g.c.loop.peers[from]; p != nil {
		p.storeID, p.nonce = f.StoreID, f.Nonce
	}
	waiting.answer <- f
}
