package main

import (
	"encoding/json"
	"math/big"
	"regexp"
	"strings"
	"testing"
)

func TestDivide(t *testing.T) {
	for _, c := range []struct {
		m    milli
		k    int
		want milli
	}{{7, 2, 4}, {-7, 2, -4}, {1, 3, 0}, {2, 3, 1}, {-1, 3, 0}, {-2, 3, -1}, {0, 16, 0}, {16_000_000_000_000, 16, 1_000_000_000_000}} {
		if got := c.m.divide(c.k); got != c.want {
			t.Errorf("%d/%d = %d, want %d", c.m, c.k, got, c.want)
		}
	}
}

func TestMilliString(t *testing.T) {
	for m, want := range map[milli]string{0: "0.000", 1: "0.001", -1: "-0.001", 420: "0.420", -4250: "-4.250", 1_000_000_000_000: "1000000000.000"} {
		if got := m.String(); got != want {
			t.Errorf("milli(%d) is %s, want %s", int64(m), got, want)
		}
	}
}

// form is what the sensor's encoder writes, as far as a regular expression can say it.
var form = regexp.MustCompile(`^\{"n":[1-9][0-9]{0,14},"metric":"[-./0-9A-Z_a-z]{1,64}","value":-?(0|[1-9][0-9]{0,8})(\.[0-9]+)?\}$`)

// FuzzParseReading holds the parser against a regular expression, encoding/json and exact arithmetic.
func FuzzParseReading(f *testing.F) {
	for _, value := range []string{"0", "-0", "0.42", "-4.2515", "999999999.9995", "0.0004999", "1e3", "01", "1.", ".5", "+1"} {
		f.Add(`{"n":123,"metric":"load1","value":` + value + `}`)
	}
	f.Add(`{"n":0,"metric":"load1","value":1}`)
	f.Add(`{"n":999999999999999,"metric":"` + strings.Repeat("m", 65) + `","value":1}`)
	f.Fuzz(func(t *testing.T, content string) {
		got, ok := parseReading([]byte(content))
		if want := len(content) <= maxContent && form.MatchString(content); ok != want {
			t.Fatalf("accepted: %t, want %t", ok, want)
		}
		if !ok {
			return
		}
		var want struct {
			N      int64
			Metric string
			Value  json.Number
		}
		if err := json.Unmarshal([]byte(content), &want); err != nil {
			t.Fatal(err)
		}
		if got.n != want.N || got.metric != want.Metric {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		value, _ := new(big.Rat).SetString(string(want.Value))
		if rounded := value.FloatString(3); got.value.String() != strings.Replace(rounded, "-0.000", "0.000", 1) {
			t.Fatalf("value is %v, want %s", got.value, rounded)
		}
	})
}
