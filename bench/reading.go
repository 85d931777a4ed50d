package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

// stampAt is where the 19 digits of the time of sending lie in a reading.
const stampAt = len(`{"at":`)

// readings makes messages of one size: a sensor's JSON, no two alike, with the time of sending at a fixed place.
type readings struct {
	size int
	rng  *rand.Rand
	n    int
}

func newReadings(size int) *readings { return &readings{size: size, rng: rand.New(rand.NewPCG(1, 2))} }

// next returns a new message, stamped now.
func (r *readings) next() []byte {
	r.n++
	b := make([]byte, 0, r.size)
	b = append(b, `{"at":`...)
	b = strconv.AppendInt(b, time.Now().UnixNano(), 10)
	b = append(b, `,"device":"press-07","site":"hall-3","reading":`...)
	b = strconv.AppendInt(b, int64(r.n), 10)
	for _, name := range []string{"temperature", "pressure", "vibration_x", "vibration_y", "current", "flow", "humidity"} {
		b = append(append(append(b, `,"`...), name...), `":`...)
		b = strconv.AppendInt(b, int64(r.rng.IntN(90)+10), 10)
		b = append(b, '.')
		b = strconv.AppendInt(b, int64(r.rng.IntN(900)+100), 10)
	}
	b = append(b, `,"state":"`...)
	for len(b) < r.size-2 {
		b = append(b, "running "[len(b)%8])
	}
	return append(b[:r.size-2], `"}`...)
}

// sentAt returns when a reading was made, in Unix nanoseconds.
func sentAt(b []byte) (int64, error) {
	if len(b) < stampAt+19 {
		return 0, fmt.Errorf("not a reading: %.40q", b)
	}
	return strconv.ParseInt(string(b[stampAt:stampAt+19]), 10, 64)
}
