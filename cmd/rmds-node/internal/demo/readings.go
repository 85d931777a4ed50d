package demo

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
)

// source is one thing that this machine measures about itself.
type source struct {
	metric string
	read   func() (float64, error)
}

// sources finds out what the kernel offers here. It always finds something: the Go runtime measures itself.
func sources() []source {
	all := []source{
		{"load1", func() (float64, error) { return field("/proc/loadavg", "", 0) }},
		{"memory_available_mib", func() (float64, error) {
			kib, err := field("/proc/meminfo", "MemAvailable:", 1)
			return kib / 1024, err
		}},
		{"context_switches_million", func() (float64, error) {
			n, err := field("/proc/stat", "ctxt", 1)
			return n / 1e6, err
		}},
		{"cpu_seconds", func() (float64, error) {
			ticks, err := field("/proc/stat", "cpu", 1)
			return ticks / 100, err
		}},
		{"uptime_seconds", func() (float64, error) { return field("/proc/uptime", "", 0) }},
		{"network_received_mib", func() (float64, error) { return interfaces(1) }},
		{"disk_written_mib", diskWritten},
		{"heap_mib", heap},
	}
	zones, _ := filepath.Glob("/sys/class/thermal/thermal_zone*/temp") // the pattern is well formed
	for i, zone := range zones {
		all = append(all, source{fmt.Sprintf("temperature%d", i), func() (float64, error) {
			milli, err := field(zone, "", 0)
			return milli / 1000, err
		}})
	}
	var working []source
	for _, s := range all {
		if v, err := s.read(); err == nil && v >= 0 && v < 1e9 {
			working = append(working, s)
		}
	}
	return working
}

// field returns a number from the line of a file that starts with a word, or from the first line if word is empty.
func field(path, word string, index int) (float64, error) {
	var value float64
	found := false
	err := lines(path, func(f []string) error {
		if found || word != "" && (len(f) == 0 || f[0] != word) || len(f) <= index {
			return nil
		}
		var err error
		value, err = strconv.ParseFloat(f[index], 64)
		found = err == nil
		return err
	})
	if err == nil && !found {
		err = fmt.Errorf("%s has no %s", path, word)
	}
	return value, err
}

// interfaces sums a column of /proc/net/dev over all network interfaces, in MiB.
func interfaces(column int) (float64, error) {
	sum := 0.0
	err := lines("/proc/net/dev", func(f []string) error {
		if len(f) > column && strings.HasSuffix(f[0], ":") {
			n, err := strconv.ParseFloat(f[column], 64)
			sum += n
			return err
		}
		return nil
	})
	return sum / (1 << 20), err
}

// diskWritten sums what was written to whole disks, in MiB: /proc/diskstats counts sectors of 512 bytes.
func diskWritten() (float64, error) {
	sum := 0.0
	err := lines("/proc/diskstats", func(f []string) error {
		if len(f) < 10 {
			return nil
		}
		if _, err := os.Stat("/sys/block/" + f[2]); err != nil {
			return nil // a partition: its disk has it already
		}
		n, err := strconv.ParseFloat(f[9], 64)
		sum += n
		return err
	})
	return sum * 512 / (1 << 20), err
}

func heap() (float64, error) {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0, fmt.Errorf("no heap metric in %s", runtime.Version())
	}
	return float64(sample[0].Value.Uint64()) / (1 << 20), nil
}

// lines calls fn with the fields of each line of a file.
func lines(path string, fn func(fields []string) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for s.Scan() {
		if err := fn(strings.Fields(s.Text())); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return s.Err()
}

// encode makes the message of a reading, with thousandths at most, as the handler expects it.
func encode(n int, metric string, value float64) []byte {
	text := strconv.FormatFloat(math.Round(value*1000)/1000, 'f', -1, 64)
	return fmt.Appendf(nil, `{"n":%d,"metric":%q,"value":%s}`, n, metric, text)
}
