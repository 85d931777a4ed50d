package wasmhost

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/sys"
)

// runCommand runs a WASI command for one message: content on stdin, the reply on stdout, the result as exit status.
func (m *Module) runCommand(ctx context.Context, msg *Msg, effects Effects) Outcome {
	inst := newInstance()
	ctx, c := m.newCall(ctx, inst, msg, effects)
	inst.call = c
	out := &replyBuffer{c: c}
	o := m.exec(ctx, c, inst, out)
	if o.Kind == Ack && len(out.b) > 0 {
		o = c.finishReply(o, out.b)
	}
	o.CPU = c.watch.end()
	inst.finish()
	if inst.mod != nil {
		inst.close(ctx)
	}
	return o
}

func (m *Module) exec(ctx context.Context, c *call, inst *instance, out *replyBuffer) Outcome {
	args := append([]string{m.settings.Name, withoutNUL(c.msg.Channel), withoutNUL(c.msg.ID)}, m.settings.Args...)
	config := m.config(inst, bytes.NewReader(c.msg.Content), out, args)
	mod, err := m.host.runtime.InstantiateModule(ctx, m.compiled, c.commandEnv(config))
	if err != nil {
		return c.failed(c.failure(err))
	}
	inst.mod = mod
	_, err = mod.ExportedFunction(exportStart).Call(ctx)
	var exit *sys.ExitError
	switch {
	case c.stop != nil || err != nil && !errors.As(err, &exit):
		return c.failed(c.failure(err))
	case err != nil:
		return c.outcome(exit.ExitCode())
	}
	return c.outcome(resultAck)
}

// commandEnv adds the message's metadata to the environment. A header's name is in upper case, with _ for what a variable
// cannot have.
func (c *call) commandEnv(config wazero.ModuleConfig) wazero.ModuleConfig {
	for _, key := range []string{"id", "channel", "sender", "created", "attempt", "in-reply-to", "deadline-ms"} {
		if v, ok := c.field(key); ok {
			config = config.WithEnv("RMDS_"+envName(key), withoutNUL(v))
		}
	}
	for _, k := range slices.Sorted(maps.Keys(c.msg.Headers)) {
		config = config.WithEnv("RMDS_HEAD_"+envName(k), withoutNUL(c.msg.Headers[k]))
	}
	return config
}

func envName(key string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x80 && isAlnum(byte(r)) {
			return r
		}
		return '_'
	}, strings.ToUpper(key))
}

// withoutNUL removes what neither an argument nor a variable can have.
func withoutNUL(s string) string { return strings.ReplaceAll(s, "\x00", "") }

// finishReply passes on what a command wrote to stdout.
func (c *call) finishReply(o Outcome, content []byte) Outcome {
	if c.countSend(content, nil) != 0 {
		return c.failed(fmt.Errorf("%w: the reply on stdout has %d bytes, or it is one too many", ErrOverLimit, len(content)))
	}
	if err := c.effects.Reply(content, c.takeHeads()); err != nil {
		return c.failed(fmt.Errorf("reply: %w", err))
	}
	return o
}

// replyBuffer collects a command's stdout.
type replyBuffer struct {
	c *call
	b []byte
}

func (r *replyBuffer) Write(p []byte) (int, error) {
	if limit := r.c.mod.limits.SendBytes; int64(len(r.b)+len(p)) > limit {
		r.c.abort(fmt.Errorf("%w: more than %d bytes on stdout", ErrOverLimit, limit))
	}
	r.b = append(r.b, p...)
	return len(p), nil
}
