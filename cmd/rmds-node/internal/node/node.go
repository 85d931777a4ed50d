// Package node builds a running node from a configuration: the only place that knows all the parts.
//
//	Start: modules ──► embedded server ──► engine ──► channels, then handlers ──► watch of the modules' files, admin socket, web page
//	Close: the same way back, so that nothing is closed which something else still uses
//
// A failure on the way up takes down what was up. The engine needs no NATS to start, so neither does a node. A crash
// leaves the socket's file, which the next start replaces, and what the engine's package comment says.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/getevo/rmds/cmd/rmds-node/internal/admin"
	"github.com/getevo/rmds/cmd/rmds-node/internal/config"
	"github.com/getevo/rmds/cmd/rmds-node/internal/embedded"
	"github.com/getevo/rmds/cmd/rmds-node/internal/guest"
	"github.com/getevo/rmds/cmd/rmds-node/internal/web"
	"github.com/getevo/rmds/engine"
	"github.com/getevo/rmds/wasmhost"
)

// Program is what the node has to know of the program that it is.
type Program struct {
	Version string
	// Compiler is the command of this program that compiles a module apart: see wasmhost.Compiler. Empty compiles in
	// this process.
	Compiler []string
}

// Node is a running node. Its methods may be called from any goroutine.
type Node struct {
	config  *config.Config
	version string
	log     *slog.Logger
	started time.Time

	modules  *modules
	server   *embedded.Server // nil without [nats] embedded
	conn     *engine.Connection
	channels map[string]*engine.Channel // not changed after Start
	admin    *admin.Server
	web      *web.Server   // nil without [admin] listen
	recorder *web.Recorder // nil without [admin] listen

	watcher   sync.WaitGroup // of the modules' files
	stopWatch context.CancelFunc
}

// Start starts a node. The error is config.Faults if the configuration is at fault in a way that only the world shows.
// ctx limits the start, not the node.
func Start(ctx context.Context, c *config.Config, program Program, log *slog.Logger) (_ *Node, err error) {
	n := &Node{config: c, version: program.Version, log: log, started: time.Now(), channels: map[string]*engine.Channel{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close(ctx))
		}
	}()
	if err := os.MkdirAll(c.Node.DataDir, 0o700); err != nil {
		return nil, config.Faults{c.Fault("node.data_dir", err.Error(), "name a directory that the node may write to")}
	}
	settings, err := engineConfig(c)
	if err != nil {
		return nil, err
	}
	if n.modules, err = loadModules(ctx, c, hostOptions(c, program, log)); err != nil {
		return nil, err
	}
	if c.NATS.Embedded {
		if n.server, err = startServer(c, settings, log); err != nil {
			return nil, err
		}
		settings.InProc = n.server
	}
	settings.Logger = log
	if c.Admin.Listen != "" {
		n.recorder = web.NewRecorder()
		settings.OnEvent = func(e engine.Event) {
			n.recorder.Event(web.Event{At: e.At, Kind: e.Kind, Node: e.Node, Channel: e.Channel, Text: e.Text})
		}
	}
	if n.conn, err = engine.New(settings); err != nil {
		return nil, err
	}
	if err := n.join(); err != nil {
		return nil, err
	}
	watching, stop := context.WithCancel(context.Background())
	n.stopWatch = stop
	n.watcher.Go(func() { n.modules.watch(watching) })
	n.admin, err = admin.Serve(c.Admin.Socket, (*backend)(n), int64(c.Delivery.MaxMessageBytes), log)
	if err != nil && !errors.Is(err, admin.ErrInUse) {
		err = config.Faults{c.Fault("admin.socket", err.Error(), "name a socket in a directory that the node may write to")}
	}
	if err != nil {
		return nil, err
	}
	if err := n.serveWeb(); err != nil {
		return nil, err
	}
	return n, nil
}

// serveWeb serves the page if the configuration says where.
func (n *Node) serveWeb() (err error) {
	a := &n.config.Admin
	if a.Listen == "" {
		return nil
	}
	n.web, err = web.Serve(web.Options{Listen: a.Listen, Hosts: a.Hosts, ShowPayloads: a.ShowPayloads}, (*backend)(n), n.recorder, n.log)
	if err != nil {
		return config.Faults{n.config.Fault("admin.listen", err.Error(), "choose an address of this machine and a port that is free")}
	}
	n.log.Info("web page", "url", n.web.URL())
	return nil
}

func startServer(c *config.Config, settings *engine.Config, log *slog.Logger) (*embedded.Server, error) {
	s, err := embedded.New(embedded.Options{
		Listen: c.NATS.Listen, User: settings.NATS.User, Password: settings.NATS.Password, Token: settings.NATS.Token,
		LeafRemotes: c.NATS.LeafRemotes, LeafCredsFile: c.NATS.LeafCredsFile, Logger: log,
	})
	if err != nil {
		return nil, err
	}
	if err := s.Start(); err != nil {
		return nil, err
	}
	log.Info("embedded NATS server", "url", s.URL())
	return s, nil
}

// join joins the channels, writers and readers alike, before it sets the first handler: a handler may send on any.
func (n *Node) join() error {
	for i := range n.config.Channels {
		c := &n.config.Channels[i]
		ch := n.conn.Join(c.Name, roleOf(c), joinOptions(c)...)
		if err := ch.Err(); err != nil {
			return err
		}
		n.channels[c.Name] = ch
	}
	handlers := map[string][]*engine.Handler{}
	for i := range n.config.Handlers {
		h := &n.config.Handlers[i]
		handler := guest.Handler(h.Name, n.modules.loaded[i].Slot)
		handler.MaxAttempts = h.MaxAttempts
		handler.Sends = append([]string{}, h.Send...) // nil would mean all
		for _, name := range h.Channels {
			handlers[name] = append(handlers[name], handler)
		}
		if h.Every > 0 {
			if err := n.conn.Every(time.Duration(h.Every), handler); err != nil {
				return err
			}
		}
	}
	for name, list := range handlers {
		if err := n.channels[name].Handle(list...); err != nil {
			return err
		}
	}
	for i := range n.config.Channels {
		if c := &n.config.Channels[i]; c.Reads() && len(handlers[c.Name]) == 0 {
			n.log.Warn("channel is read and has no handler: its messages wait at their senders", "channel", c.Name)
		}
	}
	return nil
}

// Ended is closed when the admin socket has stopped serving, by Close or by a failure, which Err then returns.
func (n *Node) Ended() <-chan struct{} { return n.admin.Ended() }

// Err returns why the node ended by itself; nil after Close. Call it after Ended only.
func (n *Node) Err() error { return n.admin.Err() }

// Reload reads the modules of the named handlers again, of all if none is named, and puts those that have changed in the
// place of the ones that run. A module that is refused leaves the old one running; it is no error of Reload, and is in
// its result. The error is an *admin.Error for a name that is no handler's.
func (n *Node) Reload(ctx context.Context, names ...string) ([]admin.Reloaded, error) {
	var chosen []*module
	for _, name := range names {
		i := slices.IndexFunc(n.modules.loaded, func(m *module) bool { return m.handler.Name == name })
		if i < 0 {
			return nil, admin.Errorf(admin.CodeNotFound, "node %s has no handler %q", n.config.Node.ID, name)
		}
		chosen = append(chosen, n.modules.loaded[i])
	}
	if len(names) == 0 {
		chosen = n.modules.loaded
	}
	out := []admin.Reloaded{}
	for _, m := range chosen {
		changed, err := m.reload(ctx)
		r := admin.Reloaded{Name: m.handler.Name, SHA256: m.Info().SHA256, Changed: changed}
		if err != nil {
			r.Error = err.Error()
		}
		out = append(out, r)
	}
	return out, nil
}

// Probe returns when the node's writer and its loop have answered, or ctx has ended. A disk that fails has answered too: it
// is no reason to kill the node.
func (n *Node) Probe(ctx context.Context) {
	if err := n.conn.Probe(ctx); err != nil && ctx.Err() == nil {
		n.log.Debug("probe", "err", err)
	}
}

// Close ends the node. Messages that wait are sent after the next start. Calls on the admin socket and guests are cut
// off when ctx ends; the engine's last commit is waited for in any case.
func (n *Node) Close(ctx context.Context) error {
	var errs []error
	if n.web != nil {
		errs = append(errs, n.web.Close(ctx))
	}
	if n.admin != nil {
		errs = append(errs, n.admin.Close(ctx))
	}
	if n.stopWatch != nil {
		n.stopWatch()
		n.watcher.Wait()
	}
	if n.conn != nil {
		errs = append(errs, n.conn.Close())
	}
	if n.modules != nil {
		errs = append(errs, n.modules.close(ctx))
	}
	if n.server != nil {
		n.server.Stop()
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	return nil
}

// Check does what Start does up to the point where something would change: it reads the credentials and loads the
// modules. The error is as Start's.
func Check(ctx context.Context, c *config.Config) error {
	_, err := engineConfig(c)
	m, merr := loadModules(ctx, c, wasmhost.Options{Logger: slog.New(slog.DiscardHandler)})
	if m != nil {
		merr = errors.Join(merr, m.close(ctx))
	}
	var a, b config.Faults
	if errors.As(err, &a) && errors.As(merr, &b) {
		return append(a, b...).Err()
	}
	return errors.Join(err, merr)
}
