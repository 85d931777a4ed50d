// Command chat is a chat over RMDS, on the console and in a browser at the same time.
//
//	chat -node_id alice -mode writer -channel my_channel -nats localhost:4222 -web 8081
//
// What is typed is stored on this node's disk and reaches every reader of the channel, in order and once, whether or not
// NATS and the others are there at the moment. Lines that begin with / are commands: /stats, /nodes, /topology, /quit.
// The node's database is rmds-<node_id>.db in the working directory.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/getevo/rmds/engine"
)

// options are the command line.
type options struct {
	nodeID, channel, nats string
	role                  engine.Role
	web                   string // host:port, or "" for no web page
}

// does says what a role does.
var does = map[engine.Role]string{engine.ReadOnly: "reads", engine.WriteOnly: "writes", engine.RW: "reads and writes"}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "chat:", err)
		}
		os.Exit(1)
	}
}

// parse reads the command line. The flag package has printed what is wrong with a flag.
func parse(args []string, errs io.Writer) (*options, error) {
	o := &options{}
	var mode string
	f := flag.NewFlagSet("chat", flag.ContinueOnError)
	f.SetOutput(errs)
	f.StringVar(&o.nodeID, "node_id", "", "this node's `name`; generated, and kept in a file, if there is none")
	f.StringVar(&mode, "mode", "rw", "writer, reader or rw")
	f.StringVar(&o.channel, "channel", "my_channel", "the channel to talk on")
	f.StringVar(&o.nats, "nats", "localhost:4222", "NATS servers, separated by commas")
	f.StringVar(&o.web, "web", "", "`port` of the web page, on this machine alone; host:port for more; none by default")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	roles := map[string]engine.Role{"writer": engine.WriteOnly, "reader": engine.ReadOnly, "rw": engine.RW}
	var ok bool
	if o.role, ok = roles[mode]; !ok {
		return nil, fmt.Errorf("-mode %q: use writer, reader or rw", mode)
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("%q is no flag: see chat -help", f.Arg(0))
	}
	if o.web == "" {
		return o, nil
	}
	if _, err := strconv.ParseUint(o.web, 10, 16); err == nil {
		o.web = net.JoinHostPort("localhost", o.web)
	}
	if _, _, err := net.SplitHostPort(o.web); err != nil {
		return nil, fmt.Errorf("-web %q: use a port or host:port", o.web)
	}
	return o, nil
}

// run chats until /quit, until ctx ends, or, without a web page, until the input ends.
func run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) (err error) {
	o, err := parse(args, errs)
	if err != nil {
		return err
	}
	c, err := open(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var page *webServer
	if o.web != "" {
		if page, err = serveWeb(ctx, c, o.web); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, page.close()) }()
		c.say("web page: " + page.url())
	}
	c.say(fmt.Sprintf("%s %s channel %s; %s", c.conn.NodeID(), does[c.ch.Role()], c.ch.Name(), commandHelp))
	return console(ctx, c, in, out, page != nil)
}
