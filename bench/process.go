package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a child. Its standard error goes to a file in its directory, and is shown if it fails.
type process struct {
	cmd    *exec.Cmd
	stderr string
	done   chan struct{}
}

func startProcess(dir, name string, stdin io.Reader, stdout io.Writer, args ...string) (*process, error) {
	stderr := filepath.Join(dir, name+".log")
	f, err := os.OpenFile(stderr, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p := &process{cmd: exec.Command(args[0], args[1:]...), stderr: stderr, done: make(chan struct{})}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = stdin, stdout, f
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // nothing is left running, whatever happens to this process
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() { _ = p.cmd.Wait(); close(p.done) }()
	return p, nil
}

// kill ends the process as a power cut does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.done
}

func (p *process) failure(what error) error {
	text, _ := os.ReadFile(p.stderr)
	return fmt.Errorf("%s: %w\n%s", filepath.Base(p.stderr), what, text[max(0, len(text)-2000):])
}

// worker is a process that takes orders.
type worker struct {
	*process
	in  io.WriteCloser
	enc *json.Encoder
	dec *json.Decoder
}

// startWorker starts one side of a system and returns when it is connected. A prefix is a program to run it under.
func startWorker(dir, side string, cfg clientConfig, prefix ...string) (*worker, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	inR, inW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p, err := startProcess(dir, side, inR, outW, append(prefix, self, "worker", side)...)
	_ = errors.Join(inR.Close(), outW.Close()) // the child has its own
	if err != nil {
		return nil, err
	}
	w := &worker{process: p, in: inW, enc: json.NewEncoder(inW), dec: json.NewDecoder(outR)}
	_, err = w.exchange(cfg)
	return w, err
}

func (w *worker) exchange(v any) (a answer, err error) {
	if err := w.enc.Encode(v); err != nil {
		return a, w.failure(err)
	}
	return w.answer()
}

func (w *worker) answer() (a answer, err error) {
	if err := w.dec.Decode(&a); err != nil {
		return a, w.failure(err)
	}
	if a.Err != "" {
		return a, w.failure(errors.New(a.Err))
	}
	return a, nil
}

// close lets the worker end by itself.
func (w *worker) close() {
	_ = w.in.Close()
	select {
	case <-w.done:
	case <-time.After(20 * time.Second):
		w.kill()
	}
}

// freePort returns a TCP port that was free a moment ago.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// reachable waits until somebody listens at the port.
func reachable(ctx context.Context, port int, p *process) error {
	for {
		c, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err == nil {
			return c.Close()
		}
		select {
		case <-p.done:
			return p.failure(errors.New("ended"))
		case <-ctx.Done():
			return p.failure(ctx.Err())
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// usage is what a process has used since its start, and its memory now.
type usage struct {
	CPU     time.Duration
	RSS     int64 // bytes
	Written int64 // bytes handed to the disk
}

func usageOf(pid int) (u usage, err error) {
	dir := "/proc/" + strconv.Itoa(pid) + "/"
	stat, err := os.ReadFile(dir + "stat")
	if err != nil {
		return u, err
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, _ := strconv.Atoi(fields[11]) // in 1/100 s, as Linux fixes for user space
	system, _ := strconv.Atoi(fields[12])
	pages, _ := strconv.ParseInt(fields[21], 10, 64)
	u.CPU, u.RSS = time.Duration(user+system)*10*time.Millisecond, pages*int64(os.Getpagesize())
	io, err := os.ReadFile(dir + "io")
	for _, line := range strings.Split(string(io), "\n") {
		if v, ok := strings.CutPrefix(line, "write_bytes: "); ok {
			u.Written, _ = strconv.ParseInt(v, 10, 64)
		}
	}
	return u, err
}
