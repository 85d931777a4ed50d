package engine

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// seedBench runs a sender and readers over a real nats-server and sends b.N messages, one after the other, each of them
// waited for until it is on disk. The readers acknowledge what they get.
func seedBench(b *testing.B, readers, size int, pace time.Duration) {
	nats := runNATS(b, -1)
	defer nats.Shutdown()
	latency := make(chan time.Duration, 1000)
	for i := range readers {
		ch := realNode(b, readerNames[i], nats.ClientURL()).Join("x", ReadOnly)
		check(b, ch.OnMessage(func(m *Message) {
			latency <- time.Since(m.CreatedAt)
			_ = m.Ack() // a late one shows in the count of acknowledgements
		}))
	}
	all := make(chan []time.Duration)
	go func() {
		took := make([]time.Duration, 0, readers*b.N)
		for range readers * b.N {
			took = append(took, <-latency)
		}
		all <- took
	}()
	alice := realNode(b, "alice", nats.ClientURL(), func(c *Config) { c.MaxMessagesPerReceiver = 1 << 30 })
	x := alice.Join("x", WriteOnly)
	content := make([]byte, size)
	api := make([]time.Duration, 0, b.N)
	b.ResetTimer()
	for range b.N {
		start := time.Now()
		check(b, x.SendMessage(content))
		api = append(api, time.Since(start))
		if pace > 0 {
			time.Sleep(pace) // of the stream
		}
	}
	for end := time.Now().Add(5 * time.Minute); alice.Status().Delivered < int64(readers*b.N); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.Fatalf("%d acknowledgements of %d", alice.Status().Delivered, readers*b.N)
		}
	}
	b.StopTimer()
	delivered := <-all
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "acked/s")
	for _, m := range []struct {
		name string
		list []time.Duration
	}{{"api", api}, {"e2e", delivered}} {
		slices.Sort(m.list)
		b.ReportMetric(float64(m.list[len(m.list)/2].Microseconds())/1000, m.name+"-p50-ms")
		b.ReportMetric(float64(m.list[len(m.list)*99/100].Microseconds())/1000, m.name+"-p99-ms")
	}
	b.ReportMetric(float64(alice.Status().DiskBytes)/1e6, "disk-MB")
}

// BenchmarkSeed is what the seed's own code was measured with: a0 to a4, e2 and f1. Give -benchtime 1000x or 10000x.
func BenchmarkSeed(b *testing.B) {
	for _, readers := range []int{1, 3} {
		for _, size := range []int{128, 1024} {
			b.Run(fmt.Sprintf("readers=%d/bytes=%d", readers, size), func(b *testing.B) { seedBench(b, readers, size, 0) })
		}
	}
}

// BenchmarkSeedPaced is a7 and a8: 20 messages a second. Give -benchtime 400x.
func BenchmarkSeedPaced(b *testing.B) {
	for _, size := range []int{128, 1024} {
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) { seedBench(b, 1, size, 50*time.Millisecond) })
	}
}
