package bus_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/getevo/rmds/engine/internal/bus"
)

// A place is where buses meet in a test.
type place interface {
	connect(t *testing.T, name string) bus.Bus // not necessarily connected yet; closed at the end of the test
	down(t *testing.T)                         // takes the server away from all
	up(t *testing.T)                           // and brings it back
}

// places are the two implementations, which must behave alike.
var places = map[string]func(t *testing.T) place{
	"NATS":    func(t *testing.T) place { return &natsPlace{server: startServer(t, nil)} },
	"Network": func(t *testing.T) place { return &memPlace{network: bus.NewNetwork(1)} },
}

type natsPlace struct{ server *testServer }

func (p *natsPlace) connect(t *testing.T, name string) bus.Bus {
	return connectNATS(t, bus.NATSOptions{Servers: []string{p.server.url}, Name: name})
}
func (p *natsPlace) down(t *testing.T) { p.server.stop() }
func (p *natsPlace) up(t *testing.T)   { p.server.start(t) }

type memPlace struct {
	network *bus.Network
	mems    []*bus.Mem
}

func (p *memPlace) connect(t *testing.T, name string) bus.Bus {
	m := p.network.Connect(name)
	t.Cleanup(m.Close)
	p.mems = append(p.mems, m)
	return m
}

func (p *memPlace) down(t *testing.T) {
	for _, m := range p.mems {
		m.Down()
	}
}

func (p *memPlace) up(t *testing.T) {
	for _, m := range p.mems {
		m.Up()
	}
}

// eachPlace runs test with two clients that have heard that they are connected.
func eachPlace(t *testing.T, test func(t *testing.T, p place, a, b *client)) {
	for name, newPlace := range places {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			a, b := newClient(p.connect(t, "a")), newClient(p.connect(t, "b"))
			a.expect(t, bus.Connected)
			b.expect(t, bus.Connected)
			test(t, p, a, b)
		})
	}
}

func TestOrderPerPublisherAndSubject(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place, a, b *client) {
		const count = 2000
		got := b.subscribe(t, "order.>")
		b.settle(t)
		for from, publisher := range []*client{a, b} {
			go func() {
				for i := range uint64(2 * count) {
					subject := fmt.Sprintf("order.%d.%d", from, i%2)
					if err := publisher.Publish(subject, binary.BigEndian.AppendUint64(nil, i)); err != nil {
						t.Errorf("publish: %v", err)
					}
				}
			}()
		}
		last := make(map[string]uint64)
		for range 2 * 2 * count {
			m := receive(t, got)
			i := binary.BigEndian.Uint64(m.data)
			if previous, ok := last[m.subject]; ok && i != previous+2 || !ok && i > 1 {
				t.Fatalf("%s: message %d after %d", m.subject, i, previous)
			}
			last[m.subject] = i
		}
	})
}

func TestWildcards(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place, a, b *client) {
		one := b.subscribe(t, "w.*.x")
		rest := b.subscribe(t, "w.>")
		exact := b.subscribe(t, "w.1.x")
		b.settle(t)
		for _, subject := range []string{"w.1.x", "w.1.y", "w.1.x.z", "w", "v.1.x", "w.2.x"} {
			a.publish(t, subject, subject)
		}
		expectTexts(t, one, "w.1.x", "w.2.x")
		expectTexts(t, rest, "w.1.x", "w.1.y", "w.1.x.z", "w.2.x")
		expectTexts(t, exact, "w.1.x")
		a.settle(t)
		b.settle(t)
		expectNothing(t, one, rest, exact)
	})
}

func TestOwnMessagesArriveOnce(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place, a, b *client) {
		got := a.subscribe(t, "echo")
		a.publish(t, "echo", "1")
		a.publish(t, "echo", "2")
		expectTexts(t, got, "1", "2")
		a.settle(t)
		expectNothing(t, got)
	})
}

func TestUnsubscribe(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place, a, b *client) {
		gone := make(chan message, 10)
		var unsubscribe func()
		ready := make(chan struct{})
		unsubscribe, err := b.Subscribe("u.1", func(subject string, data []byte) {
			<-ready
			unsubscribe() // from the handler: the second message is not for us
			gone <- message{subject, data}
		})
		if err != nil {
			t.Fatal(err)
		}
		close(ready)
		stays := b.subscribe(t, "u.1")
		b.settle(t)
		a.publish(t, "u.1", "1")
		a.publish(t, "u.1", "2")
		expectTexts(t, stays, "1", "2")
		expectTexts(t, gone, "1")
		unsubscribe() // again: nothing happens
		a.publish(t, "u.1", "3")
		expectTexts(t, stays, "3")
		b.settle(t)
		expectNothing(t, gone)
	})
}

func TestDisconnected(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place, a, b *client) {
		kept := b.subscribe(t, "d")
		dropped := make(chan message, 10)
		unsubscribe, err := b.Subscribe("d", collect(dropped))
		if err != nil {
			t.Fatal(err)
		}
		if !a.Connected() || !b.Connected() {
			t.Fatal("not connected after the event said so")
		}
		p.down(t)
		a.expect(t, bus.Disconnected)
		b.expect(t, bus.Disconnected)
		if a.Connected() || b.Connected() {
			t.Fatal("connected after the event said otherwise")
		}
		if err := a.Publish("d", []byte("lost")); !errors.Is(err, bus.ErrDisconnected) {
			t.Fatalf("publishing while down: %v", err)
		}
		if size := a.MaxPayload(); size != 1<<20 {
			t.Fatalf("max payload while down: %d", size)
		}
		added := b.subscribe(t, "d")
		unsubscribe()
		p.up(t)
		a.expect(t, bus.Connected)
		b.expect(t, bus.Connected)
		a.publish(t, "d", "kept") // all subscriptions of b are in force by now
		expectTexts(t, kept, "kept")
		expectTexts(t, added, "kept")
		b.settle(t)
		expectNothing(t, kept, added, dropped)
	})
}

// Messages that were received before the server went, and wait behind a busy handler, are nobody's after
// unsubscribe.
func TestUnsubscribeWhileDown(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place, a, b *client) {
		got, release := make(chan message, 10), make(chan struct{})
		unsubscribe, err := b.Subscribe("q", func(subject string, data []byte) {
			got <- message{subject, data}
			<-release
		})
		if err != nil {
			t.Fatal(err)
		}
		b.settle(t)
		a.publish(t, "q", "1")
		a.publish(t, "q", "2")
		a.settle(t)
		expectTexts(t, got, "1")
		p.down(t)
		a.expect(t, bus.Disconnected)
		unsubscribe()
		close(release)
		b.expect(t, bus.Disconnected)
		p.up(t)
		b.expect(t, bus.Connected)
		b.settle(t)
		expectNothing(t, got)
	})
}

func TestEveryReturnOfTheServerIsTold(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place, a, b *client) {
		for range 3 {
			p.down(t)
			a.expect(t, bus.Disconnected)
			p.up(t)
			a.expect(t, bus.Connected)
		}
		a.settle(t)
	})
}

func TestMaxPayload(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place, a, b *client) {
		got := b.subscribe(t, "size")
		b.settle(t)
		data := bytes.Repeat([]byte{7}, a.MaxPayload()+1)
		if err := a.Publish("size", data); !errors.Is(err, bus.ErrTooLarge) {
			t.Fatalf("one byte too many: %v", err)
		}
		if err := a.Publish("size", data[1:]); err != nil {
			t.Fatalf("largest message: %v", err)
		}
		if m := receive(t, got); !bytes.Equal(m.data, data[1:]) {
			t.Fatalf("%d bytes arrived of %d, or others", len(m.data), len(data)-1)
		}
		if err := a.Publish("size", nil); err != nil {
			t.Fatalf("empty message: %v", err)
		}
		if m := receive(t, got); len(m.data) != 0 {
			t.Fatalf("empty message arrived with %d bytes", len(m.data))
		}
	})
}

// The publisher writes over its buffer at once, and the handler keeps everything until the end.
func TestDataBelongsToTheHandler(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place, a, b *client) {
		got := b.subscribe(t, "own")
		other := b.subscribe(t, "own")
		b.settle(t)
		sizes := []int{1, 100, 3000, 5000, 40000}
		const count = 500
		buffer := make([]byte, sizes[len(sizes)-1])
		for i := range count {
			data := buffer[:sizes[i%len(sizes)]]
			fill(data, byte(i))
			if err := a.Publish("own", data); err != nil {
				t.Fatal(err)
			}
		}
		var kept, spoilt [][]byte
		for range count {
			kept = append(kept, receive(t, got).data)
			spoilt = append(spoilt, receive(t, other).data)
		}
		for _, data := range spoilt {
			fill(data[:cap(data)], 0xff) // one handler's copy is no business of the other's
		}
		for i, data := range kept {
			if want := bytes.Repeat([]byte{byte(i)}, sizes[i%len(sizes)]); !bytes.Equal(data, want) {
				t.Fatalf("message %d changed after it was delivered", i)
			}
		}
	})
}

func TestInvalidSubjects(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place, a, b *client) {
		for _, subject := range []string{"", "a..b", "a.>.b", "a b", "a\r\nPING"} {
			if err := a.Publish(subject, nil); !errors.Is(err, bus.ErrSubject) {
				t.Errorf("publish to %q: %v", subject, err)
			}
			if _, err := a.Subscribe(subject, func(string, []byte) {}); !errors.Is(err, bus.ErrSubject) {
				t.Errorf("subscribe to %q: %v", subject, err)
			}
		}
		for _, subject := range []string{"a.*", ">"} {
			if err := a.Publish(subject, nil); !errors.Is(err, bus.ErrSubject) {
				t.Errorf("publish to %q: %v", subject, err)
			}
		}
		a.settle(t) // the server is still on speaking terms
	})
}

func TestHandlersMayUseTheBus(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place, a, b *client) {
		answers := a.subscribe(t, "answer")
		a.settle(t)
		if _, err := b.Subscribe("ask", func(_ string, data []byte) {
			if _, err := b.Subscribe("more", func(string, []byte) {}); err != nil {
				t.Error(err)
			}
			b.publish(t, "answer", string(data)+"!")
		}); err != nil {
			t.Fatal(err)
		}
		b.settle(t)
		a.publish(t, "ask", "well")
		expectTexts(t, answers, "well!")
	})
}

func TestCloseDeliversWhatWasPublished(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place, a, b *client) {
		got := b.subscribe(t, "leaving")
		b.settle(t)
		a.publish(t, "leaving", "bye")
		a.Close()
		expectTexts(t, got, "bye")
	})
}

func TestClose(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place, a, b *client) {
		running, release := make(chan struct{}), make(chan struct{})
		calls := 0
		if _, err := b.Subscribe("c", func(string, []byte) {
			calls++ // the race detector sees a call that runs beyond Close
			close(running)
			<-release
		}); err != nil {
			t.Fatal(err)
		}
		b.settle(t)
		a.publish(t, "c", "1")
		a.publish(t, "c", "2")
		<-running
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			b.Close()
		}()
		for !errors.Is(b.Publish("c", nil), bus.ErrClosed) {
		}
		close(release)
		<-closed
		if calls != 1 {
			t.Errorf("%d calls of a handler that was busy when Close began", calls)
		}
		if _, err := b.Subscribe("c", func(string, []byte) {}); !errors.Is(err, bus.ErrClosed) {
			t.Errorf("subscribe after Close: %v", err)
		}
		if b.Connected() {
			t.Error("connected after Close")
		}
		b.expectNoEvent(t)
		if len(busGoroutines()) == 0 {
			t.Error("the test does not see the goroutines of a bus")
		}
		b.Close()
		a.Close()
		expectNoGoroutines(t)
	})
}
