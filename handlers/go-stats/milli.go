package main

import "strconv"

// milli is a number in thousandths.
type milli int64

// append writes m as decimal with three digits of fraction.
func (m milli) append(b []byte) []byte {
	if m < 0 {
		b = append(b, '-')
		m = -m
	}
	b = strconv.AppendInt(b, int64(m/1000), 10)
	f := m % 1000
	return append(b, '.', byte('0'+f/100), byte('0'+f/10%10), byte('0'+f%10))
}

func (m milli) String() string { return string(m.append(nil)) }

// divide returns m/k for k > 0, rounded to the nearest thousandth, halves away from zero.
func (m milli) divide(k int) milli {
	d := milli(k)
	if m < 0 {
		return -((-2*m + d) / (2 * d))
	}
	return (2*m + d) / (2 * d)
}
