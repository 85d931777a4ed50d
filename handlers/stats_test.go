package handlers

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	stats "github.com/getevo/rmds/handlers/stats-wat"
	"github.com/getevo/rmds/wasmhost"
)

// bothStats returns the demo's handler in its two versions, each on a node of its own.
func bothStats(t testing.TB, config map[string]string) map[string]*node {
	t.Helper()
	return map[string]*node{
		"go":  load(t, built(t, goStats), config),
		"wat": load(t, stats.Module, config),
	}
}

func reading(n int, metric, value string) string {
	return fmt.Sprintf(`{"n":%d,"metric":"%s","value":%s}`, n, metric, value)
}

func TestStatsBooks(t *testing.T) {
	steps := []struct {
		content string
		reply   string
	}{
		{reading(1, "load1", "0.42"), "1 0.420"},
		{reading(2, "load1", "1"), "2 0.710"},
		{reading(2, "load1", "0.0005"), "2 0.474"},        // a duplicate; 0.001 in thousandths; 0.47366… rounds up
		{reading(5, "temp/cpu.0", "-4.25"), "5 -4.250"},   // another metric, another window
		{reading(4, "temp/cpu.0", "-4.2515"), "4 -4.251"}, // late; halves go away from zero
	}
	want := map[string]string{
		"count": "5", "last": "4", "out_of_order": "2", "duplicates": "1",
		"seen/1": "1", "seen/2": "2", "seen/4": "1", "seen/5": "1",
		"mean/load1":      `{"mean":0.474,"samples":3}`,
		"mean/temp/cpu.0": `{"mean":-4.251,"samples":2}`,
	}
	for name, node := range bothStats(t, nil) {
		t.Run(name, func(t *testing.T) {
			for _, step := range steps {
				got := node.handle(t, step.content)
				if got.kind != wasmhost.Ack || !slices.Equal(got.replies, []string{step.reply}) || got.sends != nil {
					t.Errorf("%s: %+v, want the reply %q alone", step.content, got, step.reply)
				}
			}
			got := map[string]string{}
			for key, value := range node.kv {
				if !strings.HasPrefix(key, "window/") {
					got[key] = string(value)
				}
			}
			if !maps.Equal(got, want) {
				t.Errorf("store is\n%q, want\n%q", got, want)
			}
		})
	}
}

// The mean is that of the last 16 samples: the 16 twos of the end leave nothing of the ones before.
func TestStatsWindowSlides(t *testing.T) {
	for name, node := range bothStats(t, nil) {
		t.Run(name, func(t *testing.T) {
			means := []string{}
			for n := 1; n <= 36; n++ {
				value := "1"
				if n > 20 {
					value = "2"
				}
				means = append(means, node.handle(t, reading(n, "m", value)).replies...)
			}
			want := map[int]string{16: "16 1.000", 20: "20 1.000", 21: "21 1.063", 28: "28 1.500", 35: "35 1.938", 36: "36 2.000"}
			for n, mean := range want {
				if means[n-1] != mean {
					t.Errorf("reply %d is %q, want %q", n, means[n-1], mean)
				}
			}
			if got, want := string(node.kv["mean/m"]), `{"mean":2.000,"samples":16}`; got != want {
				t.Errorf("mean/m is %s, want %s", got, want)
			}
		})
	}
}

func TestStatsAlert(t *testing.T) {
	const spike = `alerts {"n":8,"metric":"m","value":2.000,"mean":1.125}`
	cases := []struct {
		name    string
		config  map[string]string
		samples int // ones before the last value
		last    string
		want    string
	}{
		{"spike", nil, 7, "2", spike},
		{"too few samples", nil, 6, "2", ""},
		{"just under 50 percent", nil, 7, "1.615", ""}, // mean 1.077, and 1.077*1.5 = 1.6155
		{"just above 50 percent", nil, 7, "1.616", `alerts {"n":8,"metric":"m","value":1.616,"mean":1.077}`},
		{"below the mean", nil, 7, "-5", ""},
		{"78 percent above, 77 configured", map[string]string{"alert-percent": "77"}, 7, "2", spike},
		{"78 percent above, 78 configured", map[string]string{"alert-percent": "78"}, 7, "2", ""},
		{"equal to the mean is not above it", map[string]string{"alert-percent": "0"}, 7, "1", ""},
		{"anything above the mean", map[string]string{"alert-percent": "0"}, 7, "1.009", `alerts {"n":8,"metric":"m","value":1.009,"mean":1.001}`},
	}
	for _, c := range cases {
		for name, node := range bothStats(t, c.config) {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				for n := range c.samples {
					node.handle(t, reading(n+1, "m", "1"))
				}
				got := strings.Join(node.handle(t, reading(c.samples+1, "m", c.last)).sends, "\n")
				if got != c.want {
					t.Errorf("sent %q, want %q", got, c.want)
				}
			})
		}
	}
}

// Above a negative mean, and above zero, "more than 50 percent" is of the mean's size.
func TestStatsAlertBelowZero(t *testing.T) {
	for name, node := range bothStats(t, nil) {
		t.Run(name, func(t *testing.T) {
			for n := range 15 {
				node.handle(t, reading(n+1, "m", "-10"))
			}
			got := node.handle(t, reading(16, "m", "-4")) // mean -9.625: 5.625 above is more than 4.8125
			if want := []string{`alerts {"n":16,"metric":"m","value":-4.000,"mean":-9.625}`}; !slices.Equal(got.sends, want) {
				t.Errorf("sent %q, want %q", got.sends, want)
			}
		})
	}
}

func TestStatsRejects(t *testing.T) {
	bad := []string{
		"", "{}", "null", `{"n":1,"metric":"m","value":1`, reading(1, "m", "1") + " ", " " + reading(1, "m", "1"),
		`{"metric":"m","n":1,"value":1}`, `{"n": 1,"metric":"m","value":1}`, `{"n":"1","metric":"m","value":1}`,
		reading(0, "m", "1"), reading(-1, "m", "1"), `{"n":01,"metric":"m","value":1}`, `{"n":1.0,"metric":"m","value":1}`,
		`{"n":1000000000000000,"metric":"m","value":1}`, `{"n":18446744073709551617,"metric":"m","value":1}`,
		reading(1, "", "1"), reading(1, "a b", "1"), reading(1, `a\"b`, "1"), reading(1, "é", "1"), reading(1, "a,b", "1"),
		reading(1, "a:b", "1"), reading(1, "a@b", "1"), reading(1, "a[b", "1"), reading(1, "a`b", "1"), reading(1, "a{b", "1"),
		reading(1, strings.Repeat("m", 65), "1"), reading(1, "m", ""), reading(1, "m", "-"), reading(1, "m", "."),
		reading(1, "m", "1."), reading(1, "m", ".5"), reading(1, "m", "+1"), reading(1, "m", "--1"), reading(1, "m", "1e3"),
		reading(1, "m", "00"), reading(1, "m", "1234567890"), reading(1, "m", `"1"`), reading(1, "m", "1\x00"),
		reading(1, "m", "0."+strings.Repeat("1", 256)),
	}
	for name, node := range bothStats(t, nil) {
		t.Run(name, func(t *testing.T) {
			for _, content := range bad {
				got := node.handle(t, content)
				if got.kind != wasmhost.Reject || got.reason != "malformed reading" {
					t.Errorf("%q: %s (%s), want a rejection", content, got.kind, got.reason)
				}
			}
			if len(node.kv) != 0 {
				t.Errorf("store is %q, want nothing", node.kv)
			}
		})
	}
}

func TestStatsConfig(t *testing.T) {
	for _, percent := range []string{"", "x", "-1", "5.5", "10000", "050", " 50", strings.Repeat("1", 30)} {
		config := map[string]string{"alert-percent": percent}
		for name, wasm := range map[string][]byte{"go": built(t, goStats), "wat": stats.Module} {
			if _, err := tryLoad(t, wasm, config); !errors.Is(err, wasmhost.ErrInit) {
				t.Errorf("%s: alert-percent %q : %v, want a refusal", name, percent, err)
			}
		}
	}
}

// A store that holds something else under the handler's keys is a failure: retried, then a dead letter, never overwritten.
func TestStatsCorruptStore(t *testing.T) {
	for _, key := range []string{"count", "last", "seen/1", "window/m"} {
		for name, node := range bothStats(t, nil) {
			t.Run(key+"/"+name, func(t *testing.T) {
				node.kv[key] = []byte("no text")
				got := node.handle(t, reading(1, "m", "1"))
				if got.kind != wasmhost.Failed || got.reason == "" || len(node.kv) != 1 {
					t.Errorf("%+v and a store of %q, want a failure that changes nothing", got, node.kv)
				}
			})
		}
	}
}

// TestStatsAgree gives both versions a long stream with everything in it, and compares all that they do.
func TestStatsAgree(t *testing.T) {
	const seed = 1
	both := bothStats(t, map[string]string{"alert-percent": "80"})
	seen := map[string]int{}
	for _, content := range stream(rand.New(rand.NewPCG(seed, 0)), 3000) {
		result := agree(t, both, content)
		seen[result.kind.String()]++
		seen["alert"] += len(result.sends)
	}
	for _, kind := range []string{"ack", "reject", "alert"} {
		if seen[kind] == 0 {
			t.Errorf("the stream has no %s: %v", kind, seen)
		}
	}
}

// stream returns readings with gaps, repetitions, disorder, wild values and damage.
func stream(r *rand.Rand, length int) []string {
	var contents []string
	metrics := []string{"load1", "net.eth0/rx", "a_b-C", strings.Repeat("m", 64)}
	for n := range length {
		value := fmt.Sprintf("%.*f", r.IntN(8), r.NormFloat64()*float64(int(1)<<r.IntN(28)))
		content := reading(max(1, n-r.IntN(3)/2*r.IntN(9)), metrics[r.IntN(len(metrics))], value)
		if r.IntN(10) == 0 {
			at := r.IntN(len(content))
			content = content[:at] + string(rune(r.IntN(128))) + content[at+r.IntN(2):]
		}
		contents = append(contents, content)
	}
	return contents
}

// agree gives content to both versions and fails the test if they differ in anything.
func agree(t *testing.T, both map[string]*node, content string) result {
	t.Helper()
	g, w := both["go"].handle(t, content), both["wat"].handle(t, content)
	if g.kind != w.kind || g.reason != w.reason || !slices.Equal(g.replies, w.replies) || !slices.Equal(g.sends, w.sends) {
		t.Fatalf("%q:\ngo  %+v\nwat %+v", content, g, w)
	}
	if !maps.EqualFunc(both["go"].kv, both["wat"].kv, slices.Equal) {
		t.Fatalf("%q: the stores differ:\ngo  %q\nwat %q", content, both["go"].kv, both["wat"].kv)
	}
	return g
}

func FuzzStatsAgree(f *testing.F) {
	for _, content := range stream(rand.New(rand.NewPCG(2, 0)), 50) {
		f.Add(content)
	}
	both := bothStats(f, nil)
	f.Fuzz(func(t *testing.T, content string) {
		for _, node := range both {
			clear(node.kv)
		}
		agree(t, both, content)
	})
}
