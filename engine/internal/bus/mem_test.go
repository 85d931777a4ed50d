package bus_test

import (
	"bytes"
	"fmt"
	"math/bits"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/getevo/rmds/engine/internal/bus"
)

// arrivals publishes count numbered messages, one per millisecond, over a network with the given faults and
// returns what arrived and when, counted from the first message. It runs in a bubble.
func arrivals(t *testing.T, seed uint64, f bus.Faults, count int) (got []byte, at []time.Duration) {
	n := bus.NewNetwork(seed)
	n.Set(f)
	a, b := n.Connect("a"), n.Connect("b")
	start := time.Now()
	if _, err := b.Subscribe("x", func(_ string, data []byte) {
		got, at = append(got, data[0]), append(at, time.Since(start))
	}); err != nil {
		t.Fatal(err)
	}
	for i := range count {
		if err := a.Publish("x", []byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	time.Sleep(time.Minute)
	b.Close()
	a.Close()
	return got, at
}

func TestNetworkFaults(t *testing.T) {
	const count = 200
	numbers := make([]byte, count)
	for i := range numbers {
		numbers[i] = byte(i)
	}
	for _, tt := range []struct {
		name   string
		faults bus.Faults
		check  func(t *testing.T, got []byte, at []time.Duration)
	}{
		{"none", bus.Faults{}, func(t *testing.T, got []byte, at []time.Duration) {
			if !bytes.Equal(got, numbers) || at[0] != 0 || at[count-1] != (count-1)*time.Millisecond {
				t.Errorf("got %v at %v", got, at)
			}
		}},
		{"loss", bus.Faults{Loss: 0.3}, func(t *testing.T, got []byte, at []time.Duration) {
			if lost := count - len(got); lost < count/5 || lost > count*2/5 || !slices.IsSorted(got) {
				t.Errorf("%d lost of %d, got %v", lost, count, got)
			}
		}},
		{"all lost", bus.Faults{Loss: 1}, func(t *testing.T, got []byte, at []time.Duration) {
			if len(got) != 0 {
				t.Errorf("got %v", got)
			}
		}},
		{"duplicate", bus.Faults{Duplicate: 0.3}, func(t *testing.T, got []byte, at []time.Duration) {
			if more := len(got) - count; more < count/5 || more > count*2/5 ||
				!bytes.Equal(slices.Compact(slices.Clone(got)), numbers) {
				t.Errorf("%d more than %d, got %v", more, count, got)
			}
		}},
		{"corrupt", bus.Faults{Corrupt: 0.3}, func(t *testing.T, got []byte, at []time.Duration) {
			if len(got) != count {
				t.Fatalf("%d arrived", len(got))
			}
			bad := 0
			for i, b := range got {
				flipped := bits.OnesCount8(b ^ byte(i))
				if flipped > 3 {
					t.Errorf("message %d has %d bits flipped", i, flipped)
				}
				if flipped > 0 {
					bad++
				}
			}
			if bad < count/10 || bad > count*2/5 {
				t.Errorf("%d corrupt of %d", bad, count)
			}
		}},
		{"reorder", bus.Faults{Reorder: 0.3}, func(t *testing.T, got []byte, at []time.Duration) {
			late := 0
			for i := 1; i < len(got); i++ {
				if got[i] < got[i-1] {
					late++
				}
			}
			if late < count/20 {
				t.Errorf("%d overtaken of %d", late, count)
			}
			if slices.Sort(got); !bytes.Equal(got, numbers) {
				t.Errorf("got %v", got)
			}
		}},
		{"delay", bus.Faults{Delay: time.Second}, func(t *testing.T, got []byte, at []time.Duration) {
			if !bytes.Equal(got, numbers) {
				t.Errorf("got %v", got)
			}
			for i, d := range at {
				if want := time.Second + time.Duration(i)*time.Millisecond; d != want {
					t.Fatalf("message %d took %v, want %v", i, d, want)
				}
			}
		}},
		{"jitter", bus.Faults{Delay: time.Second, Jitter: 100 * time.Millisecond}, func(t *testing.T, got []byte, at []time.Duration) {
			if !bytes.Equal(got, numbers) {
				t.Errorf("jitter changed the order: %v", got)
			}
			spread := make(map[time.Duration]bool)
			for i, d := range at {
				d -= time.Second + time.Duration(i)*time.Millisecond
				if d < 0 || d > 100*time.Millisecond {
					t.Fatalf("message %d came %v late", i, d)
				}
				spread[d] = true
			}
			if len(spread) < count/10 {
				t.Errorf("only %d different delays", len(spread))
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got, at := arrivals(t, 1, tt.faults, count)
				tt.check(t, got, at)
			})
		})
	}
}

func TestNetworkIsReproducible(t *testing.T) {
	worst := bus.Faults{Loss: 0.2, Duplicate: 0.2, Corrupt: 0.2, Reorder: 0.2, Delay: time.Second, Jitter: time.Second}
	run := func(seed uint64) (s string) {
		synctest.Test(t, func(t *testing.T) {
			got, at := arrivals(t, seed, worst, 200)
			s = fmt.Sprint(got, at)
		})
		return s
	}
	first := run(1)
	if run(1) != first {
		t.Error("the same seed gives another course")
	}
	if run(2) == first {
		t.Error("another seed gives the same course")
	}
}

// inBubble gives test three clients in a bubble, and what each of them got on subject "x" so far.
func inBubble(t *testing.T, test func(t *testing.T, n *bus.Network, a, b, c *bus.Mem, got map[string][]string)) {
	synctest.Test(t, func(t *testing.T) {
		n := bus.NewNetwork(1)
		var mu sync.Mutex // the clients' goroutines share got
		got := make(map[string][]string)
		var clients []*bus.Mem
		for _, name := range []string{"a", "b", "c"} {
			m := n.Connect(name)
			defer m.Close()
			if _, err := m.Subscribe("x", func(_ string, data []byte) {
				mu.Lock()
				defer mu.Unlock()
				got[name] = append(got[name], string(data))
			}); err != nil {
				t.Fatal(err)
			}
			clients = append(clients, m)
		}
		test(t, n, clients[0], clients[1], clients[2], got)
	})
}

func say(t *testing.T, m *bus.Mem, text string) {
	t.Helper()
	if err := m.Publish("x", []byte(text)); err != nil {
		t.Fatal(err)
	}
	synctest.Wait() // until everybody has handled it: needs no time
}

func TestPartition(t *testing.T) {
	inBubble(t, func(t *testing.T, n *bus.Network, a, b, c *bus.Mem, got map[string][]string) {
		n.Partition("a", "b")
		say(t, a, "from a")
		say(t, c, "from c")
		n.Partition("b")
		say(t, a, "a alone")
		say(t, b, "b alone")
		n.Heal()
		say(t, c, "healed")
		want := map[string][]string{
			"a": {"from a", "a alone", "healed"},
			"b": {"from a", "b alone", "healed"},
			"c": {"from c", "healed"},
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got  %v\nwant %v", got, want)
		}
		if !a.Connected() {
			t.Error("a partition is not a disconnection")
		}
	})
}

func TestDownLosesWhatIsOnItsWay(t *testing.T) {
	inBubble(t, func(t *testing.T, n *bus.Network, a, b, c *bus.Mem, got map[string][]string) {
		n.Set(bus.Faults{Delay: time.Second})
		say(t, a, "lost to b")
		b.Down()
		say(t, a, "lost to b too")
		b.Up()
		say(t, a, "arrives")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if want := []string{"arrives"}; !slices.Equal(got["b"], want) {
			t.Errorf("b got %q, want %q", got["b"], want)
		}
		if want := []string{"lost to b", "lost to b too", "arrives"}; !slices.Equal(got["c"], want) {
			t.Errorf("c got %q, want %q", got["c"], want)
		}
	})
}

// What a client sent before it left still arrives, and nobody keeps anything of it.
func TestCloseKeepsWhatIsOnItsWay(t *testing.T) {
	inBubble(t, func(t *testing.T, n *bus.Network, a, b, c *bus.Mem, got map[string][]string) {
		n.Set(bus.Faults{Delay: time.Second})
		say(t, a, "bye")
		a.Close()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if want := []string{"bye"}; !slices.Equal(got["b"], want) {
			t.Errorf("b got %q, want %q", got["b"], want)
		}
	})
}

func TestClientsOfOneNameShareAPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := bus.NewNetwork(1)
		one, twin, other := n.Connect("a"), n.Connect("a"), n.Connect("b")
		defer one.Close()
		defer twin.Close()
		defer other.Close()
		var got []string
		if _, err := twin.Subscribe("x", func(_ string, data []byte) { got = append(got, string(data)) }); err != nil {
			t.Fatal(err)
		}
		n.Partition("a")
		say(t, one, "twin")
		say(t, other, "stranger")
		if !slices.Equal(got, []string{"twin"}) {
			t.Errorf("got %q", got)
		}
	})
}
