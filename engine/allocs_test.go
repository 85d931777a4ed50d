package engine

import "testing"

// Most allocations that a message of 256 bytes may cost, from SendAsync to the disk, and on the whole way: sent, handled by
// a handler that counts in its store, committed and acknowledged. A change that needs more says why, here.
const (
	sendAllocs    = 6
	deliverAllocs = 21
)

// TestHotPathAllocations guards counts, which do not depend on the machine; times are the benchmarks' matter.
func TestHotPathAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, c := range []struct {
		name  string
		alone bool
		most  float64
	}{{"send", true, sendAllocs}, {"deliver", false, deliverAllocs}} {
		t.Run(c.name, func(t *testing.T) {
			h := newHotPath(t, c.alone)
			pass := h.deliver
			if c.alone {
				pass = h.send
			}
			const messages = 20_000
			pass(messages)
			if got := testing.AllocsPerRun(3, func() { pass(messages) }) / messages; got > c.most {
				t.Errorf("%.1f allocations per message, at most %.0f", got, c.most)
			} else {
				t.Logf("%.1f allocations per message", got)
			}
		})
	}
}
