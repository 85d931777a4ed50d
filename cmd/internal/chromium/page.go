package chromium

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// Page is a tab. Its methods end the test when the browser fails them.
type Page struct {
	b       *Browser
	session string

	mu     sync.Mutex
	faults []string
}

// Open opens a page in a tab of its own.
func (b *Browser) Open(url string) *Page {
	b.t.Helper()
	var target struct {
		TargetID string `json:"targetId"`
	}
	b.call("", "Target.createTarget", params{"url": "about:blank"}, &target)
	var attached struct {
		SessionID string `json:"sessionId"`
	}
	b.call("", "Target.attachToTarget", params{"targetId": target.TargetID, "flatten": true}, &attached)
	p := &Page{b: b, session: attached.SessionID}
	b.mu.Lock()
	b.pages[p.session] = p
	b.mu.Unlock()
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		p.call(domain+".enable", nil, nil)
	}
	p.call("Page.navigate", params{"url": url}, nil)
	return p
}

func (p *Page) call(method string, in, out any) {
	p.b.t.Helper()
	p.b.call(p.session, method, in, out)
}

// event notes what went wrong inside the page.
func (p *Page) event(method string, raw json.RawMessage) {
	var e struct {
		Details exception `json:"exceptionDetails"`
		Type    string    // of a call to console
		Args    []struct{ Value, Description string }
		Entry   struct {
			Source, Level, Text, URL string
		} `json:"entry"`
	}
	_ = json.Unmarshal(raw, &e) // what does not fit stays empty
	fault := ""
	switch {
	case method == "Runtime.exceptionThrown":
		fault = e.Details.String()
	case method == "Log.entryAdded" && e.Entry.Level == "error" && e.Entry.Source != "network":
		fault = e.Entry.Source + ": " + e.Entry.Text + " " + e.Entry.URL
	case method == "Runtime.consoleAPICalled" && e.Type == "error":
		fault = fmt.Sprintf("console: %+v", e.Args)
	default:
		return
	}
	p.mu.Lock()
	p.faults = append(p.faults, fault)
	p.mu.Unlock()
}

// Faults returns the uncaught exceptions and the errors, breaches of the page's security policy among them, so far.
// Failed requests do not count.
func (p *Page) Faults() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.faults...)
}

// Eval evaluates JavaScript, waits if that is a promise, and decodes the value into out, which may be nil.
func (p *Page) Eval(script string, out any) {
	p.b.t.Helper()
	if err := p.try(script, out); err != nil {
		p.b.t.Fatalf("%s: %v", script, err)
	}
}

func (p *Page) try(script string, out any) error {
	p.b.t.Helper()
	var r struct {
		Result struct {
			Value json.RawMessage `json:"value"`
		} `json:"result"`
		Details *exception `json:"exceptionDetails"`
	}
	in := params{"expression": script, "returnByValue": true, "awaitPromise": true}
	if err := p.b.try(p.session, "Runtime.evaluate", in, &r); err != nil {
		return err
	}
	if r.Details != nil {
		return errors.New(r.Details.String())
	}
	if out != nil {
		return json.Unmarshal(r.Result.Value, out)
	}
	return nil
}

// Reload loads the page again.
func (p *Page) Reload() {
	p.b.t.Helper()
	p.call("Page.reload", nil, nil)
}

// Wait waits until a JavaScript expression is true. While a page is being loaded it may fail, too.
func (p *Page) Wait(expression string) {
	p.b.t.Helper()
	for end := time.Now().Add(deadline); ; time.Sleep(50 * time.Millisecond) {
		var yes bool
		err := p.try("!!("+expression+")", &yes)
		if err == nil && yes {
			return
		}
		if time.Now().After(end) {
			var text string
			p.Eval("document.body.innerText", &text)
			p.b.t.Fatalf("never came true: %s (%v)\nfaults: %q\nthe page says:\n%s", expression, err, p.Faults(), text)
		}
	}
}

// Key presses a key, by the name that a KeyboardEvent has for it: Tab, Enter, ArrowLeft.
func (p *Page) Key(name string) {
	p.b.t.Helper()
	code := map[string]int{"Tab": 9, "Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowRight": 39}[name]
	down := params{"type": "keyDown", "key": name, "code": name, "windowsVirtualKeyCode": code}
	if name == "Enter" {
		down["text"] = "\r"
	}
	p.call("Input.dispatchKeyEvent", down, nil)
	p.call("Input.dispatchKeyEvent", params{"type": "keyUp", "key": name, "code": name, "windowsVirtualKeyCode": code}, nil)
}

// Type types text into what has the focus.
func (p *Page) Type(text string) {
	p.b.t.Helper()
	p.call("Input.insertText", params{"text": text}, nil)
}

// Show sets the size of the window in CSS pixels, and whether a dark look is preferred.
func (p *Page) Show(width, height int, dark bool) {
	p.b.t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	p.call("Emulation.setDeviceMetricsOverride", params{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
	p.call("Emulation.setEmulatedMedia", params{"features": []params{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// Screenshot writes a picture of the page, to its whole length or of the window alone, as a PNG file.
func (p *Page) Screenshot(file string, whole bool) {
	p.b.t.Helper()
	var shot struct {
		Data string `json:"data"`
	}
	in := params{"format": "png"}
	if whole {
		var m struct {
			CSSContentSize struct {
				Width  float64 `json:"width"`
				Height float64 `json:"height"`
			} `json:"cssContentSize"`
		}
		p.call("Page.getLayoutMetrics", nil, &m)
		in["captureBeyondViewport"] = true
		in["clip"] = params{"x": 0, "y": 0, "width": m.CSSContentSize.Width, "height": m.CSSContentSize.Height, "scale": 1}
	}
	p.call("Page.captureScreenshot", in, &shot)
	png, err := base64.StdEncoding.DecodeString(shot.Data)
	if err == nil {
		err = os.WriteFile(file, png, 0o644)
	}
	if err != nil {
		p.b.t.Fatal(err)
	}
}
