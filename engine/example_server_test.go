package engine_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	rmds "github.com/getevo/rmds/engine"
)

// network is what the examples run against: a NATS server in this process, and nodes with databases in a directory that
// is removed in the end.
type network struct {
	nats  *server.Server
	dir   string
	nodes []*rmds.Connection
}

func startNetwork() *network {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true})
	must(err)
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		panic("the NATS server does not listen")
	}
	dir, err := os.MkdirTemp("", "rmds-example")
	must(err)
	return &network{nats: s, dir: dir}
}

// config is the default configuration, for this network.
func (n *network) config() *rmds.Config {
	config := rmds.DefaultConfig()
	config.NATSServers = []string{n.nats.ClientURL()}
	config.StoragePath = filepath.Join(n.dir, "rmds-{nodeID}.db")
	config.Logger = slog.New(slog.DiscardHandler)
	return config
}

// connect starts a node.
func (n *network) connect(id string) *rmds.Connection {
	c, err := rmds.New(n.config(), rmds.SetID(id))
	must(err)
	n.nodes = append(n.nodes, c)
	return c
}

func (n *network) stop() {
	for _, c := range n.nodes {
		must(c.Close())
	}
	n.nats.Shutdown()
	must(os.RemoveAll(n.dir))
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
