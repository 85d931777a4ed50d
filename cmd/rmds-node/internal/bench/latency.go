package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/getevo/rmds/engine"
)

// latencySamples is how many single requests are timed, after one that waits for the link.
const latencySamples = 200

// latency times requests one by one: accepted on disk here, handled and committed there, the reply committed there,
// delivered and handled here. Four commits, two each side.
func latency(ctx context.Context, ch *engine.Channel, r *Result) error {
	var took []time.Duration
	for i := range latencySamples + 1 {
		begin := time.Now()
		limit, cancel := context.WithTimeout(ctx, 30*time.Second)
		_, err := ch.Request(limit, "", make([]byte, r.Size), engine.WithHeader("reply", "1"))
		cancel()
		if err != nil {
			return fmt.Errorf("request %d: %w", i, err)
		}
		if i > 0 {
			took = append(took, time.Since(begin))
		}
	}
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	r.LatencyCount = len(took) + 1
	r.Latency50, r.Latency99 = ms(took[len(took)/2]), ms(took[len(took)*99/100])
	return nil
}
