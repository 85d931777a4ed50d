package main

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/getevo/rmds/engine"
)

// chat is a node that talks on one channel.
type chat struct {
	conn *engine.Connection
	ch   *engine.Channel
	room *room

	sending sync.Mutex // so that what is shown is in the order of sending
}

// open starts the node. It does not wait for NATS: what is typed meanwhile is sent when it comes.
func open(o *options) (*chat, error) {
	c := &chat{room: newRoom()}
	config := engine.DefaultConfig()
	config.NodeID = o.nodeID
	config.Logger = slog.New(slog.DiscardHandler) // what matters comes as events, into the conversation
	config.OnEvent = c.event
	var err error
	if c.conn, err = engine.New(config, engine.SetNATS(o.nats)); err != nil {
		return nil, err
	}
	c.ch = c.conn.Join(o.channel, o.role)
	if err = c.ch.Err(); err == nil && o.role != engine.WriteOnly {
		err = c.ch.OnMessage(c.received)
	}
	if err != nil {
		_ = c.conn.Close() // the first error says more
		return nil, err
	}
	return c, nil
}

func (c *chat) close() error { return c.conn.Close() }

// received shows a message and acknowledges it. Only then does the sender count it as delivered.
func (c *chat) received(m *engine.Message) {
	c.room.add(line{At: m.CreatedAt, Sender: m.Sender, Text: string(m.Data)})
	if err := m.Ack(); err != nil {
		c.say("a message could not be acknowledged: " + err.Error())
	}
}

// send stores a message and shows it: a node does not receive its own. nil means that every reader will get it.
func (c *chat) send(text string) error {
	c.sending.Lock()
	defer c.sending.Unlock()
	at := time.Now()
	if err := c.ch.SendMessage(text); err != nil {
		return err
	}
	c.room.add(line{At: at, Sender: c.conn.NodeID(), Text: text, Own: true})
	return nil
}

// say shows something that the program itself has to say.
func (c *chat) say(text string) { c.room.add(line{At: time.Now(), Text: text}) }

// event shows what a user should know.
func (c *chat) event(e engine.Event) {
	switch e.Kind {
	case "connected":
		c.say("connected to NATS")
	case "disconnected":
		c.say("NATS is away: messages wait on this node's disk")
	case "member_joined":
		if e.Channel != "" {
			c.say(e.Node + " reads this channel")
		}
	case "member_left", "gap", "dead_letter", "identity_conflict", "auth_denied", "storage_failed", "storage_ok":
		c.say(strings.TrimSpace(strings.ReplaceAll(e.Kind, "_", " ") + ": " + e.Node + " " + e.Text))
	}
}

// command answers one of the commands; ok is false if there is none of that name.
func (c *chat) command(name string) (answer string, ok bool) {
	var b strings.Builder
	switch name {
	case "/stats":
		stats := c.conn.Mgmt.Statistic()
		fmt.Fprintf(&b, "Delivered: %d\nQueued: %d\nDropped: %d\n", stats["delivered"], stats["queued"], stats["dropped"])
	case "/nodes":
		for _, n := range c.conn.Mgmt.Nodes() {
			fmt.Fprintf(&b, "%s %s\n", n.ID, presence(n))
		}
	case "/topology":
		for _, ch := range c.conn.Mgmt.Topology().Channels {
			fmt.Fprintf(&b, "%s: %s -> %s\n", ch.Name, nodes(ch.Writers), nodes(ch.Readers))
		}
	default:
		return "", false
	}
	return b.String(), true
}

const commandHelp = "commands are /stats, /nodes, /topology and /quit"

// presence says what is known of a node's whereabouts.
func presence(n engine.Node) string {
	switch {
	case n.Self:
		return "(this node)"
	case n.Online:
		return "online"
	case n.LastHeard.IsZero():
		return "offline, not heard since the start"
	}
	return "offline, last heard " + time.Since(n.LastHeard).Round(time.Second).String() + " ago"
}

// nodes names the nodes at one end of a channel.
func nodes(ids []string) string {
	if len(ids) == 0 {
		return "nobody"
	}
	return strings.Join(ids, ", ")
}
