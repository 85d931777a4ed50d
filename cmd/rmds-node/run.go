package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/getevo/rmds/cmd/rmds-node/internal/config"
	"github.com/getevo/rmds/cmd/rmds-node/internal/logging"
	"github.com/getevo/rmds/cmd/rmds-node/internal/node"
	"github.com/getevo/rmds/cmd/rmds-node/internal/notify"
	"github.com/getevo/rmds/engine"
	"github.com/spf13/cobra"
)

// stopTimeout bounds how long a stopping node waits for calls on its socket. systemd's own default is 90 s.
const stopTimeout = 10 * time.Second

func newRunCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run a node until SIGINT or SIGTERM",
		Long: `run starts the node that the configuration describes and runs it until SIGINT or SIGTERM; a second signal ends it at
once, which is as safe as a power cut: nothing accepted is lost. It needs no NATS to start. It logs to standard error.

A handler's module that changes on disk is loaded, checked and initialised, and then takes the place of the old one;
messages under way end on the old one. One that is refused leaves the old one running. SIGHUP looks at all modules at
once. The configuration is read at the start only.`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(file)
			if err != nil {
				return err
			}
			return run(cmd.Context(), c, newLogger(cmd.ErrOrStderr(), &c.Log))
		},
	}
	configFlag(cmd, &file)
	return cmd
}

// run runs a node until ctx ends, or until it ends by itself.
func run(ctx context.Context, c *config.Config, log *slog.Logger) error {
	n, err := node.Start(ctx, c, node.Program{Version: buildVersion(), Compiler: compilerCommand()}, log)
	if errors.Is(err, engine.ErrConfig) {
		return configError{err}
	}
	if err != nil {
		return err
	}
	log.Info("node is up", "node", c.Node.ID, "version", buildVersion(), "database", c.Database(), "socket", c.Admin.Socket,
		"channels", len(c.Channels), "handlers", len(c.Handlers))
	tell(log, notify.Ready+"\n"+notify.Status("node "+c.Node.ID+" is up"))

	feeding, starve := context.WithCancel(context.Background())
	var feeder sync.WaitGroup
	if every := notify.WatchdogInterval(); every > 0 {
		feeder.Go(func() {
			notify.Feed(feeding, every, n.Probe, func(err error) { log.Warn("watchdog", "error", err) })
		})
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	serve(ctx, n, hangups)
	if ctx.Err() != nil {
		log.Info("stopping", "node", c.Node.ID)
	}
	tell(log, notify.Stopping)
	starve()
	feeder.Wait()
	stopCtx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := n.Close(stopCtx); err != nil {
		return err
	}
	if err := n.Err(); err != nil {
		return fmt.Errorf("the node ended: %w", err)
	}
	log.Info("stopped", "node", c.Node.ID)
	return nil
}

// serve reloads the modules at every hangup, until ctx ends or the node does.
func serve(ctx context.Context, n *node.Node, hangups <-chan os.Signal) {
	for {
		select {
		case <-hangups:
			_, _ = n.Reload(ctx) // it logs what was refused; only a name that is no handler's is an error
		case <-ctx.Done():
			return
		case <-n.Ended():
			return
		}
	}
}

// tell informs the service manager. A node works without it.
func tell(log *slog.Logger, message string) {
	if err := notify.Send(message); err != nil {
		log.Warn("service manager", "error", err)
	}
}

// newLogger returns the logger that [log] asks for.
func newLogger(w io.Writer, c *config.Log) *slog.Logger {
	o := logging.Options{JSON: c.Format == "json", Journal: os.Getenv("JOURNAL_STREAM") != ""}
	if err := o.Level.UnmarshalText([]byte(c.Level)); err != nil {
		o.Level = slog.LevelInfo // the configuration was checked
	}
	return logging.New(w, o)
}
