// Package demo shows the product at work on one machine: a sensor streams live readings to an edge in a process of its
// own, over a NATS server that goes away, while the edge is killed; the account at the end says what became of each.
package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/getevo/rmds/cmd/rmds-node/internal/embedded"
)

// Options of a run.
type Options struct {
	Duration time.Duration // how long readings are sent, at least 2 s
	Rate     float64       // readings per second, above 0
	Seed     int64         // of the moments of the outage and of the kill; 0 picks one
	Edge     []string      // the command that calls RunEdge; --url and --dir are added
	Progress io.Writer     // where progress lines go
}

// quiet is the logger of the demo's nodes: the demo tells the story itself.
func quiet() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
}

// patience is how long the demo waits at its end for what is still on its way.
const patience = 30 * time.Second

// Run runs the demo. An error means that it could not be run; whether the promise held, the account says.
func Run(ctx context.Context, o Options) (a Account, err error) {
	if o.Duration < 2*time.Second || o.Rate <= 0 || o.Rate > 100_000 {
		return a, errors.New("demo: --duration must be at least 2s, and --rate above 0 and at most 100000")
	}
	if o.Seed == 0 {
		o.Seed = 1 + rand.Int64N(1<<31)
	}
	a.Seed = o.Seed
	dir, err := os.MkdirTemp("", "rmds-demo-")
	if err != nil {
		return a, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := newStage(ctx, o, dir)
	if err != nil {
		return a, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.play(ctx); err != nil {
		return a, err
	}
	return a, s.account(&a)
}

// stage is everything that runs during the demo.
type stage struct {
	o      Options
	dir    string
	server *embedded.Server
	sensor *sensor
	edge   *edge
	begin  time.Time
	said   time.Time // when progress was printed last
	print  sync.Mutex
	script []scene // in order of time
}

// scene is something that happens at its time.
type scene struct {
	at  time.Duration
	act func(ctx context.Context) error
}

func newStage(ctx context.Context, o Options, dir string) (*stage, error) {
	s := &stage{o: o, dir: dir}
	var err error
	if s.server, err = embedded.New(embedded.Options{Listen: "127.0.0.1:-1", Logger: quiet()}); err == nil {
		err = s.server.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("start the NATS server: %w", err)
	}
	if s.edge, err = startEdge(ctx, o.Edge, s.server.URL(), dir); err == nil {
		s.sensor, err = startSensor(s.server.URL(), dir)
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.write()
	return s, nil
}

// write decides when what happens: an outage of NATS, and the edge killed and started again, each at a random moment.
func (s *stage) write() {
	rnd := rand.New(rand.NewPCG(uint64(s.o.Seed), 0))
	d := s.o.Duration
	between := func(from, to float64) time.Duration {
		return time.Duration((from + rnd.Float64()*(to-from)) * float64(d))
	}
	down, killed := between(0.1, 0.6), between(0.1, 0.8)
	s.script = append(s.script,
		scene{down, s.stopServer}, scene{down + between(0.1, 0.25), s.startServer},
		scene{killed, s.killEdge}, scene{killed + between(0.05, 0.15), s.startEdge})
	slices.SortFunc(s.script, func(a, b scene) int { return cmp.Compare(a.at, b.at) })
}

func (s *stage) stopServer(context.Context) error {
	s.say("the NATS server is stopped")
	s.server.Stop()
	return nil
}

func (s *stage) startServer(context.Context) error {
	s.say("the NATS server is back")
	return s.server.Start()
}

func (s *stage) killEdge(context.Context) error {
	s.say("edge is killed (SIGKILL)")
	e := s.edge
	s.edge = nil
	return e.kill()
}

func (s *stage) startEdge(ctx context.Context) (err error) {
	s.say("edge is started again")
	s.edge, err = startEdge(ctx, s.o.Edge, s.server.URL(), s.dir)
	return err
}

// play sends readings while the scenes happen, then waits until everything has been answered.
func (s *stage) play(ctx context.Context) error {
	s.begin = time.Now()
	s.say(fmt.Sprintf("sensor and edge run; %d kinds of readings, %g a second, for %v", len(s.sensor.sources), s.o.Rate, s.o.Duration))
	stop, cancel := context.WithCancel(ctx)
	defer cancel()
	directed := make(chan error, 1)
	go func() { directed <- s.direct(ctx, stop) }()
	err := s.stream(ctx)
	if err != nil {
		cancel()
	}
	if err := errors.Join(err, <-directed); err != nil {
		return err
	}
	return s.drain(ctx)
}

// direct lets each scene happen at its time, until stop ends.
func (s *stage) direct(ctx, stop context.Context) error {
	for _, sc := range s.script {
		select {
		case <-stop.Done():
			return nil
		case <-time.After(time.Until(s.begin.Add(sc.at))):
		}
		if err := sc.act(ctx); err != nil {
			return err
		}
	}
	return nil
}

// stream sends readings at their rate.
func (s *stage) stream(ctx context.Context) error {
	tick := time.NewTicker(max(time.Duration(float64(time.Second)/s.o.Rate), time.Millisecond))
	defer tick.Stop()
	for time.Since(s.begin) < s.o.Duration {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		for float64(s.sensor.sent) < s.o.Rate*time.Since(s.begin).Seconds() {
			if err := s.sensor.send(); err != nil {
				return err
			}
		}
		s.progress()
	}
	return nil
}

// drain waits for what is on its way; what has not come in a long time is lost.
func (s *stage) drain(ctx context.Context) error {
	s.say("no more readings; waiting for what is on its way")
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		sent, waiting, answered := s.sensor.progress()
		if waiting == 0 && answered == sent {
			return nil
		}
		s.progress()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

func (s *stage) say(text string) {
	s.print.Lock()
	defer s.print.Unlock()
	fmt.Fprintf(s.o.Progress, "%6.1fs  * %s\n", time.Since(s.begin).Seconds(), text)
}

// progress prints a line twice a second.
func (s *stage) progress() {
	if time.Since(s.said) < 500*time.Millisecond {
		return
	}
	s.said = time.Now()
	sent, waiting, answered := s.sensor.progress()
	s.print.Lock()
	defer s.print.Unlock()
	bar := []rune("········································")
	for i := range bar {
		if float64(i) < float64(waiting)*40/max(1, s.o.Rate*s.o.Duration.Seconds()/4) {
			bar[i] = '█'
		}
	}
	fmt.Fprintf(s.o.Progress, "%6.1fs  sent %6d  answered %6d  waiting %6d %s\n", time.Since(s.begin).Seconds(), sent, answered, waiting, string(bar))
}

func (s *stage) account(a *Account) error {
	sent, _, _ := s.sensor.progress()
	report, err := s.edge.report(sent)
	s.edge = nil
	if err != nil {
		return err
	}
	a.Handled, a.Duplicates, a.OutOfOrder = report.Handled, report.Repeated, report.OutOfOrder
	return s.sensor.account(a, report.Missing)
}

func (s *stage) close() error {
	var errs []error
	if s.edge != nil {
		errs = append(errs, s.edge.kill())
	}
	if s.sensor != nil {
		errs = append(errs, s.sensor.conn.Close())
	}
	s.server.Stop()
	return errors.Join(errs...)
}
