package main

import (
	"bufio"
	"fmt"
	"html"
	"io"
	"math"
)

// The picture: one row a system, on the left its rate, on the right its latency, both on logarithmic scales.
const (
	plotWidth  = 960
	labelWidth = 230
	panelWidth = 330
	panelGap   = 40
	rowHeight  = 26
	topMargin  = 48
)

// axis maps a value to a place in a panel.
type axis struct {
	left     float64
	low, top float64 // powers of ten
}

func (a axis) x(v float64) float64 {
	at := (math.Log10(max(v, math.Pow(10, a.low))) - a.low) / (a.top - a.low)
	return a.left + panelWidth*min(at, 1)
}

// plot draws rates and latencies as SVG.
func (r *results) plot(out io.Writer) error {
	w := bufio.NewWriter(out)
	height := topMargin + rowHeight*len(r.systems) + 30
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n", plotWidth, height)
	fmt.Fprintf(w, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", plotWidth, height)
	rate, latency := axis{labelWidth, 2, 6}, axis{labelWidth + panelWidth + panelGap, -1, 3}
	rate.grid(w, "sent, handled and acknowledged, per second", height, func(e int) string {
		return []string{"100", "1 k", "10 k", "100 k", "1 M"}[e-2]
	})
	latency.grid(w, "send to handler at 1,000/s: p50 to p99, ms", height, func(e int) string {
		return []string{"0.1", "1", "10", "100", "1000"}[e+1]
	})
	for i, s := range r.systems {
		y := topMargin + rowHeight*i
		colour := "#8a8f98"
		if s.client == r.systems[0].client {
			colour = "#0b6bcb"
		}
		fmt.Fprintf(w, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", labelWidth-8, y+17, html.EscapeString(s.name))
		rs := r.rates[s.name]
		if len(rs) == 0 {
			continue
		}
		v := column(rs, func(v rates) float64 { return v.PerSecond })
		bar(w, rate.left, rate.x(v.Median), y, colour)
		whisker(w, rate.x(v.Min), rate.x(v.Max), y)
		p50, p99 := column(rs, func(v rates) float64 { return v.P50 }), column(rs, func(v rates) float64 { return v.P99 })
		bar(w, latency.x(p50.Median), max(latency.x(p99.Median), latency.x(p50.Median)+2), y, colour)
	}
	fmt.Fprintln(w, `</svg>`)
	return w.Flush()
}

func (a axis) grid(w io.Writer, title string, height int, label func(exponent int) string) {
	fmt.Fprintf(w, `<text x="%.0f" y="18" font-weight="bold">%s</text>`+"\n", a.left, title)
	for e := int(a.low); e <= int(a.top); e++ {
		x := a.x(math.Pow(10, float64(e)))
		fmt.Fprintf(w, `<line x1="%.0f" y1="%d" x2="%.0f" y2="%d" stroke="#e3e5e8"/>`+"\n", x, topMargin-4, x, height-24)
		fmt.Fprintf(w, `<text x="%.0f" y="%d" text-anchor="middle" fill="#555">%s</text>`+"\n", x, height-8, label(e))
	}
}

func bar(w io.Writer, from, to float64, y int, colour string) {
	fmt.Fprintf(w, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", from, y+4, to-from, rowHeight-10, colour)
}

// whisker shows the smallest and the largest round.
func whisker(w io.Writer, from, to float64, y int) {
	middle := y + 4 + (rowHeight-10)/2
	fmt.Fprintf(w, `<path d="M%.1f %dH%.1fM%.1f %dv8M%.1f %dv8" stroke="#222" fill="none"/>`+"\n", from, middle, to, from, middle-4, to, middle-4)
}
