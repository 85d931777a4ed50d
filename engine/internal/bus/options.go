package bus

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	reconnectWait   = 100 * time.Millisecond // between attempts, once all servers have been tried
	reconnectJitter = 50 * time.Millisecond  // random time added to reconnectWait

	dialTimeout      = 2 * time.Second // for one server: looking up its name and the TCP handshake
	handshakeTimeout = 5 * time.Second // for TLS and the NATS greeting: four round trips on a slow link

	pingInterval = 15 * time.Second // a server that misses three in a row is given up

	// writeTimeout is how long a write may wait for room in the socket before the server is given up. The
	// largest message takes this long at 1 Mbit/s.
	writeTimeout = 10 * time.Second

	// closeGrace is how long Close waits for the server to take what was published.
	closeGrace = 500 * time.Millisecond

	// Messages received and waiting for one subscription's handler. A sender's window keeps far below.
	pendingMessages = 1 << 20
	pendingBytes    = 128 << 20
)

// NATSOptions says how to reach a NATS server. The zero value means nats://127.0.0.1:4222 without credentials.
// Files are read anew whenever a connection is made, so that they may be replaced while the bus runs.
type NATSOptions struct {
	Servers   []string                   // URLs, tried in random order; servers of the same cluster are found by themselves
	InProcess nats.InProcessConnProvider // if set, a server in this process, asked at every attempt; Servers are not used
	Name      string                     // of the connection, as the server's operator sees it

	CredsFile      string // file with a user JWT and its seed
	NKeyFile       string // file with a user nkey seed
	User, Password string
	Token          string

	TLS    *tls.Config  // nil: TLS only if a URL or the server asks for it
	Logger *slog.Logger // hears every event; nil: none
}

// check finds what no later attempt could cure.
func (o NATSOptions) check() error {
	ways := 0
	for _, set := range []bool{o.CredsFile != "", o.NKeyFile != "", o.User != "", o.Token != ""} {
		if set {
			ways++
		}
	}
	if ways > 1 {
		return errors.New("bus: more than one of credentials file, nkey file, user and token given")
	}
	for _, server := range o.Servers {
		if !strings.Contains(server, "://") {
			server = "nats://" + server
		}
		if u, err := url.Parse(server); err != nil {
			return fmt.Errorf("bus: server: %w", err)
		} else if u.Hostname() == "" {
			return fmt.Errorf("bus: server %q has no host", u.Redacted())
		}
	}
	if o.CredsFile != "" {
		if _, err := os.ReadFile(o.CredsFile); err != nil {
			return fmt.Errorf("bus: credentials: %w", err)
		}
	}
	_, err := o.credentials()
	return err
}

// credentials returns how to authenticate, according to the files as they are now.
func (o NATSOptions) credentials() ([]nats.Option, error) {
	switch {
	case o.CredsFile != "":
		return []nats.Option{nats.UserCredentials(o.CredsFile)}, nil
	case o.NKeyFile != "":
		option, err := nats.NkeyOptionFromSeed(o.NKeyFile)
		if err != nil {
			return nil, fmt.Errorf("bus: nkey file %s: %w", o.NKeyFile, err)
		}
		return []nats.Option{option}, nil
	case o.User != "":
		return []nats.Option{nats.UserInfo(o.User, o.Password)}, nil
	case o.Token != "":
		return []nats.Option{nats.Token(o.Token)}, nil
	}
	return nil, nil
}

// connection returns everything about a connection but its callbacks and the way to the server.
func (o NATSOptions) connection() ([]nats.Option, error) {
	options, err := o.credentials()
	if err != nil {
		return nil, err
	}
	options = append(options,
		nats.Name(o.Name),
		nats.Timeout(handshakeTimeout),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectJitter, reconnectJitter),
		nats.ReconnectBufSize(-1), // none: what was not sent is stale by then
		nats.PingInterval(pingInterval),
		nats.FlusherTimeout(writeTimeout),
		nats.ReconnectOnFlusherError(),
		nats.SkipSubjectValidation(), // checkSubject did it
		nats.SkipHostLookup(),        // the dialer does it, within its time limit
	)
	if o.TLS != nil {
		options = append(options, nats.Secure(o.TLS))
	}
	return options, nil
}

// servers returns the URLs in the form nats.Connect takes.
func (o NATSOptions) servers() string {
	if len(o.Servers) == 0 {
		return nats.DefaultURL
	}
	return strings.Join(o.Servers, ",")
}
