package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// childEnv tells this test binary to be the program.
const childEnv = "RMDS_CHAT_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// freePort returns a port for something that is started later.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func startNATS(t *testing.T, port int) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true})
	check(t, err)
	s.Start()
	t.Cleanup(s.Shutdown)
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("nats-server does not listen")
	}
	return s
}

// user is somebody at the program, run as a process.
type user struct {
	t    *testing.T
	name string
	web  int
	cmd  *exec.Cmd
	in   io.WriteCloser
	read chan struct{} // closed when the console has ended

	mu    sync.Mutex
	more  chan struct{}
	lines []string // of the console
}

// startUser runs the program with the command line that the seed's README gives.
func startUser(t *testing.T, dir, name, mode string, nats int) *user {
	t.Helper()
	u := &user{t: t, name: name, web: freePort(t), read: make(chan struct{}), more: make(chan struct{})}
	self, err := os.Executable()
	check(t, err)
	u.cmd = exec.Command(self, "-node_id", name, "-mode", mode, "-channel", "my_channel", "-nats", fmt.Sprintf("localhost:%d", nats), "-web", fmt.Sprint(u.web))
	u.cmd.Env, u.cmd.Dir, u.cmd.Stderr = append(os.Environ(), childEnv+"=1"), dir, os.Stderr
	u.in, err = u.cmd.StdinPipe()
	check(t, err)
	out, err := u.cmd.StdoutPipe()
	check(t, err)
	check(t, u.cmd.Start())
	t.Cleanup(func() { _ = u.cmd.Process.Kill() }) // of a test that has failed
	go func() {
		defer close(u.read)
		for s := bufio.NewScanner(out); s.Scan(); {
			u.mu.Lock()
			u.lines = append(u.lines, s.Text())
			close(u.more)
			u.more = make(chan struct{})
			u.mu.Unlock()
		}
	}()
	u.wait("its page", func(lines []string) bool { return contains(lines, "web page: http://localhost") })
	return u
}

func contains(lines []string, text string) bool {
	return slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, text) })
}

// wait waits until the console shows what it should.
func (u *user) wait(what string, ok func(lines []string) bool) {
	u.t.Helper()
	deadline := time.After(time.Minute)
	for {
		u.mu.Lock()
		done, more := ok(u.lines), u.more
		u.mu.Unlock()
		if done {
			return
		}
		select {
		case <-more:
		case <-deadline:
			u.t.Fatalf("%s does not show %s; the console says\n%s", u.name, what, strings.Join(u.lines, "\n"))
		}
	}
}

// enter types a line at the console.
func (u *user) enter(text string) {
	u.t.Helper()
	_, err := fmt.Fprintln(u.in, text)
	check(u.t, err)
}

// post types a line into the page, as its script does.
func (u *user) post(text string) map[string]string {
	u.t.Helper()
	body, err := json.Marshal(map[string]string{"text": text})
	check(u.t, err)
	r, err := http.Post(fmt.Sprintf("http://localhost:%d/send", u.web), "application/json", bytes.NewReader(body))
	check(u.t, err)
	defer r.Body.Close()
	var result map[string]string
	check(u.t, json.NewDecoder(r.Body).Decode(&result))
	return result
}

// page returns the first n messages of the page's conversation, as "SENDER: TEXT".
func (u *user) page(n int) []string {
	u.t.Helper()
	ctx, cancel := context.WithTimeout(u.t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://localhost:%d/events", u.web), nil)
	check(u.t, err)
	r, err := http.DefaultClient.Do(req)
	check(u.t, err)
	defer r.Body.Close()
	var list []string
	for s := bufio.NewScanner(r.Body); len(list) < n; {
		if !s.Scan() {
			u.t.Fatalf("%s: the page's stream ended after %q: %v", u.name, list, s.Err())
		}
		var l line
		if data, ok := strings.CutPrefix(s.Text(), "data: "); ok && json.Unmarshal([]byte(data), &l) == nil && l.Sender != "" {
			list = append(list, l.Sender+": "+l.Text)
		}
	}
	return list
}

// heard returns what the console shows of a sender.
func heard(lines []string, sender string) []string {
	var list []string
	for _, l := range lines {
		if _, text, ok := strings.Cut(l, " "+sender+": "); ok {
			list = append(list, text)
		}
	}
	return list
}

// quit leaves by /quit.
func (u *user) quit() {
	u.t.Helper()
	u.enter("/quit")
	<-u.read
	if err := u.cmd.Wait(); err != nil {
		u.t.Errorf("%s: %v", u.name, err)
	}
}

// TestFourUsers is the seed's demo, as a process for each of its users: alice writes at the console and in the page, before,
// during and after an outage of NATS. Everybody gets everything once, in order, at the console and in the page.
func TestFourUsers(t *testing.T) {
	port, dir := freePort(t), t.TempDir()
	nats := startNATS(t, port)
	alice := startUser(t, dir, "alice", "writer", port)
	readers := []*user{startUser(t, dir, "bob", "rw", port), startUser(t, dir, "lisa", "reader", port), startUser(t, dir, "andy", "reader", port)}
	alice.enter("before")
	want := []string{"before"}
	for _, r := range readers {
		r.wait("the first message", func(lines []string) bool { return len(heard(lines, "alice")) == 1 })
	}

	nats.Shutdown()
	nats.WaitForShutdown()
	alice.wait("that NATS is away", func(lines []string) bool { return contains(lines, "* NATS is away") })
	for i := range 5 {
		alice.enter(fmt.Sprintf("typed %d", i))
		alice.wait("what was typed", func(lines []string) bool { return contains(lines, fmt.Sprintf("alice: typed %d", i)) })
		if r := alice.post(fmt.Sprintf("in the page %d", i)); r["error"] != "" {
			t.Fatal(r["error"])
		}
		want = append(want, fmt.Sprintf("typed %d", i), fmt.Sprintf("in the page %d", i))
	}
	startNATS(t, port)
	alice.enter("after")
	want = append(want, "after")

	for _, r := range readers {
		r.wait("everything", func(lines []string) bool { return len(heard(lines, "alice")) >= len(want) })
		if got := heard(r.lines, "alice"); !slices.Equal(got, want) {
			t.Errorf("%s's console shows %q, want %q", r.name, got, want)
		}
		got := r.page(len(want))
		for i := range want {
			if got[i] != "alice: "+want[i] {
				t.Fatalf("%s's page shows %q, want %q", r.name, got, want)
			}
		}
	}
	statistics := fmt.Sprintf("Delivered: %d\nQueued: 0\nDropped: 0\n", 3*len(want))
	for end := time.Now().Add(time.Minute); !strings.Contains(alice.post("/stats")["answer"], statistics); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("alice's statistics are %q, want %q", alice.post("/stats")["answer"], statistics)
		}
	}

	readers[0].enter("bob writes, too")
	readers[1].wait("bob's message", func(lines []string) bool { return contains(lines, "bob: bob writes, too") })
	if r := readers[1].post("may I?"); !strings.Contains(r["error"], "not a writer") {
		t.Errorf("a reader that writes is told %q", r)
	}
	alice.enter("/nodes")
	alice.wait("the nodes", func(lines []string) bool {
		return contains(lines, "alice (this node)") && contains(lines, "andy online") && contains(lines, "bob online")
	})
	alice.enter("/topology")
	alice.wait("the topology", func(lines []string) bool { return contains(lines, "my_channel: alice, bob -> andy, bob, lisa") })
	for _, u := range append(readers, alice) {
		u.quit()
	}
}

// TestConsole: the program without a page, until its input ends; hostile text does not control the terminal.
func TestConsole(t *testing.T) {
	t.Chdir(t.TempDir())
	port := freePort(t)
	startNATS(t, port)
	in := strings.NewReader("hello\n\n/stats\n/nonsense\n\x1b]0;owned\x07 and \x1b[31mred\n")
	var out, errs bytes.Buffer
	check(t, run(t.Context(), []string{"-node_id", "alice", "-nats", fmt.Sprintf("localhost:%d", port)}, in, &out, &errs))
	for _, want := range []string{"alice: hello\n", "Delivered: 0\nQueued: 0\nDropped: 0\n", commandHelp, "alice reads and writes channel my_channel"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the console does not show %q:\n%s", want, &out)
		}
	}
	if strings.ContainsAny(out.String(), "\x1b\x07") {
		t.Errorf("the console shows control characters: %q", &out)
	}
}

func TestFlags(t *testing.T) {
	for _, tt := range []struct{ args, says string }{
		{"-mode owner", `-mode "owner": use writer, reader or rw`},
		{"-web 99999", `-web "99999": use a port or host:port`},
		{"-channel a:b", "bad name"},
		{"-node_id a.b", "NodeID"},
		{"extra", `"extra" is no flag`},
		{"-speed 3", "flag provided but not defined"},
	} {
		t.Chdir(t.TempDir())
		err := run(t.Context(), strings.Fields(tt.args), strings.NewReader(""), io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", tt.args, err, tt.says)
		}
	}
	for web, want := range map[string]string{"": "", "8081": "localhost:8081", "0.0.0.0:80": "0.0.0.0:80", ":80": ":80"} {
		o, err := parse([]string{"-web", web}, io.Discard)
		check(t, err)
		if o.web != want {
			t.Errorf("-web %q listens on %q, want %q", web, o.web, want)
		}
	}
}
