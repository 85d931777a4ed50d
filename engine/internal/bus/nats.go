package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// natsBus is a Bus on a NATS server.
//
// The goroutine run makes a connection, trying for ever, and nats.go then keeps it alive through restarts of
// servers. Should nats.go give up, as it does on some protocol errors and when credentials are refused twice,
// run begins again with a new connection and the files read anew.
type natsBus struct {
	options NATSOptions
	logger  *slog.Logger
	end     context.CancelFunc
	done    chan struct{} // closed when run has returned
	closing atomic.Bool

	live       atomic.Pointer[nats.Conn] // nil while down; changed with mu held
	maxPayload atomic.Int64              // the last one known

	mu            sync.Mutex // guards the following
	subscriptions map[*natsSubscription]struct{}
	dropped       []*nats.Subscription // unsubscribed while down; the server is told with the next connection

	// changing is held while the state changes and while listener is called, so that events are told in the
	// order of the changes. It is taken before mu.
	changing sync.Mutex
	listener func(Event)
	current  *nats.Conn      // the connection whose callbacks count
	failures map[string]bool // texts of the failures met since the last Connected or Disconnected
	failure  Event           // the last of them

	calls sync.RWMutex // read-held by every call to a handler; guards over
	over  bool         // no handler may be called any more
}

var _ Bus = (*natsBus)(nil)

// maxFailures bounds the failures told in one outage.
const maxFailures = 16

// NATS returns a bus on the servers that o names. It returns at once and connects in the background, trying
// every 100 ms or so, for the first time and whenever the server is lost. An error means that no attempt could
// succeed: credentials that cannot be read or a URL that makes no sense.
//
// Publish hands data to the socket's buffer. Only if the server does not read, so that the buffer is full,
// does it wait, for 10 s at most; the server is then given up.
func NATS(o NATSOptions) (Bus, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	ctx, end := context.WithCancel(context.Background())
	b := &natsBus{
		options:       o,
		logger:        o.Logger,
		end:           end,
		done:          make(chan struct{}),
		subscriptions: make(map[*natsSubscription]struct{}),
	}
	if b.logger == nil {
		b.logger = slog.New(slog.DiscardHandler)
	}
	b.maxPayload.Store(defaultMaxPayload)
	go b.run(ctx)
	return b, nil
}

// Publish implements Bus.
func (b *natsBus) Publish(subject string, data []byte) error {
	if err := checkSubject(subject, false); err != nil {
		return err
	}
	nc := b.live.Load()
	if nc == nil {
		if b.closing.Load() {
			return ErrClosed
		}
		return ErrDisconnected
	}
	err := nc.Publish(subject, data)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("%w: %d bytes to %s, limit %d", ErrTooLarge, len(data), subject, b.MaxPayload())
	case errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrConnectionClosed):
		return ErrDisconnected // nats.go knows already, its callback is still to come
	}
	// The socket failed or is stuck. Left alone, nats.go would find out only when it reads from it.
	if forceErr := nc.ForceReconnect(); forceErr != nil {
		return ErrDisconnected // closed meanwhile, so that this is no news
	}
	return fmt.Errorf("%w: %w", ErrDisconnected, err)
}

// MaxPayload implements Bus.
func (b *natsBus) MaxPayload() int {
	if nc := b.live.Load(); nc != nil {
		b.maxPayload.Store(nc.MaxPayload())
	}
	return int(b.maxPayload.Load())
}

// Connected implements Bus.
func (b *natsBus) Connected() bool { return b.live.Load() != nil }

// Close implements Bus.
func (b *natsBus) Close() {
	if !b.closing.Swap(true) {
		if nc := b.live.Load(); nc != nil {
			if err := nc.FlushTimeout(closeGrace); err != nil {
				b.logger.Debug("bus closed before the server took all messages", "error", err)
			}
		}
		b.end()
	}
	<-b.done
	b.changing.Lock() // waits for the listener
	b.listener = nil
	b.changing.Unlock()
	b.calls.Lock() // waits for handlers
	b.over = true
	b.calls.Unlock()
}

// run keeps a connection until ctx ends.
func (b *natsBus) run(ctx context.Context) {
	defer close(b.done)
	for {
		lost := make(chan struct{})
		nc, err := b.connect(ctx, lost)
		if err != nil {
			b.fail(err)
		} else {
			b.serve(ctx, nc, lost)
		}
		wait := time.NewTimer(reconnectWait + rand.N(reconnectJitter))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return
		}
	}
}

// connect tries every server once. Lost will be closed when nats.go gives the connection up or it is closed.
func (b *natsBus) connect(ctx context.Context, lost chan struct{}) (*nats.Conn, error) {
	options, err := b.options.connection()
	if err != nil {
		return nil, err
	}
	d := &dialer{ctx: ctx, provider: b.options.InProcess}
	options = append(options,
		d.option(),
		nats.DisconnectErrHandler(b.down),
		nats.ReconnectHandler(func(nc *nats.Conn) { b.up(ctx, nc) }),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { b.fail(err) }),
		nats.ErrorHandler(b.asyncError),
		nats.ClosedHandler(func(*nats.Conn) { close(lost) }),
	)
	nc, err := nats.Connect(b.options.servers(), options...)
	if errors.Is(err, nats.ErrNoServers) && d.err != nil {
		return nil, d.err
	}
	return nc, err
}

// serve lives with one connection until it is lost for good or ctx ends.
func (b *natsBus) serve(ctx context.Context, nc *nats.Conn, lost chan struct{}) {
	b.adopt(nc)
	b.up(ctx, nc)
	if !nc.IsConnected() {
		b.down(nc, nc.LastError()) // lost before up could see it
	}
	select {
	case <-lost:
		b.down(nc, nc.LastError())
	case <-ctx.Done():
		nc.Close()
		<-lost
		b.down(nc, nil)
	}
}
