package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	streamName    = "READINGS"
	streamSubject = "readings"
	edgeDomain    = "edge" // JetStream domain of the edge's server in a leaf topology
	hubDomain     = "hub"
)

// jsConnect connects for good, as an edge application would.
func jsConnect(url string) (*nats.Conn, error) {
	return nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond), nats.RetryOnFailedConnect(true))
}

type jsSender struct {
	nc *nats.Conn
	js jetstream.JetStream
}

func newJetStreamSender(c clientConfig) (sender, error) {
	nc, err := jsConnect(c.URL)
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(4096))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err = js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: streamName, Subjects: []string{streamSubject}, Storage: jetstream.FileStorage})
	return &jsSender{nc, js}, err
}

func (s *jsSender) send(content []byte) (func(context.Context) error, error) {
	f, err := s.js.PublishAsync(streamSubject, content, jetstream.WithStallWait(10*time.Second))
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		select {
		case <-f.Ok():
			return nil
		case err := <-f.Err():
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}, nil
}

// drained waits for the server's answers; of the readers the sender knows nothing.
func (s *jsSender) drained(ctx context.Context) error {
	select {
	case <-s.js.PublishAsyncComplete():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *jsSender) close() error { s.nc.Close(); return nil }

// jsReceiver is a set of durable consumers that acknowledge each message explicitly.
type jsReceiver struct {
	nc        *nats.Conn
	consumers []jetstream.Consumer
	stops     []jetstream.ConsumeContext
}

// newJetStreamReceiver reads from the sender's stream, or with variant "hub" from a stream at the hub that sources it.
func newJetStreamReceiver(c clientConfig, handle func(int, []byte)) (receiver, error) {
	nc, err := jsConnect(c.URL)
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cfg := jetstream.StreamConfig{Name: streamName, Subjects: []string{streamSubject}, Storage: jetstream.FileStorage}
	if c.Variant == "hub" {
		cfg.Name, cfg.Subjects = streamName+"_HUB", nil
		cfg.Sources = []*jetstream.StreamSource{{Name: streamName, External: &jetstream.ExternalStream{APIPrefix: "$JS." + edgeDomain + ".API"}}}
	}
	stream, err := js.CreateOrUpdateStream(ctx, cfg)
	if err != nil {
		return nil, err
	}
	r := &jsReceiver{nc: nc}
	for i := range c.Readers {
		consumer, err := stream.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{Durable: fmt.Sprintf("reader%d", i),
			AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 20_000})
		if err != nil {
			return nil, err
		}
		stop, err := consumer.Consume(func(m jetstream.Msg) {
			handle(i, m.Data())
			_ = m.Ack() // a lost acknowledgement shows in settled
		}, jetstream.PullMaxMessages(5000))
		if err != nil {
			return nil, err
		}
		r.consumers, r.stops = append(r.consumers, consumer), append(r.stops, stop)
	}
	return r, nil
}

// settled asks the server until every consumer's acknowledgements have arrived.
func (r *jsReceiver) settled(ctx context.Context, perReader int) error {
	for _, c := range r.consumers {
		for {
			info, err := c.Info(ctx)
			if err == nil && info.NumAckPending == 0 && info.AckFloor.Consumer >= uint64(perReader) {
				break
			}
			if ctx.Err() != nil {
				return errors.Join(fmt.Errorf("acknowledgements are missing"), err)
			}
			time.Sleep(time.Millisecond)
		}
	}
	return nil
}

func (r *jsReceiver) close() error {
	for _, s := range r.stops {
		s.Stop()
	}
	r.nc.Close()
	return nil
}
