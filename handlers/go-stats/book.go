package main

import (
	"encoding/binary"
	"errors"
	"strconv"

	"github.com/getevo/rmds/handlers/guest"
)

const (
	windowSamples     = 16
	sampleBytes       = 8
	minAlertSamples   = 8
	defaultAlertLevel = 50
	maxPercentDigits  = 4
)

// handle books one reading.
func handle(m *guest.Msg) error {
	r, ok := parseReading(m.Content())
	if !ok {
		return guest.Reject("malformed reading")
	}
	if err := countReading(r.n); err != nil {
		return err
	}
	mean, samples, err := updateMean(r)
	if err != nil {
		return err
	}
	reply := strconv.AppendInt(nil, r.n, 10)
	reply = mean.append(append(reply, ' '))
	if err := guest.Reply(reply); err != nil {
		return err
	}
	percent, err := alertPercent()
	if err != nil || samples < minAlertSamples || !above(r.value, mean, percent) {
		return err
	}
	return guest.Send("alerts", alert(r, mean))
}

// countReading keeps count, last, out_of_order, seen/<n> and duplicates.
func countReading(n int64) error {
	if _, err := increment("count"); err != nil {
		return err
	}
	last, err := number("last")
	if err != nil {
		return err
	}
	if n <= last {
		if _, err := increment("out_of_order"); err != nil {
			return err
		}
	}
	if err := setNumber("last", n); err != nil {
		return err
	}
	times, err := increment("seen/" + strconv.FormatInt(n, 10))
	if err != nil {
		return err
	}
	if times > 1 {
		_, err = increment("duplicates")
	}
	return err
}

// updateMean adds the reading to its metric's window and returns the window's mean and size.
func updateMean(r reading) (mean milli, samples int, err error) {
	key := "window/" + r.metric
	window, _, err := guest.Get(key)
	if err != nil {
		return 0, 0, err
	}
	if len(window)%sampleBytes != 0 || len(window) > windowSamples*sampleBytes {
		return 0, 0, errors.New(key + " holds " + strconv.Itoa(len(window)) + " bytes, which is no window")
	}
	if len(window) == windowSamples*sampleBytes {
		window = window[sampleBytes:]
	}
	window = binary.LittleEndian.AppendUint64(window, uint64(r.value))
	if err := guest.Set(key, window); err != nil {
		return 0, 0, err
	}
	var sum milli
	for i := 0; i < len(window); i += sampleBytes {
		sum += milli(binary.LittleEndian.Uint64(window[i:]))
	}
	samples = len(window) / sampleBytes
	mean = sum.divide(samples)
	text := mean.append([]byte(`{"mean":`))
	text = strconv.AppendInt(append(text, `,"samples":`...), int64(samples), 10)
	return mean, samples, guest.Set("mean/"+r.metric, append(text, '}'))
}

// above reports whether value is more than percent of the mean's size above the mean.
func above(value, mean milli, percent int64) bool {
	size := max(mean, -mean)
	return (value-mean)*100 > size*milli(percent)
}

func alert(r reading, mean milli) []byte {
	b := strconv.AppendInt([]byte(`{"n":`), r.n, 10)
	b = append(append(b, `,"metric":"`...), r.metric...)
	b = r.value.append(append(b, `","value":`...))
	b = mean.append(append(b, `,"mean":`...))
	return append(b, '}')
}

// alertPercent returns the configured alert-percent, 0 to 9999.
func alertPercent() (int64, error) {
	text, ok := guest.Config("alert-percent")
	if !ok {
		return defaultAlertLevel, nil
	}
	p := parser{rest: text}
	percent := p.integer(maxPercentDigits)
	if p.failed || p.rest != "" {
		return 0, errors.New("alert-percent is " + strconv.Quote(text) + ": use a whole number from 0 to 9999")
	}
	return percent, nil
}
