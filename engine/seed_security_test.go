package engine

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/getevo/rmds/engine/internal/store"
)

// guardedNATS runs a NATS server on which each user may speak as the node of its own name, and as no other.
func guardedNATS(t *testing.T, users ...string) *server.Server {
	t.Helper()
	opts := &server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true}
	for _, u := range users {
		opts.Users = append(opts.Users, &server.User{Username: u, Password: u, Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Allow: []string{"rmds.data.*." + u, "rmds.ack.*." + u, "rmds.keepalive." + u,
				"rmds.keepalive." + u + ".>", "rmds.discovery." + u}},
			Subscribe: &server.SubjectPermission{Allow: []string{"rmds.data." + u + ".*", "rmds.ack." + u + ".*", "rmds.keepalive.>",
				"rmds.discovery.*"}},
		}})
	}
	s, err := server.NewServer(opts)
	check(t, err)
	s.Start()
	t.Cleanup(s.Shutdown)
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("nats-server does not listen")
	}
	return s
}

func as(user string) func(*Config) {
	return func(c *Config) { c.NATS.User, c.NATS.Password = user, user }
}

// waitDenied waits until a node says that NATS refuses it.
func waitDenied(t *testing.T, c *Connection) {
	t.Helper()
	eventually(t, 30*time.Second, "auth_denied is reported", func() bool {
		return slices.ContainsFunc(c.Status().Troubles, func(s string) bool { return strings.HasPrefix(s, "auth: ") })
	})
}

// TestSeedI: with NATS permissions nobody becomes a reader under another's name, sends in another's name, or acknowledges
// what it has not got. mallory has an account of her own and runs a real node with each of these names.
func TestSeedI(t *testing.T) {
	t.Parallel()
	nats := guardedNATS(t, "alice", "bob", "mallory")
	url := nats.ClientURL()
	alice := realNode(t, "alice", url, as("alice"))
	out := alice.Join("x", WriteOnly)

	// i3: bob is not there, and mallory takes his name to acknowledge what is his.
	check(t, out.SendMessage("for bob"))
	falseBob := realNode(t, "bob", url, as("mallory"))
	stolen := collect(t, falseBob.Join("x", ReadOnly, WithStart(StartAll)))
	waitDenied(t, falseBob)
	// i1: a reader that nobody has let in.
	ghost := realNode(t, "ghost", url, as("mallory"))
	leaked := collect(t, ghost.Join("x", ReadOnly, WithStart(StartAll)))
	waitDenied(t, ghost)
	// i2: a message in the name of somebody else.
	ceo := realNode(t, "ceo", url, as("mallory"))
	check(t, ceo.Join("x", WriteOnly).SendMessage("wire the money"))
	waitDenied(t, ceo)

	got := collect(t, realNode(t, "bob", url, as("bob")).Join("x", ReadOnly, WithStart(StartAll)))
	expect(t, got, "for bob", 30*time.Second)
	check(t, out.SendMessage("and this"))
	expect(t, got, "and this", 30*time.Second)
	eventually(t, 30*time.Second, "bob has acknowledged", func() bool { return alice.Status().Queued == 0 })
	if s := alice.Status(); s.Delivered != 2 || len(s.Peers) != 1 || s.Peers[0].Node != "bob" {
		t.Errorf("alice counts %d acknowledgements, and knows %+v", s.Delivered, s.Peers)
	}
	if len(stolen)+len(leaked)+len(got) > 0 {
		t.Errorf("%d messages went to the false bob, %d to the ghost, %d of mallory's to bob", len(stolen), len(leaked), len(got))
	}
}

// TestSeedIChannel: without any permissions a channel's own lists hold: a node that is not in them is neither sent to nor
// listened to, and what it sent is kept as a dead letter.
func TestSeedIChannel(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var got, leaked inbox
		net, a, b := pair(t, func(c *Connection) { c.Join("x", WriteOnly, AllowReaders("b", "b-*")) },
			func(c *Connection) { check(t, c.Join("x", ReadOnly, AllowWriters("a")).OnMessage(got.on)) })
		ghost := newSimNode(t, net, "ghost", leaked.joinX(t))
		ghost.start()
		defer ghost.stop()
		ceo := newSimNode(t, net, "ceo", func(c *Connection) { c.Join("x", WriteOnly, AllowReaders("b")) })
		ceo.start()
		defer ceo.stop()
		sendRange(t, a.conn, 1, 5)
		check(t, ceo.conn.channel("x").SendMessage("wire the money"))
		eventually(t, time.Minute, "b has handled all", func() bool { return got.count() == 5 && b.conn.Status().Dead == 1 })
		time.Sleep(time.Minute)
		got.check(t, 5)
		if leaked.count() > 0 || a.conn.Status().Queued > 0 {
			t.Errorf("%d messages went to the ghost, %d are queued", leaked.count(), a.conn.Status().Queued)
		}
		dead, err := b.conn.st.DeadList(0, 10)
		check(t, err)
		if !slices.ContainsFunc(dead, func(d store.Dead) bool { return d.Sender == "ceo" && d.Reason == "forbidden" }) {
			t.Errorf("dead letters are %+v", dead)
		}
	})
}
