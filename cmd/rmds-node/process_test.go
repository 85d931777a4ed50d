package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/getevo/rmds/cmd/rmds-node/internal/admin"
	"github.com/getevo/rmds/cmd/rmds-node/internal/embedded"
)

// deadline is generous: it only keeps a broken test from hanging.
const deadline = 60 * time.Second

// process is a running rmds-node.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	socket string
	log    <-chan string // its log, line by line; closed when it has ended
	seen   []string
}

// startNode runs the binary with a configuration and waits until it is up. extra is put in front of the environment.
func startNode(t *testing.T, config, socket string, extra ...string) *process {
	t.Helper()
	p := launch(t, config, extra...)
	p.socket = socket
	p.wait("node is up")
	return p
}

// launch runs the binary with a configuration.
func launch(t *testing.T, config string, extra ...string) *process {
	t.Helper()
	cmd := exec.Command(binary, "run", "--config", config)
	cmd.Env = append(os.Environ(), extra...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 10000)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(stderr); s.Scan(); {
			lines <- s.Text()
		}
	}()
	p := &process{t: t, cmd: cmd, log: lines}
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill()
			_ = p.cmd.Wait()
		}
		if t.Failed() {
			for range p.log {
			}
			t.Logf("log of %s:\n%s", config, strings.Join(p.seen, "\n"))
		}
	})
	return p
}

// wait waits for a line of the log that contains the text.
func (p *process) wait(text string) {
	p.t.Helper()
	timer := time.NewTimer(deadline)
	defer timer.Stop()
	for {
		select {
		case line, ok := <-p.log:
			if !ok {
				p.t.Fatalf("the node ended before it logged %q:\n%s", text, strings.Join(p.seen, "\n"))
			}
			p.seen = append(p.seen, line)
			if strings.Contains(line, text) {
				return
			}
		case <-timer.C:
			p.t.Fatalf("the node did not log %q:\n%s", text, strings.Join(p.seen, "\n"))
		}
	}
}

// end sends a signal, waits for the process to end and returns its exit code.
func (p *process) end(sig syscall.Signal) int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
	return p.ended()
}

func (p *process) ended() int {
	p.t.Helper()
	for line := range p.log { // the pipe must be read to its end before Wait
		p.seen = append(p.seen, line)
	}
	_ = p.cmd.Wait() // the exit code says it
	return p.cmd.ProcessState.ExitCode()
}

// run runs another command of the binary against this node.
func (p *process) run(in string, args ...string) (code int, out, errs string) {
	p.t.Helper()
	return cli(p.t, in, append(args, "--socket", p.socket)...)
}

func (p *process) must(in string, args ...string) string {
	p.t.Helper()
	code, out, errs := p.run(in, args...)
	if code != exitOK {
		p.t.Fatalf("%v: exit code %d: %s", args, code, errs)
	}
	return out
}

func (p *process) status() (s admin.Status) {
	p.t.Helper()
	if err := json.Unmarshal([]byte(p.must("", "status", "--json")), &s); err != nil {
		p.t.Fatal(err)
	}
	return s
}

// shortDir is a directory whose name leaves room for a socket.
func shortDir(t *testing.T) string {
	dir, err := os.MkdirTemp("", "rmds")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// configure writes a node's configuration; its directory also holds its data and its socket.
func configure(t *testing.T, id, url, rest string) (file, socket string) {
	dir := shortDir(t)
	return write(t, dir, "node.toml", fmt.Sprintf(`
[node]
id = %q
data_dir = "data"
[nats]
servers = [%q]
[delivery]
keepalive_interval = "200ms"
node_offline_timeout = "2s"
discovery_broadcast_interval = "200ms"
[admin]
socket = "admin.sock"
`, id, url)+rest), filepath.Join(dir, "admin.sock")
}

// natsServer starts a server for the nodes of one test.
func natsServer(t *testing.T) *embedded.Server {
	t.Helper()
	s, err := embedded.New(embedded.Options{Listen: "127.0.0.1:-1", Logger: slog.New(slog.DiscardHandler)})
	if err == nil {
		err = s.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}
