package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a time.Duration written as a string of numbers with units: "250ms", "10s", "1h30m", "30d".
// A day is 24 hours.
type Duration time.Duration

const day = 24 * time.Hour

// ParseDuration reads a duration of one or more numbers, each followed by one of ns, us, ms, s, m, h and d.
// "0" needs no unit. Negative durations are refused.
func ParseDuration(s string) (Duration, error) {
	bad := func() (Duration, error) {
		return 0, fmt.Errorf("%q is not a duration: write a number and a unit (ms, s, m, h, d), for example \"10s\" or \"3d\"", s)
	}
	days, rest, found := strings.Cut(s, "d")
	if !found {
		days, rest = "", s
	}
	var sum time.Duration
	if found {
		n, err := strconv.ParseInt(days, 10, 64)
		if err != nil || n < 0 || n > math.MaxInt64/int64(day) {
			return bad()
		}
		sum = time.Duration(n) * day
	}
	if rest != "" || !found {
		d, err := time.ParseDuration(rest)
		if err != nil || d < 0 || sum+d < sum {
			return bad()
		}
		sum += d
	}
	return Duration(sum), nil
}

// String returns the duration as ParseDuration reads it, without units that count nothing: "3d", "1h30m", "0s".
func (d Duration) String() string {
	t := time.Duration(d)
	days := t / day
	s := ""
	if days > 0 {
		s = fmt.Sprintf("%dd", days)
		if t -= days * day; t == 0 {
			return s
		}
	}
	rest := t.String()
	if strings.HasSuffix(rest, "m0s") {
		rest = strings.TrimSuffix(rest, "0s")
	}
	if strings.HasSuffix(rest, "h0m") {
		rest = strings.TrimSuffix(rest, "0m")
	}
	return s + rest
}

// Size is a number of bytes written as a string with a unit: "512B", "64KiB", "8MiB", "1GiB".
type Size int64

var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"kB", 1e3}, {"B", 1},
}

// ParseSize reads a whole number followed by B, KiB, MiB or GiB (powers of 1024) or by kB, MB or GB (powers of 1000).
func ParseSize(s string) (Size, error) {
	for _, u := range sizeUnits {
		digits, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n < 0 || n > math.MaxInt64/u.bytes {
			break
		}
		return Size(n * u.bytes), nil
	}
	return 0, fmt.Errorf("%q is not a size: write a whole number and a unit (B, KiB, MiB, GiB), for example \"8MiB\"", s)
}

// String returns the size in the largest unit of 1024 that divides it.
func (s Size) String() string {
	for _, u := range sizeUnits[:3] {
		if s != 0 && int64(s)%u.bytes == 0 {
			return fmt.Sprintf("%d%s", int64(s)/u.bytes, u.name)
		}
	}
	return fmt.Sprintf("%dB", int64(s))
}

// MarshalText writes what String returns.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// MarshalText writes what String returns.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
