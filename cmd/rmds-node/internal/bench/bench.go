// Package bench measures the main job: messages accepted on disk by one process, handled in a transaction by another,
// and acknowledged end to end, over a real nats-server, both databases with synchronous=FULL.
package bench

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/getevo/rmds/cmd/rmds-node/internal/embedded"
	"github.com/getevo/rmds/engine"
)

// Options of a run.
type Options struct {
	Messages int
	Size     int      // bytes of content, at least 8
	Window   int      // messages handed over and not yet on the sender's disk, at least 1
	Server   string   // URL of a nats-server; empty starts one in this process
	Dir      string   // where the two databases go; empty is a temporary directory
	Receiver []string // the command that calls RunReceiver; --url and --dir are added
}

// Result is what was measured.
type Result struct {
	Messages     int     `json:"messages"`
	Size         int     `json:"size"`
	AcceptSecs   float64 `json:"accept_seconds"`  // until all were on the sender's disk
	Seconds      float64 `json:"seconds"`         // until all were acknowledged end to end
	PerSecond    float64 `json:"per_second"`      // Messages / Seconds
	Latency50    float64 `json:"latency_p50_ms"`  // one message at a time: from SendMessage to the handler's reply
	Latency99    float64 `json:"latency_p99_ms"`  //
	LatencyCount int     `json:"latency_samples"` //
}

// String is the result for people.
func (r *Result) String() string {
	return fmt.Sprintf("%d messages of %d bytes: %.0f/s sent, handled and acknowledged (%.2f s; all on the sender's disk after %.2f s)\n"+
		"one at a time, SendMessage to reply: median %.2f ms, 99 %% %.2f ms over %d\n",
		r.Messages, r.Size, r.PerSecond, r.Seconds, r.AcceptSecs, r.Latency50, r.Latency99, r.LatencyCount)
}

const channel = "bench"

// RunReceiver is the receiver's process: it counts in a transaction and runs until in ends.
func RunReceiver(url, dir string, in io.Reader, out io.Writer) error {
	conn, err := engine.New(configure("receiver", url, dir))
	if err != nil {
		return err
	}
	count := &engine.Handler{Name: "count", Func: func(_ context.Context, tx *engine.Tx, m *engine.Message) error {
		v, _, err := tx.Get("count")
		if err != nil {
			return err
		}
		n := uint64(0)
		if len(v) == 8 {
			n = binary.LittleEndian.Uint64(v)
		}
		if err := tx.Set("count", binary.LittleEndian.AppendUint64(nil, n+1)); err != nil {
			return err
		}
		if m.Headers["reply"] != "" {
			return tx.Reply(nil)
		}
		return nil
	}}
	if err := conn.Join(channel, engine.ReadOnly, engine.WithStart(engine.StartAll)).Handle(count); err != nil {
		return errors.Join(err, conn.Close())
	}
	fmt.Fprintln(out, "ready")
	_, err = io.Copy(io.Discard, in)
	v, _, kerr := conn.KV("count").Get("count")
	if len(v) == 8 {
		fmt.Fprintln(out, binary.LittleEndian.Uint64(v))
	}
	return errors.Join(err, kerr, conn.Close())
}

func configure(id, url, dir string) *engine.Config {
	cfg := engine.DefaultConfig()
	cfg.NodeID, cfg.StoragePath, cfg.NATSServers, cfg.NATSPrefix = id, filepath.Join(dir, id+".db"), []string{url}, "bench."
	cfg.MaxMessagesPerReceiver = 1 << 30
	cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return cfg
}

// Run measures.
func Run(ctx context.Context, o Options) (r Result, err error) {
	if o.Messages < 1 || o.Size < 8 || o.Window < 1 {
		return r, errors.New("bench: --messages and --window must be at least 1, --size at least 8")
	}
	if o.Dir == "" {
		if o.Dir, err = os.MkdirTemp("", "rmds-bench-"); err != nil {
			return r, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(o.Dir)) }()
	}
	if o.Server == "" {
		s, err := embedded.New(embedded.Options{Listen: "127.0.0.1:-1"})
		if err == nil {
			err = s.Start()
		}
		if err != nil {
			return r, fmt.Errorf("start the NATS server: %w", err)
		}
		defer s.Stop()
		o.Server = s.URL()
	}
	conn, err := engine.New(configure("sender", o.Server, o.Dir))
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	stop, err := startReceiver(ctx, o)
	if err != nil {
		return r, err
	}
	r, err = measure(ctx, conn, o)
	counted, serr := stop()
	if err == nil && serr == nil && counted != o.Messages+r.LatencyCount {
		err = fmt.Errorf("the handler counted %d of %d messages", counted, o.Messages+r.LatencyCount)
	}
	return r, errors.Join(err, serr)
}

// startReceiver starts the other process; stop ends it and returns how many messages its handler has counted.
func startReceiver(ctx context.Context, o Options) (stop func() (int, error), err error) {
	args := append(o.Receiver[1:len(o.Receiver):len(o.Receiver)], "--url", o.Server, "--dir", o.Dir)
	cmd := exec.CommandContext(ctx, o.Receiver[0], args...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the receiver: %w", err)
	}
	lines := bufio.NewReader(out)
	stop = func() (counted int, err error) {
		err = in.Close()
		_, serr := fmt.Fscan(lines, &counted)
		return counted, errors.Join(err, serr, cmd.Wait())
	}
	if line, err := lines.ReadString('\n'); strings.TrimSpace(line) != "ready" {
		_, serr := stop()
		return nil, errors.Join(fmt.Errorf("the receiver said %q instead of ready", line), err, serr)
	}
	return stop, nil
}

// measure sends one message at a time for the latency, then all of them for the rate.
func measure(ctx context.Context, conn *engine.Connection, o Options) (r Result, err error) {
	r.Messages, r.Size = o.Messages, o.Size
	ch := conn.Join(channel, engine.WriteOnly)
	if err := latency(ctx, ch, &r); err != nil {
		return r, err
	}
	pool := noise(o.Size)
	pending := make([]*engine.Pending, 0, o.Window)
	begin := time.Now()
	for n := 0; n < o.Messages; n++ {
		content := pool[n%(len(pool)-o.Size):][:o.Size]
		if len(pending) == o.Window {
			half := o.Window / 2
			if err := wait(ctx, pending[:half+1]); err != nil {
				return r, err
			}
			pending = append(pending[:0], pending[half+1:]...)
		}
		pending = append(pending, ch.SendAsync(content))
	}
	if err := wait(ctx, pending); err != nil {
		return r, err
	}
	r.AcceptSecs = time.Since(begin).Seconds()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for conn.Status().Queued > 0 {
		select {
		case <-ctx.Done():
			return r, ctx.Err()
		case <-tick.C:
		}
	}
	r.Seconds = time.Since(begin).Seconds()
	r.PerSecond = float64(o.Messages) / r.Seconds
	return r, nil
}

// noise returns random bytes to cut contents of a size from: no two alike, and nothing for compression to gain.
func noise(size int) []byte {
	pool := make([]byte, 1<<20+size)
	_, _ = rand.NewChaCha8([32]byte{}).Read(pool) // never fails
	return pool
}

func wait(ctx context.Context, pending []*engine.Pending) error {
	for _, p := range pending {
		if _, err := p.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}
