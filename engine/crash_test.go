package engine

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

var (
	crashKills = flag.Int("crash.kills", 20, "kills in TestKill9")
	crashSeed  = flag.Uint64("crash.seed", 0, "seed of TestKill9's moments; 0 picks one")
)

// childRole tells this test binary to be one of the processes of TestKill9 or of process_test.go.
const childRole = "RMDS_TEST_CHILD"

func TestMain(m *testing.M) {
	if role := os.Getenv(childRole); role != "" {
		if err := runChild(role); err != nil {
			fmt.Fprintln(os.Stderr, role+":", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// runNATS starts a real nats-server on loopback; port -1 picks one.
func runNATS(t testing.TB, port int) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true})
	check(t, err)
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("nats-server does not listen")
	}
	return s
}

// freePort reserves a port for a server that is started later.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func childConfig(id string) *Config {
	cfg := DefaultConfig()
	cfg.NodeID, cfg.StoragePath = id, filepath.Join(os.Getenv("RMDS_TEST_DIR"), id+".db")
	cfg.NATSServers = []string{os.Getenv("RMDS_TEST_URL")}
	cfg.KeepaliveInterval, cfg.NodeOfflineTimeout = 200*time.Millisecond, 2*time.Second
	cfg.MaxMessagesPerReceiver = 1 << 30
	cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	return cfg
}

// runChild is the life of one process of TestKill9, until it is killed or its standard input ends.
func runChild(role string) error {
	switch role {
	case "nats":
		return childNATS()
	case "agent":
		return childAgent()
	case "sender":
		return childSender()
	case "receiver":
		c, err := New(childConfig("receiver"))
		if err != nil {
			return err
		}
		if err := c.Join("work", ReadOnly, WithStart(StartAll)).Handle(tally("tally")); err != nil {
			return err
		}
		fmt.Println("ready")
		_, _ = io.Copy(io.Discard, os.Stdin)
		return c.Close()
	}
	return errors.New("unknown role")
}

// childSender sends numbers above RMDS_TEST_FROM and prints each once it has been accepted.
func childSender() error {
	c, err := New(childConfig("sender"))
	if err != nil {
		return err
	}
	ch := c.Join("work", WriteOnly)
	if err := ch.HandleReplies(tally("replies")); err != nil {
		return err
	}
	fmt.Println("ready")
	from, err := strconv.Atoi(os.Getenv("RMDS_TEST_FROM"))
	if err != nil {
		return err
	}
	stdinEnded := make(chan struct{})
	go func() { _, _ = io.Copy(io.Discard, os.Stdin); close(stdinEnded) }()
	out := bufio.NewWriter(os.Stdout)
	for n := from; ; {
		pending := make([]*Pending, 20)
		for i := range pending {
			n++
			pending[i] = ch.SendAsync(strconv.Itoa(n))
		}
		for i, p := range pending {
			if _, err := p.Wait(context.Background()); err != nil {
				return err
			}
			fmt.Fprintln(out, n-len(pending)+i+1)
		}
		if err := out.Flush(); err != nil {
			return err
		}
		select {
		case <-stdinEnded:
			return c.Close()
		default:
		}
	}
}

// child is a process of TestKill9.
type child struct {
	cmd      *exec.Cmd
	in       io.Closer
	accepted chan []int // what a sender printed, once it is dead
}

func startChild(t *testing.T, role, url, dir string, from int) *child {
	t.Helper()
	self, err := os.Executable()
	check(t, err)
	c := &child{cmd: exec.Command(self), accepted: make(chan []int, 1)}
	c.cmd.Env = append(os.Environ(), childRole+"="+role, "RMDS_TEST_URL="+url, "RMDS_TEST_DIR="+dir, "RMDS_TEST_FROM="+strconv.Itoa(from))
	c.cmd.Stderr = os.Stderr
	c.in, err = c.cmd.StdinPipe()
	check(t, err)
	out, err := c.cmd.StdoutPipe()
	check(t, err)
	check(t, c.cmd.Start())
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "ready" {
		t.Fatalf("%s said %q", role, lines.Text())
	}
	go func() {
		var list []int
		for lines.Scan() {
			if n, err := strconv.Atoi(lines.Text()); err == nil {
				list = append(list, n)
			}
		}
		c.accepted <- list
	}()
	return c
}

// kill is kill -9; it returns what the process had printed before. A last line that was cut short could be a shorter
// number, so it does not count.
func (c *child) kill(t *testing.T) []int {
	t.Helper()
	check(t, c.cmd.Process.Kill())
	list := <-c.accepted
	_ = c.cmd.Wait() // "signal: killed"
	if len(list) > 0 {
		list = list[:len(list)-1]
	}
	return list
}

// end lets the process finish what it does.
func (c *child) end(t *testing.T) []int {
	t.Helper()
	check(t, c.in.Close())
	list := <-c.accepted
	if err := c.cmd.Wait(); err != nil {
		t.Error(err)
	}
	return list
}

// TestKill9 kills the receiver's and the sender's process under load at random moments. Every message that the sender was
// told is accepted has been handled exactly once, by a key of its own and by a counter, and order held.
func TestKill9(t *testing.T) {
	kills, seed := *crashKills, *crashSeed
	if testing.Short() {
		kills = min(kills, 6)
	}
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d, %d kills", seed, kills)
	rnd := rand.New(rand.NewPCG(seed, 0))
	nats := runNATS(t, -1)
	defer nats.Shutdown()
	dir, url := t.TempDir(), nats.ClientURL()
	var accepted []int
	life := 0
	sender, receiver := startChild(t, "sender", url, dir, 0), startChild(t, "receiver", url, dir, 0)
	for range kills {
		time.Sleep(time.Duration(20+rnd.IntN(180)) * time.Millisecond) // the moment of the kill
		if rnd.IntN(2) == 0 {
			accepted = append(accepted, sender.kill(t)...)
			life++
			sender = startChild(t, "sender", url, dir, life<<24)
		} else {
			receiver.kill(t)
			receiver = startChild(t, "receiver", url, dir, 0)
		}
	}
	accepted = append(accepted, sender.end(t)...)
	receiver.end(t)
	verifyKills(t, url, dir, accepted)
}

// verifyKills opens both databases in this process, lets the rest be delivered, and counts.
func verifyKills(t *testing.T, url, dir string, accepted []int) {
	t.Setenv("RMDS_TEST_URL", url)
	t.Setenv("RMDS_TEST_DIR", dir)
	send, err := New(childConfig("sender"))
	check(t, err)
	defer send.Close()
	check(t, send.Join("work", WriteOnly).HandleReplies(tally("replies")))
	receive, err := New(childConfig("receiver"))
	check(t, err)
	defer receive.Close()
	check(t, receive.Join("work", ReadOnly, WithStart(StartAll)).Handle(tally("tally")))
	eventually(t, time.Minute, "everything is delivered", func() bool {
		a, b := send.Status(), receive.Status()
		return len(a.Peers) > 0 && len(a.Peers[0].Links) > 0 && a.Peers[0].Links[0].Open && a.Queued == 0 && b.Queued == 0
	})
	handled := 0
	for key, ok, err := receive.KV("tally").Next("seen/"); ok && strings.HasPrefix(key, "seen/"); key, ok, err = receive.KV("tally").Next(key) {
		check(t, err)
		handled++
		if n := kvNumber(t, receive, "tally", key); n != 1 {
			t.Errorf("%s: handled %d times", key, n)
		}
		number := strings.TrimPrefix(key, "seen/sender/")
		if n := kvNumber(t, send, "replies", "seen/receiver/"+number); n != 1 {
			t.Errorf("%s: answered %d times", key, n)
		}
	}
	for _, n := range accepted {
		if kvNumber(t, receive, "tally", fmt.Sprintf("seen/sender/%d", n)) != 1 {
			t.Errorf("message %d was accepted and is lost", n)
		}
	}
	if count := kvNumber(t, receive, "tally", "count/sender"); count != handled {
		t.Errorf("the counter says %d, the keys %d", count, handled)
	}
	for _, s := range []struct {
		c    *Connection
		kv   string
		from string
	}{{receive, "tally", "sender"}, {send, "replies", "receiver"}} {
		if n := kvNumber(t, s.c, s.kv, "disorder/"+s.from); n != 0 {
			t.Errorf("%s: %d out of order", s.kv, n)
		}
	}
	t.Logf("%d accepted, %d handled", len(accepted), handled)
	if len(accepted) == 0 {
		t.Error("nothing was accepted: the test shows nothing")
	}
}
