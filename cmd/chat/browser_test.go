package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var screenshots = flag.String("screenshots", "", "directory to leave pictures of the pages in")

// browser is a Chromium without a window, spoken to over its debugging pipe: JSON messages that end in a zero byte.
type browser struct {
	t       *testing.T
	in      io.Writer
	replies chan message
	id      int
}

type message struct {
	ID     int             `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// startBrowser skips the test where there is no Chromium.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		t.Skip("no chromium in the path: apt-get install chromium")
	}
	toBrowser, in, err := os.Pipe()
	check(t, err)
	out, fromBrowser, err := os.Pipe()
	check(t, err)
	cmd := exec.Command(path, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--user-data-dir="+t.TempDir(), "--remote-debugging-pipe", "about:blank")
	cmd.ExtraFiles = []*os.File{toBrowser, fromBrowser} // 3 and 4, as Chromium wants them
	check(t, cmd.Start())
	check(t, toBrowser.Close())
	check(t, fromBrowser.Close())
	b := &browser{t: t, in: in, replies: make(chan message)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for r := bufio.NewReader(out); ; {
			raw, err := r.ReadBytes(0)
			if err != nil {
				return
			}
			var m message
			if json.Unmarshal(bytes.TrimSuffix(raw, []byte{0}), &m) == nil && m.ID != 0 { // events have no id
				b.replies <- m
			}
		}
	}()
	t.Cleanup(func() {
		_, _ = io.WriteString(in, `{"id":0,"method":"Browser.close"}`+"\x00") // the kill below is for when it does not
		_ = in.Close()
		ended := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		ended.Stop()
		<-read
		_ = out.Close()
	})
	return b
}

// call calls a method of the DevTools protocol, in a page's session or, without one, in the browser.
func (b *browser) call(session, method string, params, result any) {
	b.t.Helper()
	b.id++
	raw, err := json.Marshal(map[string]any{"id": b.id, "sessionId": session, "method": method, "params": params})
	if session == "" {
		raw, err = json.Marshal(map[string]any{"id": b.id, "method": method, "params": params})
	}
	check(b.t, err)
	_, err = b.in.Write(append(raw, 0))
	check(b.t, err)
	select {
	case m := <-b.replies:
		switch {
		case m.ID != b.id:
			b.t.Fatalf("%s: the browser answers call %d, not %d", method, m.ID, b.id)
		case m.Error != nil:
			b.t.Fatalf("%s: %s", method, m.Error.Message)
		case result != nil:
			check(b.t, json.Unmarshal(m.Result, result))
		}
	case <-time.After(time.Minute):
		b.t.Fatalf("%s: the browser does not answer", method)
	}
}

// tab is an open page.
type tab struct {
	b             *browser
	name, session string
}

// open opens a page in a window of a phone's size.
func (b *browser) open(name, url string) *tab {
	b.t.Helper()
	var target struct{ TargetID, SessionID string }
	b.call("", "Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	b.call("", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &target)
	p := &tab{b, name, target.SessionID}
	p.size(390, 844, true)
	b.call(p.session, "Page.navigate", map[string]any{"url": url}, nil)
	p.wait("document.readyState == 'complete' && document.querySelectorAll('#log p').length > 0")
	return p
}

func (p *tab) size(width, height int, mobile bool) {
	p.b.t.Helper()
	p.b.call(p.session, "Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 2, "mobile": mobile}, nil)
}

// eval returns what an expression is in the page, as JSON.
func (p *tab) eval(expression string) string {
	p.b.t.Helper()
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct{ Text string }
	}
	p.b.call(p.session, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &r)
	if r.ExceptionDetails != nil {
		p.b.t.Fatalf("%s: %s: %s", p.name, expression, r.ExceptionDetails.Text)
	}
	return string(r.Result.Value)
}

func (p *tab) wait(condition string) {
	p.b.t.Helper()
	for end := time.Now().Add(time.Minute); p.eval(condition) != "true"; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			p.picture("failed")
			p.b.t.Fatalf("%s's page: not %s; it shows\n%s", p.name, condition, p.eval("document.body.innerText"))
		}
	}
}

// enter types a line, key events and all, and presses Enter.
func (p *tab) enter(text string) {
	p.b.t.Helper()
	p.eval("document.getElementById('text').focus()")
	p.b.call(p.session, "Input.insertText", map[string]any{"text": text}, nil)
	for _, kind := range []string{"keyDown", "keyUp"} {
		p.b.call(p.session, "Input.dispatchKeyEvent", map[string]any{"type": kind, "key": "Enter", "code": "Enter", "text": "\r", "windowsVirtualKeyCode": 13}, nil)
	}
}

// messages returns the texts of the conversation's messages.
func (p *tab) messages() (texts []string) {
	p.b.t.Helper()
	check(p.b.t, json.Unmarshal([]byte(p.eval("[...document.querySelectorAll('#log p:not(.system) span')].map(e => e.textContent)")), &texts))
	return texts
}

func (p *tab) picture(name string) {
	p.b.t.Helper()
	if *screenshots == "" {
		return
	}
	var r struct{ Data string }
	p.b.call(p.session, "Page.captureScreenshot", map[string]any{}, &r)
	png, err := base64.StdEncoding.DecodeString(r.Data)
	check(p.b.t, err)
	check(p.b.t, os.WriteFile(filepath.Join(*screenshots, p.name+"-"+name+".png"), png, 0o600))
}

// TestBrowser is the seed's demo with four users in a browser, through an outage of NATS: what was typed meanwhile arrives,
// in order and once. One of the messages would like to be a program.
func TestBrowser(t *testing.T) {
	b := startBrowser(t)
	port, dir := freePort(t), t.TempDir()
	nats := startNATS(t, port)
	var users []*user
	var tabs []*tab
	for _, u := range []struct{ name, mode string }{{"alice", "writer"}, {"bob", "rw"}, {"lisa", "reader"}, {"andy", "reader"}} {
		user := startUser(t, dir, u.name, u.mode, port)
		users = append(users, user)
		tabs = append(tabs, b.open(u.name, fmt.Sprintf("http://localhost:%d/", user.web)))
	}
	alice, bob, readers := tabs[0], tabs[1], tabs[1:]
	const hostile = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>&amp; ` + "\u202e"
	want := []string{"Good morning, everybody", hostile}
	for _, text := range want {
		alice.enter(text)
	}
	for _, r := range readers {
		r.wait("document.querySelectorAll('#log p:not(.system)').length >= 2")
	}

	nats.Shutdown()
	nats.WaitForShutdown()
	alice.wait("document.getElementById('state').textContent.includes('NATS is away')")
	for i := range 5 {
		text := fmt.Sprintf("typed during the outage, %d", i+1)
		alice.enter(text)
		want = append(want, text)
	}
	alice.wait("document.querySelectorAll('#log p.own').length == 7")
	alice.wait("document.getElementById('state').textContent.match(/1[5-8] waiting for delivery/) != null") // 15, and what was not acknowledged before
	alice.picture("away")
	if got := alice.messages(); !slices.Equal(got, want) {
		t.Errorf("alice's own page shows %q, want %q", got, want)
	}
	if n := len(bob.messages()); n != 2 {
		t.Errorf("during the outage bob's page shows %d messages", n)
	}
	startNATS(t, port)
	for _, r := range readers {
		r.wait("document.querySelectorAll('#log p:not(.system)').length >= 7")
		r.wait("!document.getElementById('state').textContent.includes('away')")
	}
	alice.wait("!document.getElementById('state').textContent.includes('waiting')") // the acknowledgements are in
	alice.enter("/stats")
	alice.wait("document.getElementById('answer').textContent.includes('Delivered: 21\\nQueued: 0')")
	bob.enter("Good to be back")
	want = append(want, "Good to be back")
	tabs[2].enter("may I?")
	tabs[2].wait("document.getElementById('answer').textContent.includes('not a writer')")
	for _, r := range readers {
		r.wait("document.querySelectorAll('#log p:not(.system)').length >= 8")
		if got := r.messages(); !slices.Equal(got, want) {
			t.Errorf("%s's page shows %q, want %q", r.name, got, want)
		}
	}
	for _, p := range tabs {
		if title := p.eval("document.title"); !strings.Contains(title, p.name) {
			t.Errorf("the title of %s's page is %s", p.name, title)
		}
		if p.eval("document.querySelectorAll('#log img, #log script').length") != "0" {
			t.Errorf("%s's page made elements of a text", p.name)
		}
		if p.eval("document.documentElement.scrollWidth <= window.innerWidth") != "true" {
			t.Errorf("%s's page is wider than a phone", p.name)
		}
		p.picture("phone")
	}
	bob.size(1280, 800, false)
	bob.picture("desktop")
	b.call(bob.session, "Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": "dark"}}}, nil)
	bob.picture("dark")
	for _, u := range users {
		u.quit()
	}
}
