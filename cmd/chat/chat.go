package main

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/getevo/rmds/engine"
)

// chat is a node that talks on one channel.
type chat struct {
	conn *engine.Connection
	ch   *engine.Channel
	room *room
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
	s := c.conn.Status()
	var b strings.Builder
	switch name {
	case "/stats":
		fmt.Fprintf(&b, "Delivered: %d\nQueued: %d\nDropped: %d\nReceived: %d\n", s.Delivered, s.Queued, s.Dead, s.Handled)
		fmt.Fprintf(&b, "NATS: %s\n", connection(s.Connected))
	case "/nodes":
		fmt.Fprintf(&b, "%s (this node)\n", s.Node)
		for _, p := range s.Peers {
			fmt.Fprintf(&b, "%s %s, last heard %s\n", p.Node, online(p.Online), ago(p.LastHeard))
		}
	case "/topology":
		for _, ch := range s.Channels {
			fmt.Fprintf(&b, "%s: %s (this node), %s\n", ch.Name, s.Node, ch.Role)
		}
		for _, p := range s.Peers {
			for _, r := range p.Readers {
				if r.Channel != "" {
					fmt.Fprintf(&b, "%s: %s -> %s (%s), %d waiting\n", r.Channel, s.Node, p.Node, online(p.Online), r.Queued)
				}
			}
			if len(p.Readers) == 0 {
				fmt.Fprintf(&b, "%s (%s)\n", p.Node, online(p.Online))
			}
		}
	default:
		return "", false
	}
	return b.String(), true
}

const commandHelp = "commands are /stats, /nodes, /topology and /quit"

func connection(up bool) string {
	if up {
		return "connected"
	}
	return "not connected"
}

func online(up bool) string {
	if up {
		return "online"
	}
	return "offline"
}

func ago(t time.Time) string {
	if t.IsZero() {
		return "never since the start"
	}
	return time.Since(t).Round(time.Second).String() + " ago"
}
