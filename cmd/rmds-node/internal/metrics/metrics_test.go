package metrics

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getevo/rmds/cmd/rmds-node/internal/admin"
)

var now = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func status() *admin.Status {
	return &admin.Status{
		Node: "hub", Version: `1.0 "x"\y` + "\nz\xff", StoreID: "0a", Run: "0b", Started: now.Add(-time.Hour), Connected: true,
		Troubles: []string{"storage: disk is full", "auth: denied"}, Queued: 7, Accepted: 1 << 53, Dead: 3,
		DeadBy: map[string]int64{"rejected": 2, "ttl": 1}, DeadKept: 9, DiskBytes: 4096,
		Handlers: []admin.HandlerStatus{{Name: "stats", Runs: 10, Failed: 2, Rejected: 1, Busy: 1.25,
			Latency: []admin.Bucket{{Seconds: 0.0001, Runs: 4}, {Seconds: 1, Runs: 9}}}},
		Peers: []admin.PeerStatus{
			{Node: "a", Online: true, Readers: []admin.ReaderStatus{{Channel: "x", Queued: 2, Oldest: now.Add(-3 * time.Second)}, {Channel: ""}}},
			{Node: "b", Readers: []admin.ReaderStatus{{Channel: "x", Queued: 5, Oldest: now.Add(-90 * time.Second)}}},
		},
	}
}

var (
	metricName = regexp.MustCompile(`^rmds_[a-z_]+$`)
	sampleLine = regexp.MustCompile(`^([a-z_]+)(?:\{(.*)\})? (\S+)$`)
	label      = regexp.MustCompile(`^([a-z_]+)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(?:,|$)`)
)

// parse reads the text by the rules of the format and returns the samples: name and labels as written, and value.
func parse(t *testing.T, text string) map[string]float64 {
	t.Helper()
	samples := map[string]float64{}
	family, kind, helped := "", "", map[string]bool{}
	if !strings.HasSuffix(text, "\n") {
		t.Error("the text does not end in a line feed")
	}
	for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if rest, ok := strings.CutPrefix(line, "# HELP "); ok {
			name, help, _ := strings.Cut(rest, " ")
			if helped[name] || help == "" || !metricName.MatchString(name) {
				t.Errorf("bad or second help: %s", line)
			}
			family, kind, helped[name] = name, "", true
			continue
		}
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			var name string
			name, kind, _ = strings.Cut(rest, " ")
			if name != family || kind == "counter" != strings.HasSuffix(name, "_total") {
				t.Errorf("type does not fit: %s", line)
			}
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("no sample: %q", line)
			continue
		}
		base := m[1]
		if kind == "histogram" {
			base = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(base, "_bucket"), "_sum"), "_count")
		}
		if base != family || kind == "" {
			t.Errorf("a sample outside its family %s: %s", family, line)
		}
		for rest := m[2]; rest != ""; {
			l := label.FindString(rest)
			if l == "" {
				t.Errorf("bad labels: %s", line)
				break
			}
			rest = rest[len(l):]
		}
		v, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			t.Errorf("bad value: %s", line)
		}
		key, _, _ := strings.Cut(line, " "+m[3])
		if _, ok := samples[key]; ok {
			t.Errorf("a second sample of %s", key)
		}
		samples[key] = v
	}
	return samples
}

func write(s *admin.Status) string {
	var b bytes.Buffer
	Write(&b, s, now)
	return b.String()
}

func TestWrite(t *testing.T) {
	text := write(status())
	samples := parse(t, text)
	for key, want := range map[string]float64{
		"rmds_nats_connected":                                                 1,
		`rmds_trouble{kind="storage"}`:                                        1,
		`rmds_peers{state="online"}`:                                          1,
		`rmds_peers{state="offline"}`:                                         1,
		"rmds_queued_messages":                                                7,
		"rmds_accepted_messages_total":                                        1 << 53,
		"rmds_oldest_unacknowledged_age_seconds":                              90,
		`rmds_reader_oldest_unacknowledged_age_seconds{node="a",channel="x"}`: 3,
		`rmds_reader_queued_messages{node="a",channel=""}`:                    0,
		`rmds_dropped_messages_total{reason="rejected"}`:                      2,
		"rmds_dead_letters":                                                   9,
		"rmds_database_size_bytes":                                            4096,
		"rmds_start_time_seconds":                                             float64(now.Add(-time.Hour).Unix()),
		`rmds_handler_failures_total{handler="stats",outcome="failed"}`:       2,
		`rmds_handler_duration_seconds_bucket{handler="stats",le="0.0001"}`:   4,
		`rmds_handler_duration_seconds_bucket{handler="stats",le="+Inf"}`:     10,
		`rmds_handler_duration_seconds_sum{handler="stats"}`:                  1.25,
		`rmds_handler_duration_seconds_count{handler="stats"}`:                10,
	} {
		if got, ok := samples[key]; !ok || got != want {
			t.Errorf("%s is %v (%v), want %v", key, got, ok, want)
		}
	}
	if want := `version="1.0 \"x\"\\y\nz` + "\uFFFD" + `"`; !strings.Contains(text, want) {
		t.Errorf("the version is not escaped as %s in\n%s", want, text)
	}
}

func TestEmptyStatus(t *testing.T) { parse(t, write(&admin.Status{})) }

// TestReadersAreBounded holds that a fleet of any size makes a bounded number of series, of those with the most waiting.
func TestReadersAreBounded(t *testing.T) {
	s := &admin.Status{}
	for i := range 5 * MaxReaders {
		s.Peers = append(s.Peers, admin.PeerStatus{Node: fmt.Sprintf("n%d", i), Readers: []admin.ReaderStatus{{Channel: "x", Queued: int64(i)}}})
	}
	samples := parse(t, write(s))
	n := 0
	for key := range samples {
		if strings.HasPrefix(key, "rmds_reader_queued_messages{") {
			n++
		}
	}
	deepest := fmt.Sprintf(`rmds_reader_queued_messages{node="n%d",channel="x"}`, 5*MaxReaders-1)
	if _, ok := samples[deepest]; n != MaxReaders || !ok || samples["rmds_readers"] != 5*MaxReaders {
		t.Errorf("%d readers listed of %v, the deepest among them: %v", n, samples["rmds_readers"], ok)
	}
}
