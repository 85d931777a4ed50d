// Package chromium drives a real, headless Chromium for the tests of web pages. It speaks the DevTools protocol over a
// pair of pipes, which takes neither a port nor a WebSocket:
//
//	Browser ──JSON, NUL──► fd 3 ┐ chromium ┌ fd 4 ──JSON, NUL──► read goroutine ──► whoever waits for that id
//
// A machine without Chromium skips the test that asks for one.
package chromium

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// deadline only keeps a broken test from hanging.
const deadline = 60 * time.Second

var names = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "headless_shell"}

// Browser is a running Chromium. It ends with the test that started it.
type Browser struct {
	t   *testing.T
	cmd *exec.Cmd
	in  *os.File
	end chan struct{} // closed when the reading goroutine has ended

	mu      sync.Mutex
	last    int
	waiting map[int]chan message
	pages   map[string]*Page // by session
}

// message is a call, an answer or an event of the DevTools protocol.
type message struct {
	ID        int             `json:"id,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    any             `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// Start starts Chromium, or skips the test where there is none.
func Start(t *testing.T) *Browser {
	t.Helper()
	path := ""
	for _, name := range names {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		t.Skip("no Chromium on this machine; apt-get install chromium")
	}
	toChild, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, fromChild, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "chromium")
	if err != nil {
		t.Fatal(err)
	}
	b := &Browser{t: t, in: in, end: make(chan struct{}), waiting: map[int]chan message{}, pages: map[string]*Page{}}
	b.cmd = exec.Command(path, "--headless=new", "--remote-debugging-pipe", "--user-data-dir="+dir, "--no-first-run", "--disable-gpu",
		"--no-sandbox", // needed as root; the pages are this project's own
		"--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--hide-scrollbars", "--lang=en-US", "about:blank")
	b.cmd.ExtraFiles = []*os.File{toChild, fromChild}
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	toChild.Close()
	fromChild.Close()
	go b.read(out)
	t.Cleanup(func() {
		in.Close() // Chromium ends when its pipe does
		timer := time.AfterFunc(10*time.Second, func() { _ = b.cmd.Process.Kill() })
		_ = b.cmd.Wait()
		timer.Stop()
		<-b.end
		os.RemoveAll(dir)
	})
	return b
}

// read hands on what Chromium says, until it ends.
func (b *Browser) read(out *os.File) {
	defer close(b.end)
	defer out.Close()
	r := bufio.NewReader(out)
	for {
		raw, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var m message
		var event struct {
			Params json.RawMessage `json:"params"`
		}
		raw = bytes.TrimSuffix(raw, []byte{0})
		if json.Unmarshal(raw, &m) != nil || json.Unmarshal(raw, &event) != nil {
			continue
		}
		b.mu.Lock()
		answered, page := b.waiting[m.ID], b.pages[m.SessionID]
		delete(b.waiting, m.ID)
		b.mu.Unlock()
		if answered != nil {
			answered <- m
		} else if page != nil && m.Method != "" {
			page.event(m.Method, event.Params)
		}
	}
}

// call calls a method and decodes its result. It ends the test if the method fails.
func (b *Browser) call(session, method string, params, result any) {
	b.t.Helper()
	if err := b.try(session, method, params, result); err != nil {
		b.t.Fatalf("chromium: %s: %v", method, err)
	}
}

// try calls a method and decodes its result. The error is Chromium's; trouble with Chromium itself ends the test.
func (b *Browser) try(session, method string, params, result any) error {
	b.t.Helper()
	answered := make(chan message, 1)
	b.mu.Lock()
	b.last++
	id := b.last
	b.waiting[id] = answered
	raw, err := json.Marshal(message{ID: id, SessionID: session, Method: method, Params: params})
	if err == nil {
		_, err = b.in.Write(append(raw, 0))
	}
	b.mu.Unlock()
	if err != nil {
		b.t.Fatalf("chromium: %s: %v", method, err)
	}
	select {
	case m := <-answered:
		if m.Error != nil {
			return errors.New(m.Error.Message)
		}
		if result != nil {
			return json.Unmarshal(m.Result, result)
		}
	case <-b.end:
		b.t.Fatalf("chromium has ended during %s", method)
	case <-time.After(deadline):
		b.t.Fatalf("chromium does not answer %s", method)
	}
	return nil
}

// params makes the parameters of a call.
type params map[string]any

// exception is what a script has thrown.
type exception struct {
	Text      string `json:"text"`
	Exception struct {
		Description string `json:"description"`
	} `json:"exception"`
}

func (e *exception) String() string { return fmt.Sprintf("%s %s", e.Text, e.Exception.Description) }
