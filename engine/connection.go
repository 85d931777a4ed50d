package engine

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/getevo/rmds/engine/internal/bus"
	"github.com/getevo/rmds/engine/internal/store"
)

// busLink is the bus as the engine uses it.
type busLink = bus.Bus

// tailBytes bounds the newest part of the log that is kept in memory.
const tailBytes = 32 << 20

// Connection is one node: its database, its handlers and its links to other nodes. Its methods may be called from any
// goroutine. Close it, or the next start counts as one after a crash.
type Connection struct {
	// Mgmt shows the nodes around this one and commands them.
	Mgmt *Mgmt

	cfg     Config
	log     *slog.Logger
	wall    func() time.Time
	st      *store.Store
	bus     busLink
	run     uint64
	lineage []store.Run
	unclean bool    // the node before this start ended without Close
	idFile  *idFile // nil if the id is configured

	tail    *tail
	ledger  *ledger
	commit  *committer
	loop    *loop
	events  *eventQueue
	clean   *janitor
	kicks   *kickList
	manager *manager
	count   counters

	ctx      context.Context // ends with Close; handlers see it
	cancel   context.CancelFunc
	stopping chan struct{}
	closing  sync.Once
	closed   chan struct{}
	closeErr error
	domains  sync.WaitGroup

	version atomic.Uint64 // of what this node reads: sent in presence and accepts

	mu       sync.RWMutex
	channels map[string]*Channel
	kvs      map[string]*kvStore
	waiters  map[string]chan *Message   // Requests by the id they wait for an answer to
	trouble  map[string]trouble         // what is wrong now, by kind
	handlers map[string]*handlerFigures // by the handlers' names
}

// counters since the start of this node.
type counters struct {
	accepted, delivered, rejected, handled, retries, negative, gaps, resets, corrupt atomic.Int64
	dead                                                                             reasonCounter
}

// New opens the node's database and starts the node. It does not wait for NATS: messages sent meanwhile wait in the log.
// A nil config means DefaultConfig; New leaves the one that it is given as it is. Errors wrap ErrConfig for a bad value,
// naming the field, or tell what is wrong with the database. Two programs cannot have one database open.
//
// Without Config.NodeID an id is generated at the first start and kept in a file beside the database, rmds-node.id for the
// default storage path, for all later ones. The file is locked while the node runs: a second program without an id in
// the same directory gets an error, not the same name.
func New(config *Config, opts ...Option) (*Connection, error) {
	if config == nil {
		config = DefaultConfig()
	}
	cfg := *config
	for _, o := range opts {
		o(&cfg)
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	var generated *idFile
	if cfg.NodeID == "" {
		var err error
		if cfg.NodeID, generated, err = openNodeID(idPath(cfg.StoragePath)); err != nil {
			return nil, fmt.Errorf("rmds: generate a node id: %w", err)
		}
	}
	c := newConnection(cfg)
	c.idFile = generated
	if err := c.openStore(); err != nil {
		c.cancel()
		return nil, errors.Join(err, c.idFile.close())
	}
	if err := c.start(); err != nil {
		c.cancel()
		return nil, errors.Join(err, c.st.Close(), c.idFile.close())
	}
	return c, nil
}

func newConnection(cfg Config) *Connection {
	c := &Connection{cfg: cfg, log: cfg.Logger, wall: cfg.Wall, stopping: make(chan struct{}), closed: make(chan struct{}),
		channels: map[string]*Channel{}, kvs: map[string]*kvStore{}, waiters: map[string]chan *Message{}, trouble: map[string]trouble{},
		handlers: map[string]*handlerFigures{}}
	if c.log == nil {
		c.log = slog.Default()
	}
	c.log = c.log.With("node", cfg.NodeID)
	if c.wall == nil {
		c.wall = time.Now
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.version.Store(1)
	c.Mgmt = &Mgmt{c: c}
	c.kicks = newKickList(cfg.NATSPrefix, cfg.Operators)
	c.manager = newManager(c)
	return c
}

// openStore opens the database and starts a run in it (P1).
func (c *Connection) openStore() error {
	path := strings.ReplaceAll(c.cfg.StoragePath, nodeIDMark, c.cfg.NodeID)
	st, err := store.Open(path, store.Options{Hook: c.cfg.Fault, Sync: c.cfg.sync})
	if err != nil {
		return fmt.Errorf("rmds: open %s: %w", path, err)
	}
	if err = st.SetNodeID(c.cfg.NodeID); err == nil {
		c.run = randomID()
		c.lineage, c.unclean, err = st.StartRun(c.run, c.wall())
	}
	if err == nil {
		c.ledger, err = newLedger(st)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("rmds: open %s: %w", path, err), st.Close())
	}
	c.st = st
	return nil
}

// start connects to the bus and starts the goroutines.
func (c *Connection) start() error {
	next, err := c.st.NextSeq()
	if err != nil {
		return fmt.Errorf("rmds: read the log: %w", err)
	}
	c.tail = newTail(tailBytes, next-1)
	c.events = newEventQueue(c.cfg.OnEvent)
	c.commit = newCommitter(c.st, c.tail, next, c.cfg.EnableCompression, c.wall)
	c.loop = newLoop(c)
	c.clean = newJanitor(c)
	c.commit.cursors = c.ledger.takeDirty
	c.commit.cursorsLost = c.ledger.keepDirty
	c.commit.discard = c.dropOverlays
	c.commit.onError = c.storageTrouble
	c.commit.appended = c.ledger.appended
	c.commit.landed = func() error { return c.ledger.load(c.st) }
	c.commit.grew = c.loop.logGrew
	err = c.loop.loadPeers()
	if err == nil {
		err = c.kicks.load(c.st)
	}
	if err != nil {
		c.events.close()
		return err
	}
	connect := c.cfg.bus
	if connect == nil {
		connect = c.connectNATS
	}
	if c.bus, err = connect(&c.cfg); err != nil {
		c.events.close()
		return fmt.Errorf("rmds: connect: %w", err)
	}
	go c.commit.run()
	go c.loop.run()
	go c.clean.run()
	go c.manager.run()
	if err := c.loop.listen(); err != nil {
		return errors.Join(err, c.Close())
	}
	return nil
}

func (c *Connection) connectNATS(cfg *Config) (busLink, error) {
	return bus.NATS(bus.NATSOptions{Servers: cfg.NATSServers, InProcess: cfg.InProc, Name: "rmds " + cfg.NodeID, Logger: c.log,
		CredsFile: cfg.NATS.CredsFile, NKeyFile: cfg.NATS.NKeyFile, User: cfg.NATS.User, Password: cfg.NATS.Password,
		Token: cfg.NATS.Token, TLS: cfg.NATS.TLS})
}

// NodeID returns the node's name.
func (c *Connection) NodeID() string { return c.cfg.NodeID }

// Close ends the node: running handlers are told by their context and waited for, what they finished is committed and
// acknowledged, other nodes are told. It is no leave: what is sent meanwhile waits for the next start. Later calls wait
// for the first and return its result.
func (c *Connection) Close() error {
	now, cancel := context.WithCancel(context.Background())
	cancel()
	return c.Shutdown(now)
}

// Shutdown is Close, but handlers that run may finish undisturbed until ctx ends; only then are they told. No handler is
// started meanwhile.
func (c *Connection) Shutdown(ctx context.Context) error {
	c.closing.Do(func() {
		defer close(c.closed)
		close(c.stopping)
		disturb := context.AfterFunc(ctx, c.cancel)
		<-c.clean.finished
		<-c.manager.finished
		c.loop.call(func() {}) // what came before stopping has started its domains; no more start now
		c.domains.Wait()
		disturb()
		c.cancel()
		c.commit.close()
		c.loop.stop()
		c.bus.Close()
		c.events.close()
		c.closeErr = errors.Join(c.st.CleanStop(), c.st.Close(), c.idFile.close())
	})
	<-c.closed
	return c.closeErr
}

// Unsubscribe is Close. It does not leave the channels; Channel.Unsubscribe does.
func (c *Connection) Unsubscribe() error { return c.Close() }

// channel returns a joined channel or nil.
func (c *Connection) channel(name string) *Channel {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.channels[name]
}

// expiry is the TTL of a message that states none itself.
func (c *Connection) expiry(channel string) time.Duration {
	if ch := c.channel(channel); ch != nil && ch.opts.expiry != nil {
		return *ch.opts.expiry
	}
	return c.cfg.MessageExpiry
}

// kvStore returns the overlay of a handler's store, the same one for every user of the name.
func (c *Connection) kvStore(name string) *kvStore {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.kvs[name]
	if k == nil {
		k = newKVStore(name, c.st)
		c.kvs[name] = k
	}
	return k
}

// dropOverlays forgets what was staged for commits that will not happen.
func (c *Connection) dropOverlays() {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, k := range c.kvs {
		k.drop()
	}
}

// commitNow commits a unit and waits for it.
func (c *Connection) commitNow(u *unit) error {
	done := make(chan error, 1)
	u.done = func(err error) {
		if err == nil {
			u.committed()
		}
		done <- err
	}
	if err := c.commit.add(u); err != nil {
		return err
	}
	return <-done
}

// Probe returns nil if the goroutines that everything depends on answer, and the disk takes a write, before ctx ends. An
// error other than ctx's says that they answer and the disk does not: a watchdog counts that as alive.
func (c *Connection) Probe(ctx context.Context) error {
	answered := make(chan error, 2) // nobody waits to tell
	u := &unit{done: func(err error) { answered <- err }}
	if err := c.commit.add(u); err != nil {
		return err
	}
	c.loop.post(func() { answered <- nil })
	for range 2 {
		select {
		case err := <-answered:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// touch tells the loop that a domain has made progress.
func (c *Connection) touch(d *domain) { c.loop.touch(d) }

// randomID returns a random number that is never 0.
func randomID() uint64 {
	var b [8]byte
	for {
		crand.Read(b[:]) // never fails: crypto/rand ends the program instead
		if id := binary.LittleEndian.Uint64(b[:]); id != 0 {
			return id
		}
	}
}
