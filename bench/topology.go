package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// natsServer starts a nats-server from the lines of a configuration.
func (s *setup) natsServer(name string, lines func(port int, dir string) string) (*server, error) {
	return s.add(name, func(port int, dir string) ([]string, error) {
		file := filepath.Join(dir, "nats.conf")
		text := fmt.Sprintf("listen: \"127.0.0.1:%d\"\nserver_name: %s\n%s", port, name, lines(port, dir))
		return []string{s.tools.natsServer, "-c", file}, os.WriteFile(file, []byte(text), 0o600)
	})
}

func (s *setup) jetStream(dir, domain string) string {
	always := ""
	if s.sync {
		always = "sync_interval: always"
	}
	if domain != "" {
		domain = "domain: " + domain
	}
	return fmt.Sprintf("jetstream { store_dir: %q\n%s\n%s\n}\n", dir, domain, always)
}

func natsURL(port int) string { return fmt.Sprintf("nats://127.0.0.1:%d", port) }

// plainNATS: sender and readers on one server without JetStream.
func plainNATS(s *setup) error {
	srv, err := s.natsServer("nats", func(int, string) string { return "" })
	if err != nil {
		return err
	}
	return s.both(srv, natsURL)
}

// oneJetStream: one stream on one server.
func oneJetStream(s *setup) error {
	srv, err := s.natsServer("nats", func(_ int, dir string) string { return s.jetStream(dir, "") })
	if err != nil {
		return err
	}
	return s.both(srv, natsURL)
}

// leafAndHub: a stream on the edge's server, sourced by a stream at the hub, where the readers are.
func leafAndHub(s *setup) error {
	leaf, err := freePort()
	if err != nil {
		return err
	}
	hub, err := s.natsServer("hub", func(_ int, dir string) string {
		return s.jetStream(dir, hubDomain) + fmt.Sprintf("leafnodes { listen: \"127.0.0.1:%d\" }\n", leaf)
	})
	if err != nil {
		return err
	}
	up, err := s.up(leaf)
	if err != nil {
		return err
	}
	edge, err := s.natsServer("edge", func(_ int, dir string) string {
		return s.jetStream(dir, edgeDomain) + fmt.Sprintf("leafnodes { remotes: [{ url: \"nats-leaf://127.0.0.1:%d\" }] }\n", up)
	})
	if err != nil {
		return err
	}
	s.sendURL, s.recvURL = natsURL(edge.port), natsURL(hub.port)
	return nil
}

// broker starts mosquitto with persistence and without limits on its queues.
func (s *setup) broker(name, more string) (*server, error) {
	return s.add(name, func(port int, dir string) ([]string, error) {
		file := filepath.Join(dir, "mosquitto.conf")
		text := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location %s/\n"+
			"max_queued_messages 0\nmax_inflight_messages 2000\nlog_dest stderr\nlog_type error\n", port, dir)
		if os.Geteuid() == 0 {
			text += "user root\n"
		}
		return []string{s.tools.mosquitto, "-c", file}, os.WriteFile(file, []byte(text+more), 0o600)
	})
}

func brokerURL(port int) string { return fmt.Sprintf("tcp://127.0.0.1:%d", port) }

// oneBroker: sender and readers on one broker.
func oneBroker(s *setup) error {
	srv, err := s.broker("broker", "")
	if err != nil {
		return err
	}
	return s.both(srv, brokerURL)
}

// bridge: a broker at the edge that forwards to one at the hub, where the readers are.
func bridge(s *setup) error {
	hub, err := s.broker("hub", "")
	if err != nil {
		return err
	}
	up, err := s.up(hub.port)
	if err != nil {
		return err
	}
	edge, err := s.broker("edge", fmt.Sprintf("connection up\naddress 127.0.0.1:%d\ntopic # out 1\ncleansession false\n"+
		"restart_timeout 1 1\nnotifications false\ntry_private false\n", up))
	if err != nil {
		return err
	}
	s.sendURL, s.recvURL = brokerURL(edge.port), brokerURL(hub.port)
	return nil
}

// both lets the two clients meet at one server.
func (s *setup) both(srv *server, url func(port int) string) error {
	up, err := s.up(srv.port)
	s.sendURL, s.recvURL = url(up), url(srv.port)
	return err
}
