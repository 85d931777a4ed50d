package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
)

// markdown writes the tables.
func (r *results) markdown(out io.Writer) error {
	w := bufio.NewWriter(out)
	fmt.Fprintf(w, "# Results\n\nWritten by `go run .` in this folder: do not edit. Processes on one machine over loopback: %s, %s, Go %s, %d cores. "+
		"Messages are JSON readings of %d bytes, no two alike. Medians of rounds that take the systems in turn, smallest and largest in brackets; "+
		"compare inside one run only.\n", runtime.GOOS, runtime.GOARCH, strings.TrimPrefix(runtime.Version(), "go"), runtime.NumCPU(), messageSize)
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		fmt.Fprintf(w, "\nLoad average at the end: %s.\n", strings.Join(strings.Fields(string(load))[:3], ", "))
	}
	if len(r.rates) > 0 {
		fmt.Fprint(w, "\n![End to end per second, and latency](results.svg)\n")
		r.rateTables(w)
	}
	r.recoveryTable(w)
	r.fanOutTable(w)
	r.trafficTable(w)
	r.fleetTable(w)
	r.diskTables(w)
	for i, s := range r.skipped {
		if i == 0 {
			fmt.Fprint(w, "\n## Not measured\n\n")
		}
		fmt.Fprintf(w, "- %s\n", s)
	}
	return w.Flush()
}

// column returns the spread of one value over a system's rounds.
func column[T any](rounds []T, f func(T) float64) spread {
	values := make([]float64, len(rounds))
	for i, v := range rounds {
		values[i] = f(v)
	}
	return spreadOf(values)
}

// thousands prints a rate and its spread.
func (s spread) thousands() string {
	return fmt.Sprintf("%s (%s–%s)", thousand(s.Median), thousand(s.Min), thousand(s.Max))
}

func thousand(v float64) string {
	switch {
	case v >= 99_950:
		return fmt.Sprintf("%.0f k", v/1000)
	case v >= 1000:
		return fmt.Sprintf("%.1f k", v/1000)
	}
	return fmt.Sprintf("%.0f", v)
}

func (s spread) plain(digits int) string {
	return fmt.Sprintf("%.*f (%.*f–%.*f)", digits, s.Median, digits, s.Min, digits, s.Max)
}

// ratios is how many times the first system's rate every round's partner had.
func (r *results) ratios(name string) string {
	ours, theirs := r.rates[r.systems[0].name], r.rates[name]
	if name == r.systems[0].name {
		return "1"
	}
	values := make([]float64, min(len(ours), len(theirs)))
	for i := range values {
		values[i] = ours[i].PerSecond / theirs[i].PerSecond
	}
	return spreadOf(values).plain(2)
}

func (r *results) rateTables(w io.Writer) {
	fmt.Fprintf(w, "\n## Sent, handled and acknowledged\n\nOne sender, one reader. The RMDS handlers count in their store, in the transaction that acknowledges; "+
		"the others' handlers do nothing. Ratios are taken round by round.\n\n"+
		"| | accepted means | per second | %s is times as fast | CPU µs per message, all processes |\n|---|---|---|---|---|\n", r.systems[0].name)
	for _, s := range r.systems {
		rs := r.rates[s.name]
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s |\n", s.name, s.accepted, column(rs, func(v rates) float64 { return v.PerSecond }).thousands(),
			r.ratios(s.name), column(rs, func(v rates) float64 { return v.CPU }).plain(1))
	}
	fmt.Fprint(w, "\n## Latency at 1,000 messages per second, ms\n\nFrom before the send to the start of the handler, and until the send was accepted.\n\n"+
		"| | p50 | p99 | accepted, p50 |\n|---|---|---|---|\n")
	for _, s := range r.systems {
		rs := r.rates[s.name]
		fmt.Fprintf(w, "| %s | %s | %s | %s |\n", s.name, column(rs, func(v rates) float64 { return v.P50 }).plain(2),
			column(rs, func(v rates) float64 { return v.P99 }).plain(2), column(rs, func(v rates) float64 { return v.Accept50 }).plain(2))
	}
	fmt.Fprint(w, "\n## Accepted per second when every caller waits for each message\n\n| | 1 caller | 256 callers |\n|---|---|---|\n")
	for _, s := range r.systems {
		rs := r.rates[s.name]
		fmt.Fprintf(w, "| %s | %s | %s |\n", s.name, column(rs, func(v rates) float64 { return v.Single }).thousands(),
			column(rs, func(v rates) float64 { return v.Many }).thousands())
	}
}

func (r *results) recoveryTable(w io.Writer) {
	if len(r.recovery) == 0 {
		return
	}
	fmt.Fprintf(w, "\n## After an outage\n\nThe hub is killed (-9), the box accepts a backlog of %d messages (a twentieth of it where each is fsynced), and after %v the hub "+
		"is started again. Systems whose box cannot accept without the hub are left out. Handled again: messages that the reader got twice.\n\n"+
		"| | first message after, s | then per second | handled again |\n|---|---|---|---|\n", r.options.backlog, r.options.outage)
	for _, s := range r.systems {
		if rs := r.recovery[s.name]; len(rs) > 0 {
			fmt.Fprintf(w, "| %s | %s | %s | %s |\n", s.name, column(rs, func(v recovery) float64 { return v.First }).plain(2),
				column(rs, func(v recovery) float64 { return v.Drain }).thousands(), column(rs, func(v recovery) float64 { return v.Again }).plain(0))
		}
	}
}

func (r *results) fanOutTable(w io.Writer) {
	if len(r.fanOut) == 0 {
		return
	}
	fmt.Fprint(w, "\n## Fan-out\n\nDeliveries per second and CPU of all processes per delivery. All readers in one process; of RMDS each is a node with a database of its own.\n\n"+
		"| | 1 reader | 10 readers | CPU µs, 1 reader | CPU µs, 10 readers |\n|---|---|---|---|---|\n")
	for _, s := range r.systems {
		if f := r.fanOut[s.name]; f != nil {
			rate := func(v [2]float64) float64 { return v[0] }
			cpu := func(v [2]float64) float64 { return v[1] }
			fmt.Fprintf(w, "| %s | %s | %s | %s | %s |\n", s.name, column(f[1], rate).thousands(), column(f[10], rate).thousands(),
				column(f[1], cpu).plain(1), column(f[10], cpu).plain(1))
		}
	}
}

func (r *results) trafficTable(w io.Writer) {
	if len(r.traffic) == 0 {
		return
	}
	fmt.Fprintf(w, "\n## Bytes on the box's connection to the hub\n\nPer message of %d bytes, both ways, acknowledgements, presence and the protocol's own text included, TCP and IP headers not.\n\n"+
		"| | 1,000/s, each alone | of the payload | full speed | of the payload |\n|---|---|---|---|---|\n", messageSize)
	for _, s := range r.systems {
		for _, t := range r.traffic[s.name] {
			fmt.Fprintf(w, "| %s | %.0f | %.2f | %.0f | %.2f |\n", s.name, t.Steady, t.Steady/messageSize, t.Full, t.Full/messageSize)
		}
	}
}

func (r *results) diskTables(w io.Writer) {
	if len(r.rates) > 0 {
		fmt.Fprint(w, "\n## Bytes written to disk per message at full speed\n\nAs the kernel counts them for each process.\n\n| | sender | servers | reader |\n|---|---|---|---|\n")
		for _, s := range r.systems {
			rs := r.rates[s.name]
			fmt.Fprintf(w, "| %s | %s | %s | %s |\n", s.name, column(rs, func(v rates) float64 { return v.SendWritten }).plain(0),
				column(rs, func(v rates) float64 { return v.ServerWritten }).plain(0), column(rs, func(v rates) float64 { return v.RecvWritten }).plain(0))
		}
	}
	if len(r.slowSyncs) > 0 {
		fmt.Fprint(w, "\n## fsync calls per 1,000 messages\n\nCounted by strace, which slows what it traces at full speed.\n\n"+
			"| | sender, 10/s | servers, 10/s | reader, 10/s | sender, full speed | servers | reader |\n|---|---|---|---|---|---|---|\n")
		for _, s := range r.systems {
			a, b := r.slowSyncs[s.name], r.fastSyncs[s.name]
			fmt.Fprintf(w, "| %s | %.0f | %.0f | %.0f | %.1f | %.1f | %.1f |\n", s.name, a.Sender, a.Servers, a.Receiver, b.Sender, b.Servers, b.Receiver)
		}
	}
	if len(r.footprints) > 0 {
		fmt.Fprint(w, "\n## Footprint, idle\n\n| | stripped binary, MB | RSS, MB | CPU, % of a core |\n|---|---|---|---|\n")
		for _, f := range r.footprints {
			fmt.Fprintf(w, "| %s | %.1f | %.1f | %.2f |\n", f.Name, float64(f.Size)/1e6, float64(f.RSS)/1e6, f.CPU)
		}
	}
}
