package bus_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/getevo/rmds/engine/internal/bus"
)

// BenchmarkPublish measures messages from one client over a server on the loopback interface to another. No
// more than the window is on its way.
func BenchmarkPublish(b *testing.B) {
	for _, size := range []int{256, 32 << 10} {
		b.Run(fmt.Sprintf("NATS/%d", size), func(b *testing.B) {
			s := startServer(b, nil)
			from := newClient(connectNATS(b, bus.NATSOptions{Servers: []string{s.url}}))
			to := newClient(connectNATS(b, bus.NATSOptions{Servers: []string{s.url}}))
			from.expect(b, bus.Connected)
			to.expect(b, bus.Connected)
			benchmarkPublish(b, from, to, size)
		})
		b.Run(fmt.Sprintf("Network/%d", size), func(b *testing.B) {
			n := bus.NewNetwork(1)
			from, to := n.Connect("from"), n.Connect("to")
			defer from.Close()
			defer to.Close()
			benchmarkPublish(b, newClient(from), newClient(to), size)
		})
	}
}

func benchmarkPublish(b *testing.B, from, to *client, size int) {
	const window = 4 << 20
	room := make(chan struct{}, window/size)
	var left atomic.Int64
	done := make(chan struct{})
	if _, err := to.Subscribe("bench", func(string, []byte) {
		<-room
		if left.Add(-1) == 0 {
			close(done)
		}
	}); err != nil {
		b.Fatal(err)
	}
	to.settle(b)
	data := make([]byte, size)
	left.Store(int64(b.N))
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		room <- struct{}{}
		if err := from.Publish("bench", data); err != nil {
			b.Fatal(err)
		}
	}
	<-done
}

// BenchmarkReconnect measures from the moment the server takes connections again until Connected is told.
func BenchmarkReconnect(b *testing.B) {
	s := startServer(b, nil)
	c := newClient(connectNATS(b, bus.NATSOptions{Servers: []string{s.url}}))
	c.expect(b, bus.Connected)
	for range b.N {
		b.StopTimer()
		s.stop()
		c.expect(b, bus.Disconnected)
		s.start(b)
		b.StartTimer()
		c.expect(b, bus.Connected)
	}
}
