package main

import "strings"

// Bounds of a reading. With them all arithmetic stays within 64 bits: values are at most 10^12 thousandths.
const (
	maxContent       = 256
	maxMetric        = 64
	maxNumberDigits  = 15
	maxIntegerDigits = 9
)

// A reading is one measurement of a sensor.
type reading struct {
	n      int64
	metric string
	value  milli
}

// parseReading parses the one form that the sensor's encoder writes.
func parseReading(content []byte) (r reading, ok bool) {
	if len(content) > maxContent {
		return r, false
	}
	p := parser{rest: string(content)}
	p.literal(`{"n":`)
	r.n = p.integer(maxNumberDigits)
	p.literal(`,"metric":"`)
	r.metric = p.metric()
	p.literal(`","value":`)
	r.value = p.milli()
	p.literal(`}`)
	return r, !p.failed && p.rest == "" && r.n >= 1
}

// parser consumes rest from the left. After a mismatch it stays failed and returns zeros.
type parser struct {
	rest   string
	failed bool
}

func (p *parser) literal(s string) {
	rest, ok := strings.CutPrefix(p.rest, s)
	p.rest = rest
	p.failed = p.failed || !ok
}

// digits consumes a run of digits, which must not be empty.
func (p *parser) digits() string {
	i := 0
	for i < len(p.rest) && '0' <= p.rest[i] && p.rest[i] <= '9' {
		i++
	}
	p.failed = p.failed || i == 0
	run := p.rest[:i]
	p.rest = p.rest[i:]
	return run
}

// integer consumes an integer as JSON has it: without leading zeros, here of at most max digits.
func (p *parser) integer(max int) int64 {
	run := p.digits()
	if len(run) > max || len(run) > 1 && run[0] == '0' {
		p.failed = true
	}
	if p.failed {
		return 0
	}
	return decimal(run)
}

// metric consumes a name of letters, digits, '_', '-', '.' and '/'.
func (p *parser) metric() string {
	i := 0
	for i < len(p.rest) && isMetricByte(p.rest[i]) {
		i++
	}
	p.failed = p.failed || i == 0 || i > maxMetric
	name := p.rest[:i]
	p.rest = p.rest[i:]
	return name
}

func isMetricByte(c byte) bool {
	return '-' <= c && c <= '9' || 'A' <= c && c <= 'Z' || c == '_' || 'a' <= c && c <= 'z'
}

// milli consumes a JSON number without exponent and rounds it to thousandths, halves away from zero.
func (p *parser) milli() milli {
	negative := strings.HasPrefix(p.rest, "-")
	p.rest = strings.TrimPrefix(p.rest, "-")
	m := milli(p.integer(maxIntegerDigits)) * 1000
	if strings.HasPrefix(p.rest, ".") {
		p.rest = p.rest[1:]
		fraction := p.digits() + "0000"
		m += milli(decimal(fraction[:3]))
		if fraction[3] >= '5' {
			m++
		}
	}
	if negative {
		m = -m
	}
	return m
}

// decimal returns the value of a run of at most 18 digits.
func decimal(digits string) int64 {
	var n int64
	for i := range len(digits) {
		n = n*10 + int64(digits[i]-'0')
	}
	return n
}
