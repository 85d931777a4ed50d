package engine

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// childEnv starts the names of what the processes of the tests are told by their environment.
const childEnv = "RMDS_TEST_"

// childNATS is the life of a nats-server process.
func childNATS() error {
	port, err := strconv.Atoi(os.Getenv(childEnv + "PORT"))
	if err != nil {
		return err
	}
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true})
	if err != nil {
		return err
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		return fmt.Errorf("the NATS server does not listen on port %d", port)
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	s.Shutdown()
	return nil
}

// childAgent is the life of a node with the default configuration that does what its standard input says, and prints
// what it gets, as "got SENDER TEXT", before it acknowledges.
//
//	send TEXT        SendMessage; prints "sent" or the error
//	burst FROM TO    SendMessage of each number, one after the other; prints "burst" and how long that took
//	pipeline FROM TO the same with SendAsync, up to 1000 at a time
//	status           prints "status" and queued, delivered, dead
func childAgent() error {
	cfg := DefaultConfig()
	cfg.NodeID, cfg.StoragePath = os.Getenv(childEnv+"ID"), filepath.Join(os.Getenv(childEnv+"DIR"), "{nodeID}.db")
	cfg.NATSServers = []string{os.Getenv(childEnv + "URL")}
	cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	if n, err := strconv.Atoi(os.Getenv(childEnv + "QUEUE")); err == nil {
		cfg.MaxMessagesPerReceiver = n
	}
	if d, err := time.ParseDuration(os.Getenv(childEnv + "KEEPALIVE")); err == nil {
		cfg.KeepaliveInterval = d
	}
	c, err := New(cfg)
	if err != nil {
		return err
	}
	role, err := strconv.Atoi(os.Getenv(childEnv + "ROLE"))
	if err != nil {
		return err
	}
	ch := c.Join("my_channel", Role(role))
	if ch.Role().reads() {
		if err := ch.OnMessage(func(m *Message) {
			fmt.Printf("got %s %s\n", m.Sender, m.Data)
			if err := m.Ack(); err != nil {
				fmt.Println("error", err)
			}
		}); err != nil {
			return err
		}
	}
	fmt.Println("ready")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		agentCommand(c, ch, in.Text())
	}
	return c.Close()
}

func agentCommand(c *Connection, ch *Channel, line string) {
	command, rest, _ := strings.Cut(line, " ")
	var from, to int
	_, _ = fmt.Sscan(rest, &from, &to) // send takes text
	start := time.Now()
	var err error
	switch command {
	case "send":
		if err = ch.SendMessage(rest); err == nil {
			fmt.Println("sent")
		}
	case "burst":
		for n := from; n <= to && err == nil; n++ {
			err = ch.SendMessage(strconv.Itoa(n))
		}
		fmt.Println("burst", time.Since(start))
	case "pipeline":
		err = pipeline(ch, from, to)
		fmt.Println("burst", time.Since(start))
	case "status":
		s := c.Status()
		fmt.Println("status", s.Queued, s.Delivered, s.Dead)
	default:
		err = fmt.Errorf("unknown command %q", line)
	}
	if err != nil {
		fmt.Println("error", err)
	}
}

func pipeline(ch *Channel, from, to int) error {
	for n := from; n <= to; {
		var batch []*Pending
		for ; n <= to && len(batch) < 1000; n++ {
			batch = append(batch, ch.SendAsync(strconv.Itoa(n)))
		}
		for _, p := range batch {
			if _, err := p.Wait(context.Background()); err != nil {
				return err
			}
		}
	}
	return nil
}

// process is a process of a test: a node or a NATS server.
type process struct {
	t   *testing.T
	id  string
	cmd *exec.Cmd
	in  io.WriteCloser
	// ended is closed when the process has closed its standard output.
	ended chan struct{}

	mu    sync.Mutex
	more  chan struct{} // closed and replaced when something was printed
	got   []string      // "SENDER TEXT" of each message
	first []time.Time   // when each came
	said  []string      // other lines
}

// startProcess runs this test binary as another program and waits until it is ready.
func startProcess(t *testing.T, program, id string, env ...string) *process {
	t.Helper()
	self, err := os.Executable()
	check(t, err)
	p := &process{t: t, id: id, cmd: exec.Command(self), ended: make(chan struct{}), more: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), childRole+"="+program)
	for _, e := range append(env, "ID="+id) {
		p.cmd.Env = append(p.cmd.Env, childEnv+e)
	}
	p.cmd.Stderr = os.Stderr
	p.in, err = p.cmd.StdinPipe()
	check(t, err)
	out, err := p.cmd.StdoutPipe()
	check(t, err)
	check(t, p.cmd.Start())
	t.Cleanup(func() { _ = p.cmd.Process.Kill() }) // of a test that has failed
	go p.read(out)
	p.expect("ready")
	return p
}

func (p *process) read(out io.Reader) {
	defer close(p.ended)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		p.mu.Lock()
		if text, ok := strings.CutPrefix(lines.Text(), "got "); ok {
			p.got, p.first = append(p.got, text), append(p.first, time.Now())
		} else {
			p.said = append(p.said, lines.Text())
		}
		close(p.more)
		p.more = make(chan struct{})
		p.mu.Unlock()
	}
}

// patience is how long a process may take for what it was asked to do.
const patience = 3 * time.Minute

// wait waits until the condition holds; it is called with the process locked.
func (p *process) wait(what string, ok func() bool) {
	p.t.Helper()
	deadline := time.After(patience)
	for {
		p.mu.Lock()
		done, more := ok(), p.more
		p.mu.Unlock()
		if done {
			return
		}
		select {
		case <-more:
		case <-deadline:
			p.t.Fatalf("%s: not within %v: %s", p.id, patience, what)
		}
	}
}

// expect waits for the next line that is no message, which must begin with prefix; it returns the rest.
func (p *process) expect(prefix string) string {
	p.t.Helper()
	var line string
	p.wait(prefix, func() bool {
		if len(p.said) > 0 {
			line, p.said = p.said[0], p.said[1:]
		}
		return line != ""
	})
	rest, ok := strings.CutPrefix(line, prefix)
	if !ok {
		p.t.Fatalf("%s says %q, want %s", p.id, line, prefix)
	}
	return strings.TrimSpace(rest)
}

// tell writes a command and waits for its answer.
func (p *process) tell(answer, format string, args ...any) string {
	p.t.Helper()
	_, err := fmt.Fprintf(p.in, format+"\n", args...)
	check(p.t, err)
	return p.expect(answer)
}

// messages waits until the process has got n messages and returns them, with the time of each.
func (p *process) messages(n int) ([]string, []time.Time) {
	p.t.Helper()
	p.wait(strconv.Itoa(n)+" messages", func() bool { return len(p.got) >= n })
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.got, p.first
}

// settled waits until everything that the node has sent is acknowledged, and says how many acknowledgements that were.
func (p *process) settled() (delivered int) {
	p.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var queued, dead int
		_, err := fmt.Sscan(p.tell("status", "status"), &queued, &delivered, &dead)
		check(p.t, err)
		if queued == 0 {
			return delivered
		}
	}
	p.t.Fatalf("%s: the queue is not empty after %v", p.id, patience)
	return 0
}

// kill is kill -9.
func (p *process) kill() {
	p.t.Helper()
	check(p.t, p.cmd.Process.Kill())
	<-p.ended
	_ = p.cmd.Wait() // "signal: killed"
}

// end lets the process end by itself.
func (p *process) end() {
	p.t.Helper()
	check(p.t, p.in.Close())
	<-p.ended
	check(p.t, p.cmd.Wait())
}
