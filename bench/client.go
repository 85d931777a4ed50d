package main

import (
	"context"
	"fmt"
)

// sender is the writing side of a system.
type sender interface {
	// send hands a message over; the returned function waits until the system has accepted it, whatever that means there.
	send(content []byte) (wait func(context.Context) error, err error)
	// drained waits until everything accepted has been acknowledged by the readers, as far as the sending side can know.
	drained(ctx context.Context) error
	close() error
}

// receiver is the reading side: n readers, each of which gets every message.
type receiver interface {
	// settled waits until the acknowledgements of everything handled have taken effect, as far as that can be known.
	settled(ctx context.Context, perReader int) error
	close() error
}

// clientConfig says what a worker connects to.
type clientConfig struct {
	Client  string // rmds, jetstream, mqtt
	Variant string // of the client: see newSender and newReceiver
	URL     string
	Dir     string
	Readers int
	QoS     byte
	Size    int
	Guest   string // file of the module that is measured
}

func newSender(c clientConfig) (sender, error) {
	switch c.Client {
	case "rmds":
		return newRMDSSender(c)
	case "jetstream":
		return newJetStreamSender(c)
	case "mqtt":
		return newMQTTSender(c)
	}
	return nil, fmt.Errorf("no client %q", c.Client)
}

// newReceiver connects readers that call handle, from any goroutine, for every message before it is acknowledged.
func newReceiver(c clientConfig, handle func(reader int, content []byte)) (receiver, error) {
	switch c.Client {
	case "rmds":
		return newRMDSReceiver(c, handle)
	case "jetstream":
		return newJetStreamReceiver(c, handle)
	case "mqtt":
		return newMQTTReceiver(c, handle)
	}
	return nil, fmt.Errorf("no client %q", c.Client)
}
