package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

const topic = "readings"

func mqttConnect(c clientConfig, id string, ready func(mqtt.Client)) (mqtt.Client, error) {
	o := mqtt.NewClientOptions().AddBroker(c.URL).SetClientID(id).SetCleanSession(false).SetAutoReconnect(true).
		SetMaxReconnectInterval(200 * time.Millisecond).SetConnectRetry(true).SetConnectRetryInterval(100 * time.Millisecond).
		SetMessageChannelDepth(4096).SetOrderMatters(true)
	if ready != nil {
		o.SetOnConnectHandler(ready)
	}
	client := mqtt.NewClient(o)
	return client, finish(context.Background(), client.Connect())
}

func finish(ctx context.Context, t mqtt.Token) error {
	select {
	case <-t.Done():
		return t.Error()
	case <-ctx.Done():
		return ctx.Err()
	}
}

type mqttSender struct {
	client mqtt.Client
	qos    byte
}

func newMQTTSender(c clientConfig) (sender, error) {
	client, err := mqttConnect(c, "sender", nil)
	return &mqttSender{client, c.QoS}, err
}

func (s *mqttSender) send(content []byte) (func(context.Context) error, error) {
	t := s.client.Publish(topic, s.qos, false, content)
	return func(ctx context.Context) error { return finish(ctx, t) }, nil
}

// drained returns at once: every message was waited for already, and of the readers the sender knows nothing.
func (s *mqttSender) drained(context.Context) error { return nil }

func (s *mqttSender) close() error { s.client.Disconnect(250); return nil }

type mqttReceiver struct{ clients []mqtt.Client }

func newMQTTReceiver(c clientConfig, handle func(int, []byte)) (receiver, error) {
	r := &mqttReceiver{}
	for i := range c.Readers {
		subscribed := make(chan error, 1)
		client, err := mqttConnect(c, fmt.Sprintf("reader%d", i), func(client mqtt.Client) {
			t := client.Subscribe(topic, c.QoS, func(_ mqtt.Client, m mqtt.Message) { handle(i, m.Payload()) })
			go func() {
				<-t.Done()
				select {
				case subscribed <- t.Error():
				default: // a later connection
				}
			}()
		})
		if err == nil {
			err = <-subscribed
		}
		if err != nil {
			return nil, errors.Join(err, r.close())
		}
		r.clients = append(r.clients, client)
	}
	return r, nil
}

// settled returns at once: the client acknowledges by itself, and nobody tells when that has arrived.
func (r *mqttReceiver) settled(context.Context, int) error { return nil }

func (r *mqttReceiver) close() error {
	for _, c := range r.clients {
		c.Disconnect(250)
	}
	return nil
}
