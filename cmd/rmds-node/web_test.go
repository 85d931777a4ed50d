package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/getevo/rmds/cmd/internal/chromium"
	"github.com/getevo/rmds/engine"
	stats "github.com/getevo/rmds/handlers/stats-wat"
)

// envShots names a directory for screenshots; without it none are made.
const envShots = "RMDS_SCREENSHOTS"

const plant = `
listen = "127.0.0.1:0"
show_payloads = true
[[channel]]
name = "readings"
role = "reader"
start = "all"
[[channel]]
name = "alerts"
role = "writer"
[[channel]]
name = "orders"
role = "writer"
[[handler]]
name = "stats"
module = "stats.wasm"
channels = ["readings"]
send = ["alerts"]
config = { alert-percent = "10" }
`

// hostile is what a script in a message would look like.
const hostile = `<img src=x onerror="window.harmed=1"><script>window.harmed=1</script>"'><svg onload=window.harmed=1>`

// peer starts a node in this process, quick to be heard.
func peer(t *testing.T, id, url string) *engine.Connection {
	t.Helper()
	cfg := engine.DefaultConfig()
	cfg.NodeID, cfg.StoragePath, cfg.NATSServers = id, filepath.Join(shortDir(t), "n.db"), []string{url}
	cfg.KeepaliveInterval, cfg.NodeOfflineTimeout, cfg.DiscoveryBroadcastInterval = 200*time.Millisecond, 2*time.Second, 200*time.Millisecond
	cfg.Logger = quietLog
	c, err := engine.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// reader makes a peer handle a channel's messages.
func reader(t *testing.T, c *engine.Connection, channel string) {
	t.Helper()
	h := &engine.Handler{Name: "show", Func: func(context.Context, *engine.Tx, *engine.Message) error { return nil }}
	if err := c.Join(channel, engine.ReadOnly, engine.WithStart(engine.StartAll)).Handle(h); err != nil {
		t.Fatal(err)
	}
}

// stream sends readings until the test is over.
func stream(t *testing.T, c *engine.Connection, every time.Duration) {
	ch := c.Join("readings", engine.WriteOnly)
	replies := &engine.Handler{Name: "replies", Func: func(context.Context, *engine.Tx, *engine.Message) error { return nil }}
	if err := ch.HandleReplies(replies); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	t.Cleanup(func() { cancel(); done.Wait() })
	done.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for n := 1; ; n++ {
			value := 20 + n%7
			if n%40 == 0 {
				value = 400 // an alert
			}
			_, err := ch.Send(ctx, []byte(fmt.Sprintf(`{"n":%d,"metric":"%s","value":%d.5}`, n, c.NodeID(), value)))
			if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, engine.ErrClosed) && !errors.Is(err, engine.ErrQueueFull) {
				t.Errorf("send: %v", err)
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
}

var pageAddress = regexp.MustCompile(`http://127\.0\.0\.1:\d+/`)

// TestWebPage looks at a node through a browser while it works, through an outage of NATS, dead letters and a kill.
func TestWebPage(t *testing.T) {
	browser := chromium.Start(t)
	server := natsServer(t)
	file, socket := configure(t, "plant-hub", server.URL(), plant)
	write(t, filepath.Dir(file), "stats.wasm", string(stats.Module))

	north, south := peer(t, "sensor-north", server.URL()), peer(t, "sensor-south", server.URL())
	control, ship := peer(t, "control-room", server.URL()), peer(t, "ship-aurora", server.URL())
	reader(t, control, "alerts")
	reader(t, control, "orders")
	reader(t, ship, "orders")
	hub := launch(t, file)
	hub.socket = socket
	hub.wait("web page")
	url := pageAddress.FindString(hub.seen[len(hub.seen)-1])
	hub.wait("node is up")
	stream(t, north, 8*time.Millisecond)
	stream(t, south, 40*time.Millisecond)

	page := browser.Open(url)
	page.Show(1440, 900, false)
	page.Wait(`document.getElementById("node")?.textContent === "plant-hub"`)
	page.Eval(`window.sameDocument = true`, nil)
	page.Wait(row("readers", "control-room", "orders", "up to date"))
	page.Wait(row("readers", "ship-aurora", "orders", "up to date"))
	page.Wait(row("handlers", "stats", "readings"))
	page.Wait(row("links", "sensor-north", "online", "from it"))
	page.Wait(`document.querySelector("#topology svg").getAttribute("aria-label").includes("sensor-south is online") && document.querySelector("#topology svg").getAttribute("aria-label").includes("sends to this node")`)
	page.Wait(`document.querySelectorAll("#topology .t-flow").length >= 2`)

	// A message that is a script becomes a dead letter, and its content is shown as what it is: text.
	if err := north.Join("readings", engine.WriteOnly).SendMessage([]byte(hostile), engine.WithHeader(`<b>k`, hostile)); err != nil {
		t.Fatal(err)
	}
	page.Wait(`document.querySelectorAll("#dead details").length === 1`)
	page.Eval(`document.querySelector("#dead summary").focus()`, nil)
	page.Key("Enter")
	page.Wait(`document.querySelector("#dead pre")`)
	var shown string
	page.Eval(`document.querySelector("#dead pre").textContent`, &shown)
	if shown != hostile {
		t.Errorf("the content is shown as %q", shown)
	}
	page.Wait(`document.querySelector("#dead .facts").textContent.includes("<b>k")`)
	unharmed(t, page)

	// One reader goes away, and then NATS does.
	if err := ship.Close(); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		hub.must("", "send", "orders", fmt.Sprintf("order %d", i))
	}
	page.Wait(row("readers", "ship-aurora", "orders", "offline", "5"))
	shots(t, page, "traffic")
	server.Stop()
	page.Wait(`document.getElementById("pill-nats").textContent === "NATS not connected"`)
	for i := range 7 {
		hub.must("", "send", "orders", fmt.Sprintf("order %d", i))
	}
	page.Wait(row("readers", "ship-aurora", "no NATS", "12"))
	page.Wait(row("readers", "control-room", "orders", "no NATS", "7"))
	page.Wait(`document.getElementById("banners").textContent.includes("No NATS")`)
	page.Wait(`document.getElementById("announce").textContent.includes("NATS is gone")`)
	page.Wait(`document.querySelector("#chart-waiting .outage")`)
	shots(t, page, "outage")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	page.Wait(`document.getElementById("pill-nats").textContent === "NATS connected"`)
	page.Wait(row("readers", "control-room", "orders", "up to date"))
	page.Wait(`document.getElementById("events").textContent.includes("disconnected")`)
	shots(t, page, "after")

	// A reload has the history; the same document has lived through all of it so far.
	page.Wait(`window.sameDocument`)
	page.Reload()
	page.Wait(`!window.sameDocument && document.querySelector("#chart-waiting .outage")`)
	page.Wait(`document.querySelectorAll("#dead details").length === 1`)

	// The keys reach the plots, and what they say is read out.
	page.Eval(`document.querySelector("#chart-waiting svg").focus()`, nil)
	page.Key("ArrowLeft")
	page.Wait(`document.querySelector("#chart-waiting [aria-live]").textContent.includes("waiting")`)

	hub.end(syscall.SIGKILL)
	page.Wait(`document.getElementById("pill-live").textContent === "contact lost"`)
	if faults := page.Faults(); len(faults) > 0 {
		t.Errorf("the page has faults: %q", faults)
	}
}

// row is true if a row of a table has all the words.
func row(section string, words ...string) string {
	return fmt.Sprintf(`[...document.querySelectorAll("#%s tbody tr")].some(r => ["%s"].every(w => r.textContent.includes(w)))`, section, strings.Join(words, `","`))
}

// unharmed holds that no script of a message has run and that none has become markup.
func unharmed(t *testing.T, page *chromium.Page) {
	t.Helper()
	var harmed bool
	page.Eval(`!!window.harmed || document.querySelectorAll("main img, main script, main b b, main [onerror], main [onload]").length > 0`, &harmed)
	if harmed {
		t.Error("a message has become markup")
	}
}

// shots looks at the page at both sizes in both looks: nothing may be wider than the window, and every picture has words.
func shots(t *testing.T, page *chromium.Page, name string) {
	t.Helper()
	dir := os.Getenv(envShots)
	for _, size := range []struct {
		name          string
		width, height int
	}{{"phone", 390, 844}, {"desktop", 1440, 900}} {
		for _, look := range []string{"dark", "light"} {
			page.Show(size.width, size.height, look == "dark")
			page.Wait(fmt.Sprintf(`innerWidth === %d && document.querySelector("#topology svg").clientWidth <= innerWidth`, size.width))
			page.Eval(`new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))`, nil)
			var wide []string
			page.Eval(`[...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll, pre, svg, thead, .unseen")).map(e => e.tagName + "." + e.className)`, &wide)
			if len(wide) > 0 {
				t.Errorf("%s, %s: wider than the window: %q", name, size.name, wide)
			}
			if dir != "" {
				page.Eval(`document.activeElement.blur(); scrollTo(0, 0)`, nil)
				page.Screenshot(filepath.Join(dir, name+"-"+size.name+"-"+look+".png"), true)
			}
		}
	}
	var mute int
	page.Eval(`[...document.querySelectorAll("svg[role=img]")].filter(e => !e.getAttribute("aria-label")).length`, &mute)
	if mute > 0 {
		t.Errorf("%s: %d pictures say nothing to a screen reader", name, mute)
	}
}

var quietLog = slog.New(slog.DiscardHandler)
