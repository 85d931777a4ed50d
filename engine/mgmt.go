package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/getevo/rmds/engine/internal/wire"
)

// Mgmt shows the nodes around this one and commands them. Its methods may be called from any goroutine.
//
// A command to several nodes is one command to each. The answers say by name what became of it. The error lists, wrapped
// with ErrRefused or ErrNoAnswer, who refused or failed and who is online and did not answer within ten seconds; nodes
// that are offline are in the answers alone. Every node that obeys or refuses keeps that in its Audit.
//
// Where nodes list Operators, commands need the signature of one of them: see Config.Operator.
type Mgmt struct{ c *Connection }

// Self names this node in the purges.
const Self = "@self"

// Answer is what one node said to a command.
type Answer struct {
	Node    string `json:"node"`
	Outcome string `json:"outcome"` // done, refused, failed, "no answer" or offline
	Text    string `json:"text,omitempty"`
	Count   int64  `json:"count"` // messages purged; orders about kicks that were news
}

// Outcomes of commands that nobody has answered.
const (
	outcomeSilent  = "no answer"
	outcomeOffline = "offline"
)

// Kick throws a node out altogether, until Unkick: every node ends its memberships and makes dead letters of what it was
// owed, opens no link to it and accepts none from it; the node itself leaves its channels and refuses its program's sends
// with ErrKicked. It is durable everywhere. Nodes that are offline learn of it from the first node that they meet.
func (m *Mgmt) Kick(node string) ([]Answer, error) { return m.kick(node, false, wire.KickNode) }

// KickChannel throws a node out of channels, none meaning all of them, as reader and as writer, until Unkick: what it still
// sends there becomes dead letters at its readers. It is durable and known to all as Kick is.
func (m *Mgmt) KickChannel(node string, channels ...string) ([]Answer, error) {
	if len(channels) == 0 {
		channels = []string{wire.KickChannels}
	}
	for _, channel := range channels {
		if channel == wire.KickChannels {
			continue
		}
		if err := CheckChannel(channel); err != nil {
			return nil, err
		}
	}
	return m.kick(node, false, channels...)
}

// Unkick undoes kicks: those from the channels named, or, if none is, every kick of the node that this one knows of. The
// node reads its channels again, from now on.
func (m *Mgmt) Unkick(node string, channels ...string) ([]Answer, error) {
	out := m.c.kicks.outOf(node)
	if len(channels) == 0 {
		channels = out
	}
	for _, channel := range channels {
		if !slices.Contains(out, channel) {
			return nil, fmt.Errorf("%w: node %s is not kicked out of channel %q", ErrNotFound, node, channel)
		}
	}
	if len(channels) == 0 {
		return nil, fmt.Errorf("%w: node %s is not kicked", ErrNotFound, node)
	}
	return m.kick(node, true, channels...)
}

// kick gives the orders at this node, and hands them to all that are online.
func (m *Mgmt) kick(node string, lifted bool, channels ...string) ([]Answer, error) {
	if err := CheckNodeID(node); err != nil {
		return nil, err
	}
	c := m.c
	orders := make([]wire.Kick, len(channels))
	stamp := c.kicks.stamp(c.wall())
	for i, channel := range channels {
		orders[i] = wire.Kick{Node: node, Channel: channel, Lifted: lifted, Stamp: stamp, By: c.cfg.NodeID}
		if err := c.sign(wire.KickText(c.cfg.NATSPrefix, &orders[i]), &orders[i].Key, &orders[i].Signature); err != nil {
			return nil, err
		}
	}
	return m.command(nil, wire.ActionKick, orders)
}

// PurgeAll does PurgeQueue and PurgeSent at the nodes named, none meaning all of them, and discards as well what no reader
// was ever seen for.
func (m *Mgmt) PurgeAll(nodes ...string) ([]Answer, error) {
	return m.purge(wire.ActionPurgeAll, nodes)
}

// PurgeSent deletes, at the nodes named, none meaning all of them, what every known reader has acknowledged and is only
// kept for late readers. The log is deleted from its beginning: what lies behind a message that somebody still waits for
// stays.
func (m *Mgmt) PurgeSent(nodes ...string) ([]Answer, error) {
	return m.purge(wire.ActionPurgeSent, nodes)
}

// PurgeQueue takes out of the queues of the nodes named, none meaning all of them, what their readers have not
// acknowledged: it becomes dead letters, and the readers are told of the gap. Name Self for this node's own queues.
func (m *Mgmt) PurgeQueue(nodes ...string) ([]Answer, error) {
	return m.purge(wire.ActionPurgeQueue, nodes)
}

func (m *Mgmt) purge(action string, nodes []string) ([]Answer, error) {
	named := make([]string, len(nodes))
	for i, node := range nodes {
		if named[i] = node; node == Self {
			named[i] = m.c.cfg.NodeID
		}
		if err := CheckNodeID(named[i]); err != nil {
			return nil, err
		}
	}
	slices.Sort(named)
	return m.command(slices.Compact(named), action, nil)
}

// sign puts the operator's key and signature under a text, if there is an operator.
func (c *Connection) sign(text []byte, key *string, signature *[]byte) (err error) {
	if c.cfg.Operator == nil {
		return nil
	}
	if *key, err = c.cfg.Operator.PublicKey(); err == nil {
		*signature, err = c.cfg.Operator.Sign(text)
	}
	if err != nil {
		return fmt.Errorf("rmds: sign as operator: %w", err)
	}
	return nil
}

// answersError is the error that goes with answers.
func answersError(answers []Answer) error {
	var refused, silent []string
	for _, a := range answers {
		switch a.Outcome {
		case wire.OutcomeRefused, wire.OutcomeFailed, wire.OutcomeStale:
			refused = append(refused, a.Node+" ("+a.Text+")")
		case outcomeSilent:
			silent = append(silent, a.Node)
		}
	}
	var errs []error
	if len(refused) > 0 {
		errs = append(errs, fmt.Errorf("%w: %s", ErrRefused, strings.Join(refused, ", ")))
	}
	if len(silent) > 0 {
		errs = append(errs, fmt.Errorf("%w: %s", ErrNoAnswer, strings.Join(silent, ", ")))
	}
	return errors.Join(errs...)
}
