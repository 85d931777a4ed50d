package bus

import (
	"context"
	"net"

	"github.com/nats-io/nats.go"
)

// dialer makes the connections below NATS and closes them when ctx ends, so that nothing in nats.go waits for a
// silent server after Close. It remembers why it failed, which nats.Connect may keep to itself.
type dialer struct {
	ctx      context.Context
	provider nats.InProcessConnProvider // of connections within the process; may be nil
	err      error                      // the last failure
}

// Dial implements nats.CustomDialer.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	tcp := net.Dialer{Timeout: dialTimeout}
	c, err := tcp.DialContext(d.ctx, network, address)
	return d.keep(c, err)
}

// InProcessConn implements nats.InProcessConnProvider.
func (d *dialer) InProcessConn() (net.Conn, error) {
	c, err := d.provider.InProcessConn()
	return d.keep(c, err)
}

func (d *dialer) keep(c net.Conn, err error) (net.Conn, error) {
	if err != nil {
		d.err = err
		return nil, err
	}
	return &conn{Conn: c, release: context.AfterFunc(d.ctx, func() { c.Close() })}, nil
}

// option makes nats.go use d.
func (d *dialer) option() nats.Option {
	if d.provider != nil {
		return nats.InProcessServer(d)
	}
	return nats.SetCustomDialer(d)
}

// conn is a connection that a context may close.
type conn struct {
	net.Conn
	release func() bool
}

func (c *conn) Close() error {
	c.release()
	return c.Conn.Close()
}
