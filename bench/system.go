package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// system is one way to carry messages.
type system struct {
	name     string
	accepted string // what is on disk when a send has returned
	edge     bool   // the sending box can accept while the hub is away
	client   string
	receive  string // variant of the receiving client
	topology func(*setup) error
	qos      byte
	sync     bool // JetStream: sync_interval always
	readers  bool // is part of the fan-out measurement
	slow     bool // an fsync a message: fewer messages
}

const (
	inMemory  = "in the server's memory; fsync every 2 min"
	inBroker  = "in the broker's memory; file on exit and every 30 min"
	onDisk    = "fsynced by the server"
	inOurFile = "fsynced by the sending node"
)

// systems are measured in this order. The first is what the others are compared with.
var systems = []system{
	{name: "RMDS", accepted: inOurFile, edge: true, client: "rmds", topology: plainNATS, readers: true},
	{name: "RMDS, WASM handler", accepted: inOurFile, edge: true, client: "rmds", receive: "wasm", topology: plainNATS},
	{name: "JetStream", accepted: inMemory, client: "jetstream", topology: oneJetStream, readers: true},
	{name: "JetStream, sync always", accepted: onDisk, client: "jetstream", topology: oneJetStream, sync: true, slow: true},
	{name: "JetStream leaf → hub", accepted: inMemory, edge: true, client: "jetstream", receive: "hub", topology: leafAndHub},
	{name: "JetStream leaf → hub, sync always", accepted: onDisk, edge: true, client: "jetstream", receive: "hub", topology: leafAndHub, sync: true, slow: true},
	{name: "MQTT QoS 1", accepted: inBroker, client: "mqtt", topology: oneBroker, qos: 1, readers: true},
	{name: "MQTT QoS 2", accepted: inBroker, client: "mqtt", topology: oneBroker, qos: 2},
	{name: "MQTT bridge, QoS 1", accepted: inBroker, edge: true, client: "mqtt", topology: bridge, qos: 1},
}

// tools are the programs that are measured.
type tools struct {
	natsServer string
	mosquitto  string // "" where it is not installed
	guest      string // the WASM handler
	node       string // rmds-node as it is released
}

// server is a program that can be killed and started again with its disk and its port.
type server struct {
	name string
	port int
	args []string
	dir  string
	proc *process
}

func (s *server) start(ctx context.Context) (err error) {
	if s.proc, err = startProcess(s.dir, s.name, nil, nil, s.args...); err != nil {
		return err
	}
	return reachable(ctx, s.port, s.proc)
}

// setup is a running system: its servers, from the hub outwards, and where the two clients connect.
type setup struct {
	system
	tools    tools
	dir      string
	servers  []*server // the first is the hub, whose loss is the outage
	sendURL  string
	recvURL  string
	metered  bool   // count the bytes of the box's connection to the hub
	uplink   *meter // nil unless metered
	sender   *worker
	receiver *worker
}

// start brings the system up: servers, readers, then the sender.
func (sys system) start(t tools, readers int, metered bool, prefix ...string) (_ *setup, err error) {
	dir, err := os.MkdirTemp("", "rmds-peers-")
	if err != nil {
		return nil, err
	}
	s := &setup{system: sys, tools: t, dir: dir, metered: metered}
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	if err := sys.topology(s); err != nil {
		return nil, fmt.Errorf("%s: %w", sys.name, err)
	}
	cfg := clientConfig{Client: sys.client, Variant: sys.receive, URL: s.recvURL, Dir: dir, Readers: readers, QoS: sys.qos, Size: messageSize, Guest: t.guest}
	if sys.receive == "hub" { // the stream that the hub sources must be there first
		if s.sender, err = s.startSender(cfg, prefix...); err != nil {
			return nil, err
		}
	}
	if s.receiver, err = startWorker(dir, "receive", cfg, prefix...); err != nil {
		return nil, err
	}
	if s.sender == nil {
		s.sender, err = s.startSender(cfg, prefix...)
	}
	return s, err
}

func (s *setup) startSender(cfg clientConfig, prefix ...string) (*worker, error) {
	cfg.URL, cfg.Variant = s.sendURL, ""
	return startWorker(s.dir, "send", cfg, prefix...)
}

// stop ends everything and removes its files.
func (s *setup) stop() {
	for _, w := range []*worker{s.sender, s.receiver} {
		if w != nil {
			w.close()
		}
	}
	for _, srv := range s.servers {
		if srv.proc != nil {
			srv.proc.kill()
		}
	}
	if s.uplink != nil {
		s.uplink.close()
	}
	_ = os.RemoveAll(s.dir)
}

// add starts a server whose arguments need its port and its directory.
func (s *setup) add(name string, args func(port int, dir string) ([]string, error)) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	srv := &server{name: name, port: port, dir: filepath.Join(s.dir, name)}
	if err := os.MkdirAll(srv.dir, 0o700); err != nil {
		return nil, err
	}
	if srv.args, err = args(port, srv.dir); err != nil {
		return nil, err
	}
	s.servers = append(s.servers, srv)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return srv, srv.start(ctx)
}

// up returns the port at which the box reaches the hub's port: its own, or that of a meter before it.
func (s *setup) up(port int) (int, error) {
	if !s.metered {
		return port, nil
	}
	m, err := startMeter(port)
	if err != nil {
		return 0, err
	}
	s.uplink = m
	return m.port(), nil
}
