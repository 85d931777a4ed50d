package main

import (
	"context"
	"fmt"
	"time"
)

// orderTimeout is generous: it only keeps a run from hanging.
const orderTimeout = 120.0

// transfer sends n messages as s is told to and returns what both sides saw. do is "burst" or "pace".
func (s *setup) transfer(send order, detail string) (sent, received answer, err error) {
	send.Timeout = orderTimeout
	if err := s.receiver.enc.Encode(order{Do: detail, N: send.N, Timeout: orderTimeout}); err != nil {
		return sent, received, err
	}
	if sent, err = s.sender.exchange(send); err != nil {
		return sent, received, err
	}
	received, err = s.receiver.answer()
	return sent, received, err
}

// warm brings links, files and caches to where they are in steady use.
func (s *setup) warm() error {
	_, _, err := s.transfer(order{Do: "burst", N: s.scaled(20_000), Window: s.window()}, "count")
	return err
}

// scaled is fewer messages for what fsyncs each of them.
func (s *setup) scaled(n int) int {
	if s.slow {
		return max(n/20, 200)
	}
	return n
}

// window is how many messages a sender has handed over and not seen accepted. Brokers of MQTT end the connection of a
// client that has more than their max_inflight_messages.
func (s *setup) window() int {
	if s.client == "mqtt" {
		return 1000
	}
	return 4096
}

// rates is one round of a system.
type rates struct {
	PerSecond     float64 // sent, handled and acknowledged
	P50, P99      float64 // at 1,000/s, from sending to the handler's start, milliseconds
	Accept50      float64 // at 1,000/s, until accepted
	Single, Many  float64 // accepted per second by one caller, and by 256
	CPU           float64 // microseconds of all processes per message at full speed
	SendWritten   float64 // bytes written by the sender's process per message at full speed
	ServerWritten float64 // by all servers
	RecvWritten   float64 // by the readers
}

func measureRates(t tools, sys system, n int) (r rates, err error) {
	s, err := sys.start(t, 1, false)
	if err != nil {
		return r, err
	}
	defer s.stop()
	if err := s.warm(); err != nil {
		return r, err
	}
	n = s.scaled(n)
	before, err := s.usage()
	if err != nil {
		return r, err
	}
	sent, received, err := s.transfer(order{Do: "burst", N: n, Window: s.window()}, "count")
	if err != nil {
		return r, err
	}
	after, err := s.usage()
	if err != nil {
		return r, err
	}
	per := func(f func(usage) float64, side int) float64 { return (f(after[side]) - f(before[side])) / float64(n) }
	written := func(u usage) float64 { return float64(u.Written) }
	for side := range after {
		r.CPU += per(func(u usage) float64 { return float64(u.CPU.Microseconds()) }, side)
	}
	r.SendWritten, r.ServerWritten, r.RecvWritten = per(written, 0), per(written, 1), per(written, 2)
	r.PerSecond = float64(n) / seconds(max(sent.Last, received.Accepted)-sent.First)

	paced, seen, err := s.transfer(order{Do: "pace", N: 4000, Rate: 1000}, "latencies")
	if err != nil {
		return r, err
	}
	warmUp := len(seen.Latencies) / 10
	r.P50, r.P99 = quantile(seen.Latencies[warmUp:], 0.5)/1000, quantile(seen.Latencies[warmUp:], 0.99)/1000
	r.Accept50 = quantile(paced.Latencies, 0.5) / 1000
	for _, c := range []struct {
		callers, n int
		rate       *float64
	}{{1, 2000, &r.Single}, {256, 50_000, &r.Many}} {
		c.n = max(s.scaled(c.n), 2000)
		a, _, err := s.transfer(order{Do: "single", N: c.n, Window: c.callers}, "count")
		if err != nil {
			return r, err
		}
		*c.rate = float64(c.n) / seconds(a.Accepted-a.First)
	}
	return r, nil
}

func seconds(ns int64) float64 { return float64(ns) / 1e9 }

// usage of sender, all servers and receiver.
func (s *setup) usage() (u [3]usage, err error) {
	if u[0], err = usageOf(s.sender.cmd.Process.Pid); err != nil {
		return u, err
	}
	if u[2], err = usageOf(s.receiver.cmd.Process.Pid); err != nil {
		return u, err
	}
	for _, srv := range s.servers {
		one, err := usageOf(srv.proc.cmd.Process.Pid)
		if err != nil {
			return u, err
		}
		u[1].CPU, u[1].RSS, u[1].Written = u[1].CPU+one.CPU, u[1].RSS+one.RSS, u[1].Written+one.Written
	}
	return u, nil
}

// recovery is one outage.
type recovery struct {
	First float64 // seconds from the hub's return to the first message handled
	Drain float64 // backlog per second from then on
	Again float64 // messages handled a second time
}

// measureRecovery kills the hub, lets the box accept a backlog, starts the hub again and watches.
func measureRecovery(t tools, sys system, backlog int, outage time.Duration) (r recovery, err error) {
	s, err := sys.start(t, 1, false)
	if err != nil {
		return r, err
	}
	defer s.stop()
	if err := s.warm(); err != nil {
		return r, err
	}
	backlog = s.scaled(backlog)
	hub := s.servers[0]
	hub.proc.kill()
	down := time.Now()
	// The sender cannot be drained before the hub is back: its answer is read afterwards.
	if err := s.receiver.enc.Encode(order{Do: "count", N: backlog, Timeout: orderTimeout}); err != nil {
		return r, err
	}
	if err := s.sender.enc.Encode(order{Do: "burst", N: backlog, Window: s.window(), Timeout: orderTimeout}); err != nil {
		return r, err
	}
	time.Sleep(time.Until(down.Add(outage)))
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := hub.start(ctx); err != nil {
		return r, err
	}
	back := time.Now().UnixNano()
	received, err := s.receiver.answer()
	if err != nil {
		return r, err
	}
	sent, err := s.sender.answer()
	if err != nil {
		return r, err
	}
	if s.client != "mqtt" && sent.Accepted > back { // the backlog was not there when the hub came back
		return r, fmt.Errorf("the backlog took %.1f s to be accepted: lengthen the outage", seconds(sent.Accepted-sent.First))
	}
	r.First = seconds(received.First - back)
	r.Drain = float64(backlog) / seconds(received.Last-received.First)
	r.Again = float64(received.Repeated)
	return r, nil
}

// measureFanOut returns deliveries per second, and what the sender's database or the server's store grew by per message.
func measureFanOut(t tools, sys system, readers, n int) (perSecond float64, cpu float64, err error) {
	s, err := sys.start(t, readers, false)
	if err != nil {
		return 0, 0, err
	}
	defer s.stop()
	if err := s.warm(); err != nil {
		return 0, 0, err
	}
	before, err := s.usage()
	if err != nil {
		return 0, 0, err
	}
	sent, received, err := s.transfer(order{Do: "burst", N: n, Window: s.window()}, "count")
	if err != nil {
		return 0, 0, err
	}
	after, err := s.usage()
	if err != nil {
		return 0, 0, err
	}
	for side := range after {
		cpu += float64((after[side].CPU - before[side].CPU).Microseconds())
	}
	deliveries := float64(n * readers)
	return deliveries / seconds(max(sent.Last, received.Accepted)-sent.First), cpu / deliveries, nil
}

// traffic is what the box's connection to the hub carries per message, both ways, protocol included.
type traffic struct{ Steady, Full float64 }

func measureTraffic(t tools, sys system, n int) (r traffic, err error) {
	s, err := sys.start(t, 1, true)
	if err != nil {
		return r, err
	}
	defer s.stop()
	if err := s.warm(); err != nil {
		return r, err
	}
	for _, c := range []struct {
		o    order
		into *float64
	}{{order{Do: "pace", N: 10_000, Rate: 1000}, &r.Steady}, {order{Do: "burst", N: s.scaled(n), Window: s.window()}, &r.Full}} {
		before := s.uplink.bytes()
		if _, _, err := s.transfer(c.o, "count"); err != nil {
			return r, err
		}
		*c.into = float64(s.uplink.bytes()-before) / float64(c.o.N)
	}
	return r, nil
}
