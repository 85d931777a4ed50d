package web

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/getevo/rmds/cmd/internal/chromium"
	"github.com/getevo/rmds/cmd/rmds-node/internal/admin"
)

// fleet is a node with more of everything than one looks at.
func fleet() admin.Status {
	s := admin.Status{Node: "hub-" + fmt.Sprintf("%058d", 7), Version: "1", Run: "r", Started: time.Now(), Connected: true, Troubles: []string{"auth: permission denied for <b>x</b>"},
		Channels: []admin.ChannelStatus{{Name: "readings", Role: "both"}}}
	for i := range 60 {
		p := admin.PeerStatus{Node: fmt.Sprintf("box-%02d-with-a-long-name-of-its-own", i), Online: i%7 != 0, State: "ok", LastHeard: time.Now(), Handled: int64(i),
			Readers: []admin.ReaderStatus{}, Links: []admin.LinkStatus{}}
		if i%2 == 0 {
			p.Readers = []admin.ReaderStatus{{Channel: "plant.line-4.temperature.of-the-oven", Queued: int64(i * 1000), Count: 5, Oldest: time.Now().Add(-time.Duration(i) * time.Hour)}}
			p.Queued = int64(i * 1000)
		} else {
			p.Links = []admin.LinkStatus{{Domain: "s", Open: true, Channels: []string{"readings"}}}
		}
		s.Peers, s.Queued = append(s.Peers, p), s.Queued+p.Queued
	}
	for i := range 9 {
		s.Handlers = append(s.Handlers, admin.HandlerStatus{Name: fmt.Sprintf("handler-%d", i), Channels: []string{"readings"}, Runs: 3, Failed: 1,
			Latency: []admin.Bucket{{Seconds: 1, Runs: 2}}, Error: "trap: out of bounds memory access in a function with a long name", ErrorAt: time.Now()})
	}
	return s
}

// TestPageOfManyAndOfNone shows a fleet, and a node that is alone: nothing is wider than the window, and what is not
// drawn one by one is summed up.
func TestPageOfManyAndOfNone(t *testing.T) {
	browser := chromium.Start(t)
	for _, tt := range []struct {
		name   string
		status admin.Status
		narrow string // what is true of the picture at 390 pixels
		wide   string // and at 1440
	}{
		{"fleet", fleet(), drawn(8, "27 more nodes"), drawn(16, "23 more nodes")},
		{"alone", admin.Status{Node: "alone", Run: "r", Started: time.Now(), Troubles: []string{},
			Channels: []admin.ChannelStatus{}, Handlers: []admin.HandlerStatus{}, Peers: []admin.PeerStatus{}}, drawn(0, "no other node heard yet"), drawn(0, "no other node heard yet")},
	} {
		s, _ := serve(t, Options{}, &fake{status: tt.status})
		page := browser.Open(s.URL())
		for _, width := range []int{390, 1440} {
			page.Show(width, 900, width == 1440)
			page.Wait(fmt.Sprintf(`innerWidth === %d && document.getElementById("node").textContent === %q`, width, tt.status.Node))
			page.Wait(map[int]string{390: tt.narrow, 1440: tt.wide}[width])
			page.Wait(`document.querySelector("#chart-rates .line")`)
			var wide []string
			page.Eval(`[...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll, svg, thead, .unseen")).map(e => e.tagName + "." + e.className)`, &wide)
			if len(wide) > 0 {
				t.Errorf("%s, %d: wider than the window: %q", tt.name, width, wide)
			}
			if dir := os.Getenv("RMDS_SCREENSHOTS"); dir != "" {
				page.Screenshot(filepath.Join(dir, fmt.Sprintf("%s-%d.png", tt.name, width)), true)
			}
		}
		if faults := page.Faults(); len(faults) > 0 {
			t.Errorf("%s: %q", tt.name, faults)
		}
	}
}

// drawn is true when the picture has that many other nodes, and the words.
func drawn(nodes int, words string) string {
	return fmt.Sprintf(`document.querySelectorAll("#topology .t-box").length === %d && document.querySelector("#topology svg").textContent.includes(%q)`, nodes, words)
}
