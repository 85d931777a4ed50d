package link

import "time"

// rtt estimates the round trip as RFC 6298 does, from samples of frames that were sent once (Karn's rule).
type rtt struct{ smooth, variation time.Duration }

func (r *rtt) sample(d time.Duration) {
	if d < 0 {
		return
	}
	if r.smooth == 0 {
		r.smooth, r.variation = max(d, 1), d/2
		return
	}
	r.variation += ((d - r.smooth).Abs() - r.variation) / 4
	r.smooth = max(r.smooth+(d-r.smooth)/8, 1)
}

// timeout is the retransmission time after the given number of timeouts in a row.
func (r *rtt) timeout(backoff int) time.Duration {
	d := firstRTO
	if r.smooth > 0 {
		d = min(max(r.smooth+4*r.variation, minRTO), maxRTO)
	}
	return doubled(d, backoff, maxRTO)
}

// doubled returns d doubled n times, at most limit.
func doubled(d time.Duration, n int, limit time.Duration) time.Duration {
	for ; n > 0 && d < limit; n-- {
		d *= 2
	}
	return min(d, limit)
}
