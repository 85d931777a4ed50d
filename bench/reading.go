package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

// A reading begins with the time of sending, of 19 digits, and its number, of 10.
const (
	stampAt     = len(`{"at":`)
	numberAt    = stampAt + 19 + len(`,"n":`)
	firstNumber = 1_000_000_000
)

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
	b = append(b, `,"n":`...)
	b = strconv.AppendInt(b, int64(firstNumber+r.n), 10)
	b = append(b, `,"device":"press-07","site":"hall-3"`...)
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

// parseReading returns when a reading was made, in Unix nanoseconds, and its number, from 1.
func parseReading(b []byte) (sentAt int64, n int, err error) {
	if len(b) >= numberAt+10 {
		sentAt, err = strconv.ParseInt(string(b[stampAt:stampAt+19]), 10, 64)
		if err == nil {
			n, err = strconv.Atoi(string(b[numberAt : numberAt+10]))
		}
	}
	if n -= firstNumber; err != nil || n < 1 {
		return 0, 0, fmt.Errorf("not a reading: %.60q", b)
	}
	return sentAt, n, nil
}
