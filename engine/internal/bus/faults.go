package bus

import (
	"math/rand/v2"
	"time"
)

// Faults says how badly a Network carries messages. The zero value carries every message at once and in order.
// Each copy of a message, one per matching subscription, suffers on its own.
type Faults struct {
	Loss      float64 // probability that a copy is lost
	Duplicate float64 // probability that a copy arrives twice
	Corrupt   float64 // probability that a copy has some bits flipped
	Reorder   float64 // probability that a copy is held back, 10 ms at most, while later ones overtake it

	Delay  time.Duration // time that every copy takes
	Jitter time.Duration // bound of the random time added to Delay; it keeps the order, as TCP does
}

// holdBack bounds how long a reordered copy waits beyond its normal time.
const holdBack = 10 * time.Millisecond

// chance reports true with probability p.
func chance(r *rand.Rand, p float64) bool { return p > 0 && r.Float64() < p }

// upTo returns a random duration in (0, d], or 0 if d is not positive.
func upTo(r *rand.Rand, d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(r.Int64N(int64(d))) + 1
}

// flipBits flips one to three bits of data.
func flipBits(r *rand.Rand, data []byte) {
	if len(data) == 0 {
		return
	}
	for range 1 + r.IntN(3) {
		bit := r.IntN(8 * len(data))
		data[bit/8] ^= 1 << (bit % 8)
	}
}
