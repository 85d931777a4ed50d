package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// ErrUnreachable: no node answers on the socket. What the call asked for may have happened if the node died during it.
var ErrUnreachable = errors.New("node not reachable")

// Client calls a node over its socket. It is safe for concurrent use.
type Client struct {
	socket string
	http   *http.Client
}

// NewClient returns a client of the node that listens on the socket. It does not connect yet.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", socket)
	}
	return &Client{socket, &http.Client{Transport: &http.Transport{DialContext: dial}}}
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status returns the state of the node.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	s := new(Status)
	if err := c.call(ctx, http.MethodGet, "/v1/status", nil, nil, s); err != nil {
		return nil, err
	}
	return s, nil
}

// Send sends a message and returns its id once the node has it on disk.
func (c *Client) Send(ctx context.Context, m Outgoing) (string, error) {
	var sent Sent
	err := c.call(ctx, http.MethodPost, "/v1/send", m.query(), m.Content, &sent)
	return sent.ID, err
}

// Request sends a message and returns the first reply to it. It waits up to timeout, 0 meaning DefaultTimeout.
func (c *Client) Request(ctx context.Context, m Outgoing, timeout time.Duration) (*Message, error) {
	q := m.query()
	if timeout != 0 {
		q.Set("timeout", timeout.String())
	}
	reply := new(Message)
	if err := c.call(ctx, http.MethodPost, "/v1/request", q, m.Content, reply); err != nil {
		return nil, err
	}
	return reply, nil
}

// Reload has the node read the modules of the named handlers again, of all if none is named. Modules that are refused are
// no error; the result says so.
func (c *Client) Reload(ctx context.Context, handlers ...string) ([]Reloaded, error) {
	var done []Reloaded
	err := c.call(ctx, http.MethodPost, "/v1/handlers/reload", url.Values{"handler": handlers}, nil, &done)
	return done, err
}

// Get returns the value of a key of a handler's store. A key that is not there is an *Error with CodeNotFound.
func (c *Client) Get(ctx context.Context, store, key string) ([]byte, error) {
	var value []byte
	err := c.call(ctx, http.MethodGet, "/v1/kv/"+url.PathEscape(store)+"/value", url.Values{"key": {key}}, nil, &value)
	return value, err
}

// List returns a page of a handler's store: keys that have the prefix and come after the key after. limit 0 means
// DefaultPage.
func (c *Client) List(ctx context.Context, store, prefix, after string, limit int) (*Page, error) {
	q := url.Values{"prefix": {prefix}, "after": {after}}
	if limit != 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	page := new(Page)
	if err := c.call(ctx, http.MethodGet, "/v1/kv/"+url.PathEscape(store), q, nil, page); err != nil {
		return nil, err
	}
	return page, nil
}

func (m *Outgoing) query() url.Values {
	q := url.Values{"channel": {m.Channel}}
	if m.To != "" {
		q.Set("to", m.To)
	}
	if m.TTL != 0 {
		q.Set("ttl", m.TTL.String())
	}
	for key, value := range m.Headers {
		q.Add("header", key+"="+value)
	}
	return q
}

// call makes one call and decodes the answer into result: bytes as they are, anything else from JSON. The error is an
// *Error if the node refused, and wraps ErrUnreachable if there was no whole answer, unless ctx ended.
func (c *Client) call(ctx context.Context, method, path string, q url.Values, content []byte, result any) error {
	r, err := http.NewRequestWithContext(ctx, method, "http://node"+path+"?"+q.Encode(), bytes.NewReader(content))
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	a, err := c.http.Do(r)
	if err != nil {
		return c.failed(ctx, err)
	}
	defer a.Body.Close()
	body, err := io.ReadAll(a.Body)
	if err != nil {
		return c.failed(ctx, err)
	}
	if a.StatusCode != http.StatusOK {
		var e errorBody
		if err := json.Unmarshal(body, &e); err != nil || e.Error == nil {
			return fmt.Errorf("node answered %s: %.200q", a.Status, body)
		}
		return e.Error
	}
	if b, ok := result.(*[]byte); ok {
		*b = body
		return nil
	}
	if err := json.Unmarshal(body, result); err != nil {
		return fmt.Errorf("node's answer to %s: %w", path, err)
	}
	return nil
}

func (c *Client) failed(ctx context.Context, err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // without the made-up address
	}
	if ctx.Err() != nil {
		return fmt.Errorf("node at %s: %w", c.socket, ctx.Err())
	}
	return fmt.Errorf("%w at %s: %w", ErrUnreachable, c.socket, err)
}
