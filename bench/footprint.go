package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// footprint is what a program takes while nothing happens.
type footprint struct {
	Name string
	Size int64   // bytes of the stripped binary
	RSS  int64   // bytes
	CPU  float64 // percent of one core
}

// measureFootprints runs rmds-node, nats-server and mosquitto idle, rmds-node connected to the server.
func measureFootprints(t tools, idle time.Duration) (list []footprint, err error) {
	s, err := systems[2].start(t, 1, false) // JetStream: its server is what a node is compared with
	if err != nil {
		return nil, err
	}
	defer s.stop()
	file := filepath.Join(s.dir, "node.toml")
	text := fmt.Sprintf("[node]\nid = \"idle\"\ndata_dir = %q\n[nats]\nservers = [%q]\n[[channel]]\nname = \"idle\"\nrole = \"writer\"\n[admin]\nsocket = %q\n",
		s.dir, s.recvURL, filepath.Join(s.dir, "sock"))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	node, err := startProcess(s.dir, "rmds-node", nil, nil, t.node, "run", "--config", file)
	if err != nil {
		return nil, err
	}
	defer node.kill()
	programs := []struct {
		name, binary string
		p            *process
	}{{"rmds-node, connected", t.node, node}, {"nats-server with JetStream", t.natsServer, s.servers[0].proc}}
	if t.mosquitto != "" {
		m, err := systems[6].start(t, 1, false)
		if err != nil {
			return nil, err
		}
		defer m.stop()
		programs = append(programs, struct {
			name, binary string
			p            *process
		}{"mosquitto", t.mosquitto, m.servers[0].proc})
	}
	time.Sleep(3 * time.Second) // starting is not idling
	before := make([]usage, len(programs))
	for i, p := range programs {
		if before[i], err = usageOf(p.p.cmd.Process.Pid); err != nil {
			return nil, p.p.failure(err)
		}
	}
	time.Sleep(idle)
	for i, p := range programs {
		after, err := usageOf(p.p.cmd.Process.Pid)
		if err != nil {
			return nil, p.p.failure(err)
		}
		info, err := os.Stat(p.binary)
		if err != nil {
			return nil, err
		}
		list = append(list, footprint{p.name, info.Size(), after.RSS, 100 * (after.CPU - before[i].CPU).Seconds() / idle.Seconds()})
	}
	return list, nil
}

// syncs is the number of fsync and fdatasync calls per 1,000 messages.
type syncs struct{ Sender, Servers, Receiver float64 }

// measureSyncs traces all processes of a system while n messages pass at a rate, or as fast as they go if rate is 0. A traced
// process is slower, and its batches then larger.
func measureSyncs(t tools, sys system, n, rate int) (r syncs, err error) {
	s, err := sys.start(t, 1, false)
	if err != nil {
		return r, err
	}
	defer s.stop()
	if err := s.warm(); err != nil {
		return r, err
	}
	pids := [][]int{{s.sender.cmd.Process.Pid}, nil, {s.receiver.cmd.Process.Pid}}
	for _, srv := range s.servers {
		pids[1] = append(pids[1], srv.proc.cmd.Process.Pid)
	}
	var tracers []*process
	for i, side := range pids {
		for j, pid := range side {
			p, err := startProcess(s.dir, fmt.Sprintf("strace-%d-%d", i, j), nil, nil,
				"strace", "-f", "-c", "-U", "calls,name", "-e", "trace=fsync,fdatasync", "-p", strconv.Itoa(pid))
			if err != nil {
				return r, err
			}
			defer p.kill()
			tracers = append(tracers, p)
		}
	}
	time.Sleep(500 * time.Millisecond) // strace does not say when it is attached
	o := order{Do: "burst", N: s.scaled(n), Window: s.window()}
	if rate > 0 {
		o = order{Do: "pace", N: n, Rate: rate}
	}
	if _, _, err := s.transfer(o, "count"); err != nil {
		return r, err
	}
	for i, p := range tracers {
		if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
			return r, err
		}
		<-p.done
		calls, err := traced(p.stderr)
		if err != nil {
			return r, err
		}
		switch per := float64(calls) * 1000 / float64(o.N); {
		case i == 0:
			r.Sender = per
		case i == len(tracers)-1:
			r.Receiver = per
		default:
			r.Servers += per
		}
	}
	return r, nil
}

// traced adds up the calls in a summary of strace.
func traced(file string) (calls int, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for _, line := range strings.Split(string(text), "\n") {
		f := strings.Fields(line)
		if len(f) == 2 && (f[1] == "fsync" || f[1] == "fdatasync") {
			n, err := strconv.Atoi(f[0])
			if err != nil {
				return 0, fmt.Errorf("strace: %q: %w", line, err)
			}
			calls += n
		}
	}
	return calls, nil
}

func haveStrace() bool { _, err := exec.LookPath("strace"); return err == nil }
