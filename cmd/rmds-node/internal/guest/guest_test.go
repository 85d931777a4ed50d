package guest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/getevo/rmds/cmd/rmds-node/internal/embedded"
	"github.com/getevo/rmds/engine"
	"github.com/getevo/rmds/wasmhost"
)

// deadline is generous: it only keeps a broken test from hanging.
const deadline = 60 * time.Second

// pair is a node "edge" that handles channel "in" with a guest, and a node "client" that sends to it.
type pair struct {
	edge, client *engine.Connection
	in           *engine.Channel // the client's
	events       chan engine.Event
	t            *testing.T
}

// newPair loads the module, lets change adapt its handler, and connects the two nodes over a real server.
func newPair(t *testing.T, module []byte, change func(*engine.Handler), fault func(string) error) *pair {
	t.Helper()
	s, err := embedded.New(embedded.Options{Listen: "127.0.0.1:-1", Logger: slog.New(slog.DiscardHandler)})
	if err == nil {
		err = s.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	ctx := context.Background()
	host, err := wasmhost.New(ctx, wasmhost.Options{})
	if err != nil {
		t.Fatal(err)
	}
	limits := wasmhost.DefaultLimits()
	limits.Timeout, limits.CPU = deadline, deadline // machines that run tests can be very busy
	m, err := host.Load(ctx, module, limits, wasmhost.Settings{Name: "guest", Sends: []string{"out", "unlisted", "unjoined"}})
	if err != nil {
		t.Fatal(err)
	}
	p := &pair{events: make(chan engine.Event, 1000), t: t}
	p.edge = connect(t, "edge", s, func(c *engine.Config) {
		c.OnEvent, c.Fault, c.MaxMessageBytes = func(e engine.Event) { p.events <- e }, fault, 1500
	})
	t.Cleanup(func() { // after the nodes have closed
		if err := errors.Join(m.Close(ctx), host.Close(ctx)); err != nil {
			t.Error(err)
		}
	})
	closeAtEnd(t, p.edge)
	p.client = connect(t, "client", s, nil)
	closeAtEnd(t, p.client)

	p.join(p.edge, "out", engine.RW)
	h := Handler("guest", m)
	h.Sends = []string{"out", "unjoined"}
	if change != nil {
		change(h)
	}
	if err := p.join(p.edge, "in", engine.ReadOnly).Handle(h); err != nil {
		t.Fatal(err)
	}
	p.in = p.join(p.client, "in", engine.WriteOnly)
	return p
}

func connect(t *testing.T, id string, s *embedded.Server, change func(*engine.Config)) *engine.Connection {
	t.Helper()
	cfg := engine.DefaultConfig()
	cfg.NodeID, cfg.StoragePath, cfg.InProc = id, filepath.Join(t.TempDir(), id+".db"), s
	cfg.Logger = slog.New(slog.DiscardHandler)
	cfg.KeepaliveInterval, cfg.DiscoveryBroadcastInterval, cfg.DeliveryRetryInterval = 100*time.Millisecond, 100*time.Millisecond, 10*time.Millisecond
	if change != nil {
		change(cfg)
	}
	c, err := engine.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func closeAtEnd(t *testing.T, c *engine.Connection) {
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close %s: %v", c.NodeID(), err)
		}
	})
}

func (p *pair) join(c *engine.Connection, name string, role engine.Role) *engine.Channel {
	p.t.Helper()
	ch := c.Join(name, role)
	if err := ch.Err(); err != nil {
		p.t.Fatal(err)
	}
	return ch
}

// ask sends a request to the edge and returns the reply.
func (p *pair) ask(content string) *engine.Message {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	m, err := p.in.Request(ctx, "edge", content)
	if err != nil {
		p.t.Fatal(err)
	}
	return m
}

// event waits for an event of the edge.
func (p *pair) event(kind string) engine.Event {
	p.t.Helper()
	timeout := time.After(deadline)
	for {
		select {
		case e := <-p.events:
			if e.Kind == kind {
				return e
			}
		case <-timeout:
			p.t.Fatalf("no event %s", kind)
		}
	}
}

// stored returns what the guest's store has under k.
func (p *pair) stored() string {
	p.t.Helper()
	v, ok, err := p.edge.KV("guest").Get("k")
	if err != nil {
		p.t.Fatal(err)
	}
	if !ok {
		return "nothing"
	}
	return string(v)
}

func TestEffects(t *testing.T) {
	p := newPair(t, new(program).
		do("kv_set", "k", "v").
		do("kv_set", "gone", "x").
		do("kv_del", "gone").
		do("head", "unit", "C").
		do("send", "out", "sent on").
		do("head", "mood", "fine").
		do("reply", "pong").
		number(0).module(), nil, nil)
	out := make(chan *engine.Message, 1)
	if err := p.join(p.client, "out", engine.ReadOnly).OnMessage(func(m *engine.Message) { out <- m; _ = m.Ack() }); err != nil {
		t.Fatal(err)
	}
	m := p.ask("ping")
	if string(m.Data) != "pong" || m.Sender != "edge" || m.Headers["mood"] != "fine" || m.Headers["unit"] != "" {
		t.Errorf("the reply is %+v", m)
	}
	select {
	case m := <-out:
		if string(m.Data) != "sent on" || m.Headers["unit"] != "C" {
			t.Errorf("sent on: %+v", m)
		}
	case <-time.After(deadline):
		t.Error("nothing arrives on the other channel")
	}
	if v := p.stored(); v != "v" {
		t.Errorf("k is %q", v)
	}
	if _, ok, err := p.edge.KV("guest").Get("gone"); ok || err != nil {
		t.Errorf("a deleted key is there: %v, %v", ok, err)
	}
}

// TestMessage holds that every field of the engine's message reaches the guest: it replies with what it reads.
func TestMessage(t *testing.T) {
	for field, want := range map[string]func(*engine.Message) string{
		"content": func(*engine.Message) string { return "ping" },
		"channel": func(*engine.Message) string { return "in" },
		"sender":  func(*engine.Message) string { return "client" },
		"attempt": func(*engine.Message) string { return "1" },
		"id":      func(m *engine.Message) string { return m.InReplyTo },
	} {
		code := new(program)
		// reply(1024, msg_get(field, buffer 1024, 64 bytes))
		code.number(1024).call("msg_get", field, 1024, 64)
		code.raw(opCall, reply(code), opDrop).number(0)
		m := newPair(t, code.module(), nil, nil).ask("ping")
		if string(m.Data) != want(m) {
			t.Errorf("%s is %q, want %q", field, m.Data, want(m))
		}
	}
}

// reply returns the index of reply among the imports, whose arguments are on the stack already.
func reply(p *program) byte {
	p.imports = append(p.imports, "reply")
	return byte(len(p.imports) - 1)
}

func TestReject(t *testing.T) {
	p := newPair(t, new(program).do("kv_set", "k", "v").do("note", "reason", "too hot").number(65).module(), nil, nil)
	if err := p.in.SendMessage("x"); err != nil {
		t.Fatal(err)
	}
	if e := p.event("dead_letter"); !strings.Contains(e.Text, "rejected") || !strings.Contains(e.Text, "too hot") {
		t.Errorf("the event is %+v", e)
	}
	if v := p.stored(); v != "nothing" {
		t.Errorf("a rejected message has left %q", v)
	}
}

// firstAttempt is code that runs on the first attempt alone.
func firstAttempt(p *program, code func(*program)) *program {
	p.do("msg_get", "attempt", 1024, 8)
	p.number(1024).raw(opLoad8, 0, 0).number('1').raw(opEqual, opIf, blockEmpty)
	code(p)
	return p.raw(opEnd)
}

func TestRetry(t *testing.T) {
	p := newPair(t, firstAttempt(new(program), func(p *program) {
		p.do("kv_set", "k", "v").do("note", "retry-after-ms", "1").number(75).raw(opReturn)
	}).do("reply", "second").number(0).module(), nil, nil)
	if m := p.ask("x"); string(m.Data) != "second" {
		t.Errorf("the reply is %q", m.Data)
	}
	if v := p.stored(); v != "nothing" {
		t.Errorf("the attempt to be repeated has left %q", v)
	}
	if s := p.edge.Status(); s.Retries != 1 || s.Dead != 0 {
		t.Errorf("status is %+v", s)
	}
}

func TestTrap(t *testing.T) {
	p := newPair(t, new(program).do("kv_set", "k", "v").do("note", "reason", "oh no").raw(opUnreachable).number(0).module(),
		func(h *engine.Handler) { h.MaxAttempts = 2 }, nil)
	if err := p.in.SendMessage("x"); err != nil {
		t.Fatal(err)
	}
	if e := p.event("dead_letter"); !strings.Contains(e.Text, "oh no") || !strings.Contains(e.Text, "trap") {
		t.Errorf("the event is %+v", e)
	}
	if v := p.stored(); v != "nothing" {
		t.Errorf("failed attempts have left %q", v)
	}
}

// TestRefusals holds that what the engine refuses is told to the guest as a code, and does not fail the call.
func TestRefusals(t *testing.T) {
	const notPermitted, overLimit = -2, -3
	for _, tt := range []struct {
		channel string
		content int
		want    int
	}{
		{"unlisted", 1, notPermitted}, // by the engine's list; the host's has it
		{"unjoined", 1, notPermitted},
		{"out", 2000, overLimit},
		{"out", 1, 0},
	} {
		t.Run(fmt.Sprintf("%s %d", tt.channel, tt.content), func(t *testing.T) {
			p := new(program).call("send", tt.channel, strings.Repeat("x", tt.content)).number(tt.want).raw(opEqual, opIf, blockEmpty)
			p.do("reply", "as expected").number(0).raw(opReturn, opEnd).do("reply", "something else").number(0)
			if m := newPair(t, p.module(), nil, nil).ask("x"); string(m.Data) != "as expected" {
				t.Errorf("send answers %s", m.Data)
			}
		})
	}
}

// TestDiscarded holds that a guest forgets what it did for messages whose commit failed. It counts its calls in memory.
func TestDiscarded(t *testing.T) {
	count := new(program)
	count.text("0") // at 0
	count.number(0).number(0).raw(opLoad8, 0, 0).number(1).raw(opAdd, opStore8, 0, 0)
	index := reply(count)
	count.number(0).number(1).raw(opCall, index, opDrop).number(0)

	var failing atomic.Bool
	var discarded atomic.Int32
	p := newPair(t, count.module(), func(h *engine.Handler) {
		run, drop := h.Func, h.Discarded
		h.Func = func(ctx context.Context, tx *engine.Tx, m *engine.Message) error {
			err := run(ctx, tx, m)
			failing.Store(string(m.Data) == "fail" && m.Attempt == 1 && discarded.Load() == 0)
			return err
		}
		h.Discarded = func() { drop(); discarded.Add(1) }
	}, func(operation string) error {
		if operation == "Commit" && failing.CompareAndSwap(true, false) {
			return errors.New("no space left")
		}
		return nil
	})
	if m := p.ask("ok"); string(m.Data) != "1" {
		t.Fatalf("the first reply is %q", m.Data)
	}
	if m := p.ask("ok"); string(m.Data) != "2" {
		t.Fatalf("the second reply is %q: the guest's memory does not last", m.Data)
	}
	// The commit that fails may be one of the engine's own: then nothing was discarded, and the next message tries again.
	for n := byte('3'); discarded.Load() == 0; n++ {
		if n > '9' {
			t.Fatal("no commit of a handled message fails")
		}
		m := p.ask("fail")
		if discarded.Load() > 0 {
			n = '1'
		}
		if len(m.Data) != 1 || m.Data[0] != n {
			t.Fatalf("the guest counts %q, want %q, after %d failed commits", m.Data, n, discarded.Load())
		}
	}
}

// TestStop holds that a node can stop while a guest computes: the guest is stopped, and it is no attempt.
func TestStop(t *testing.T) {
	started, ended := make(chan struct{}), make(chan error, 1)
	p := newPair(t, new(program).raw(opLoop, blockEmpty, opBranch, 0, opEnd).number(0).module(), func(h *engine.Handler) {
		run := h.Func
		h.Func = func(ctx context.Context, tx *engine.Tx, m *engine.Message) error {
			close(started)
			err := run(ctx, tx, m)
			ended <- err
			return err
		}
	}, nil)
	if err := p.in.SendMessage("x"); err != nil {
		t.Fatal(err)
	}
	<-started
	if err := p.edge.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the guest ended with %v", err)
	}
	if s := p.edge.Status(); s.Retries != 0 || s.Dead != 0 {
		t.Errorf("status is %+v", s)
	}
}

func TestTranslate(t *testing.T) {
	other := errors.New("disk on fire")
	for cause, want := range map[error]error{
		engine.ErrNotPermitted: wasmhost.ErrNotPermitted, engine.ErrNotWriter: wasmhost.ErrNotPermitted,
		engine.ErrMessageTooLarge: wasmhost.ErrOverLimit, engine.ErrBadName: wasmhost.ErrBadArgument,
	} {
		if err := translate(fmt.Errorf("send: %w", cause)); !errors.Is(err, want) || !errors.Is(err, cause) {
			t.Errorf("%v becomes %v", cause, err)
		}
	}
	if err := translate(other); err != other {
		t.Errorf("%v becomes %v", other, err)
	}
	if translate(nil) != nil {
		t.Error("nil becomes an error")
	}
}
