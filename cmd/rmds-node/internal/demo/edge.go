package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/getevo/rmds/cmd/rmds-node/internal/guest"
	"github.com/getevo/rmds/engine"
	stats "github.com/getevo/rmds/handlers/stats-wat"
	"github.com/getevo/rmds/wasmhost"
)

const (
	readingsChannel = "readings"
	alertsChannel   = "alerts"
	handlerName     = "stats"
)

// RunEdge is the edge's process. It says "ready" on out and runs until a line "report N" on in asks for its account of
// the readings 1 to N; the end of in ends it as well.
func RunEdge(ctx context.Context, url, dir string, in io.Reader, out io.Writer) (err error) {
	host, err := wasmhost.New(ctx, wasmhost.Options{CacheDir: filepath.Join(dir, "modules")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, host.Close(ctx)) }()
	module, err := host.Load(ctx, stats.Module, wasmhost.DefaultLimits(), wasmhost.Settings{Name: handlerName, Sends: []string{alertsChannel}})
	if err != nil {
		return fmt.Errorf("load the demo's handler: %w", err)
	}
	conn, err := engine.New(configure("edge", url, dir))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := conn.Join(alertsChannel, engine.WriteOnly).Err(); err != nil {
		return err
	}
	handler := guest.Handler(handlerName, module)
	handler.Sends = []string{alertsChannel}
	if err := conn.Join(readingsChannel, engine.ReadOnly, engine.WithStart(engine.StartAll)).Handle(handler); err != nil {
		return err
	}
	fmt.Fprintln(out, "ready")
	line, err := bufio.NewReader(in).ReadString('\n')
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	sent, err := strconv.Atoi(strings.TrimPrefix(strings.TrimSpace(line), "report "))
	if err != nil {
		return fmt.Errorf("edge was told %q: want report N", line)
	}
	report, err := readEdge(conn.KV(handlerName), sent)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(report)
}

// configure returns the settings of one of the demo's nodes: the defaults, with presence quick enough to watch.
func configure(id, url, dir string) *engine.Config {
	cfg := engine.DefaultConfig()
	cfg.NodeID, cfg.StoragePath = id, filepath.Join(dir, id+".db")
	cfg.NATSServers = []string{url}
	cfg.NATSPrefix = "demo."
	cfg.KeepaliveInterval, cfg.NodeOfflineTimeout = 500*time.Millisecond, 2*time.Second
	cfg.MaxMessagesPerReceiver = 1_000_000
	cfg.Logger = quiet()
	return cfg
}

// edge is the edge's process as its parent sees it.
type edge struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// startEdge starts this same binary as the edge and waits until it is ready.
func startEdge(ctx context.Context, command []string, url, dir string) (*edge, error) {
	args := append(command[1:len(command):len(command)], "--url", url, "--dir", dir)
	e := &edge{cmd: exec.CommandContext(ctx, command[0], args...)}
	e.cmd.Stderr = os.Stderr
	var err error
	if e.in, err = e.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := e.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	e.out = bufio.NewReader(out)
	if err := e.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the edge: %w", err)
	}
	if line, err := e.out.ReadString('\n'); strings.TrimSpace(line) != "ready" {
		return nil, errors.Join(fmt.Errorf("the edge said %q instead of ready", line), err, e.kill())
	}
	return e, nil
}

// kill ends the process as a power cut would: SIGKILL.
func (e *edge) kill() error {
	err := e.cmd.Process.Kill()
	var exit *exec.ExitError
	if werr := e.cmd.Wait(); werr != nil && !errors.As(werr, &exit) {
		err = errors.Join(err, werr)
	}
	return err
}

// report asks for the edge's account, which ends it.
func (e *edge) report(sent int) (r edgeReport, err error) {
	if _, err = fmt.Fprintf(e.in, "report %d\n", sent); err != nil {
		return r, fmt.Errorf("ask the edge: %w", err)
	}
	if err = json.NewDecoder(e.out).Decode(&r); err != nil {
		return r, errors.Join(fmt.Errorf("the edge's account: %w", err), e.kill())
	}
	return r, e.cmd.Wait()
}
