package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/getevo/rmds/cmd/rmds-node/internal/admin"
	stats "github.com/getevo/rmds/handlers/stats-wat"
)

const noServer = "nats://127.0.0.1:1"

func TestNodeWithoutNATS(t *testing.T) {
	file, socket := configure(t, "alone", noServer, "[[channel]]\nname = \"plant.temperature\"\nrole = \"writer\"\n[[channel]]\nname = \"orders\"\nrole = \"reader\"\n")
	n := startNode(t, file, socket)
	if log := strings.Join(n.seen, "\n"); !strings.Contains(log, "has no handler") || !strings.Contains(log, "channel=orders") {
		t.Errorf("no warning of the channel without a handler:\n%s", log)
	}
	first := strings.TrimSpace(n.must("", "send", "plant.temperature", "21.5", "--ttl", "3d", "--header", "unit=C"))
	var second admin.Sent
	if err := json.Unmarshal([]byte(n.must("from standard input", "send", "plant.temperature", "--json", "--to", "hub")), &second); err != nil {
		t.Fatal(err)
	}
	if run, seq, ok := strings.Cut(first, "-"); !ok || seq != "1" || second.ID != run+"-2" {
		t.Errorf("the ids are %q and %q", first, second.ID)
	}
	s := n.status()
	if s.Node != "alone" || s.Connected || s.Accepted != 2 || s.Version == "" || s.Started.IsZero() || len(s.Channels) != 2 {
		t.Errorf("status is %+v", s)
	}
	for _, tt := range []struct {
		code   int
		says   string
		inArgs []string
	}{
		{exitFailed, "add a [[channel]]", []string{"send", "elsewhere", "x"}},
		{exitFailed, "not a writer", []string{"send", "orders", "x"}},
		{exitFailed, "node id", []string{"send", "plant.temperature", "x", "--to", "a.b"}},
		{exitFailed, "deadline exceeded", []string{"request", "plant.temperature", "x", "--timeout", "10ms"}},
		{exitFailed, `no handler "h"`, []string{"kv", "ls", "h"}},
	} {
		if code, _, errs := n.run("", tt.inArgs...); code != tt.code || !strings.Contains(errs, tt.says) {
			t.Errorf("%v: %d, %s", tt.inArgs, code, errs)
		}
	}
	if code := n.end(syscall.SIGTERM); code != exitOK {
		t.Errorf("after SIGTERM the exit code is %d", code)
	}
	if _, err := os.Lstat(socket); !os.IsNotExist(err) {
		t.Errorf("the socket stays behind: %v", err)
	}
	if code, _, _ := n.run("", "status"); code != exitUnreachable {
		t.Errorf("status of a stopped node: exit code %d", code)
	}
}

const statsHandler = `
[[channel]]
name = "readings"
role = "reader"
start = "all"
[[channel]]
name = "alerts"
role = "writer"
[[handler]]
name = "stats"
module = "stats.wasm"
channels = ["readings"]
send = ["alerts"]
config = { alert-percent = "50" }
`

// TestTwoNodes sends from one node to a handler on another, through a kill -9 of each.
func TestTwoNodes(t *testing.T) {
	url := natsServer(t).URL()
	sensorFile, sensorSocket := configure(t, "sensor", url, "[[channel]]\nname = \"readings\"\nrole = \"writer\"\n")
	edgeFile, edgeSocket := configure(t, "edge", url, statsHandler)
	write(t, filepath.Dir(edgeFile), "stats.wasm", string(stats.Module))

	sensor := startNode(t, sensorFile, sensorSocket)
	sensor.must("", "send", "readings", `{"n":1,"metric":"load1","value":1.0}`) // nobody is there yet
	sensor.end(syscall.SIGKILL)
	edge := startNode(t, edgeFile, edgeSocket)
	sensor = startNode(t, sensorFile, sensorSocket)

	reply := sensor.must(`{"n":2,"metric":"load1","value":2.0}`, "request", "readings", "--to", "edge", "--timeout", "1m")
	if reply != "2 1.500" && reply != "2 2.000" { // addressed messages have an order of their own
		t.Errorf("the reply is %q", reply)
	}
	edge.end(syscall.SIGKILL)
	sensor.must("", "send", "readings", `{"n":3,"metric":"load1","value":3.0}`)
	edge = startNode(t, edgeFile, edgeSocket)
	var message admin.Message
	out := sensor.must("", "request", "readings", `{"n":4,"metric":"load1","value":2.0}`, "--timeout", "1m", "--json")
	if err := json.Unmarshal([]byte(out), &message); err != nil || message.Sender != "edge" || !strings.HasPrefix(string(message.Content), "4 ") {
		t.Errorf("the reply is %+v, %v", message, err)
	}
	if mean := edge.must("", "kv", "get", "stats", "mean/load1"); mean != `{"mean":2.000,"samples":4}` {
		t.Errorf("mean/load1 is %s", mean)
	}
	if table := edge.must("", "kv", "ls", "stats", "--prefix", "count"); !strings.Contains(table, "count  4") {
		t.Errorf("kv ls shows\n%s", table)
	}
	if code, _, errs := edge.run("", "kv", "get", "stats", "nothing"); code != exitFailed || !strings.Contains(errs, "no key") {
		t.Errorf("kv get of nothing: %d, %s", code, errs)
	}
	s := edge.status()
	if len(s.Handlers) != 1 || s.Handlers[0].Kind != "reactor" || len(s.Handlers[0].SHA256) != 64 || !s.Connected || s.Health != "ok" {
		t.Errorf("status of edge is %+v", s)
	}
	for _, n := range []*process{sensor, edge} {
		if code := n.end(syscall.SIGINT); code != exitOK {
			t.Errorf("after SIGINT the exit code is %d", code)
		}
	}
}

// TestEmbedded connects a second node to the server inside the first, with a password.
func TestEmbedded(t *testing.T) {
	dir := shortDir(t)
	password := write(t, dir, "password", "s3cr3t\n")
	write(t, dir, "stats.wasm", string(stats.Module))
	hubFile := write(t, dir, "node.toml", fmt.Sprintf("[node]\nid = \"hub\"\ndata_dir = \"data\"\n[nats]\nembedded = true\nlisten = \"127.0.0.1:-1\"\nuser = \"u\"\npassword_file = %q\n[admin]\nsocket = \"a.sock\"\n", password)+
		statsHandler)
	hub := startNode(t, hubFile, filepath.Join(dir, "a.sock"))
	url := ""
	for _, line := range hub.seen {
		if _, rest, ok := strings.Cut(line, "url="); ok {
			url = rest
		}
	}
	file, socket := configure(t, "box", url, "[[channel]]\nname = \"readings\"\nrole = \"writer\"\n")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Dir(file), "node.toml", strings.Replace(string(text), "[nats]\n", fmt.Sprintf("[nats]\nuser = \"u\"\npassword_file = %q\n", password), 1))
	box := startNode(t, file, socket)
	if reply := box.must("", "request", "readings", `{"n":1,"metric":"m","value":1.5}`, "--to", "hub", "--timeout", "1m"); reply != "1 1.500" {
		t.Errorf("the reply is %q", reply)
	}
	if !hub.status().Connected {
		t.Error("the hub is not connected to its own server")
	}
}

func TestSecondNodeOnTheSocket(t *testing.T) {
	file, socket := configure(t, "one", noServer, "")
	one := startNode(t, file, socket)
	other, _ := configure(t, "two", noServer, "")
	text, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Dir(other), "node.toml", strings.Replace(string(text), "admin.sock", socket, 1))
	two := launch(t, other)
	if code := two.ended(); code != exitFailed || !strings.Contains(strings.Join(two.seen, "\n"), "another process listens") {
		t.Errorf("the second node ended with %d:\n%s", code, strings.Join(two.seen, "\n"))
	}
	one.status()
}

func TestLogFormat(t *testing.T) {
	file, socket := configure(t, "box", noServer, "[log]\nformat = \"json\"\n")
	n := startNode(t, file, socket)
	line := n.seen[len(n.seen)-1]
	var record struct{ Msg, Node, Level string }
	if err := json.Unmarshal([]byte(line), &record); err != nil || record.Msg != "node is up" || record.Node != "box" || record.Level != "INFO" {
		t.Errorf("the line %s is %+v, %v", line, record, err)
	}
}

// TestServiceManager plays systemd: it wants to hear ready, the watchdog and stopping.
func TestServiceManager(t *testing.T) {
	name := filepath.Join(shortDir(t), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.SetReadDeadline(time.Now().Add(deadline)); err != nil {
		t.Fatal(err)
	}
	hear := func(want string) {
		t.Helper()
		b := make([]byte, 1024)
		for {
			n, err := l.Read(b)
			if err != nil {
				t.Fatalf("did not hear %s: %v", want, err)
			}
			if strings.HasPrefix(string(b[:n]), want) {
				return
			}
		}
	}
	file, socket := configure(t, "box", noServer, "")
	n := startNode(t, file, socket, "NOTIFY_SOCKET="+name, "WATCHDOG_USEC=300000")
	hear("READY=1")
	hear("WATCHDOG=1")
	hear("WATCHDOG=1")
	if code := n.end(syscall.SIGTERM); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	hear("STOPPING=1")
}

func TestWatch(t *testing.T) {
	file, socket := configure(t, "box", noServer, "")
	startNode(t, file, socket)
	cmd := exec.Command(binary, "status", "--watch", "--json", "--interval", "10ms", "--socket", socket)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(out)
	for range 3 {
		var s admin.Status
		if err := d.Decode(&s); err != nil || s.Node != "box" {
			t.Fatalf("watch shows %+v, %v", s, err)
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, out); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGINT: %v", err)
	}
}
