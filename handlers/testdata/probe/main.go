// Command probe is a handler that does what its message says, one command a line, and replies with what it saw.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/getevo/rmds/handlers/guest"
)

func init() {
	guest.Init(func() error {
		if reason, ok := guest.Config("refuse"); ok {
			return errors.New(reason)
		}
		return nil
	})
	guest.Handle(func(m *guest.Msg) error {
		var out bytes.Buffer
		for line := range strings.Lines(string(m.Content())) {
			if err := run(&out, m, strings.Fields(line)); err != nil {
				return err
			}
		}
		return guest.Reply(out.Bytes(), guest.Header{Key: "kind", Value: "transcript"}, guest.Header{Key: "empty"})
	})
}

func main() {}

func run(out *bytes.Buffer, m *guest.Msg, f []string) error {
	arg := func(i int) string {
		if i < len(f) {
			return f[i]
		}
		return ""
	}
	switch f[0] {
	case "message":
		fmt.Fprintf(out, "id=%s channel=%s sender=%s in-reply-to=%s handler=%s created=%s attempt=%d\n",
			m.ID(), m.Channel(), m.Sender(), m.InReplyTo(), m.Handler(), m.Created().UTC().Format(time.RFC3339Nano), m.Attempt())
	case "remaining":
		fmt.Fprintln(out, m.Remaining() > 0)
	case "headers":
		fmt.Fprintf(out, "%q\n", m.HeaderNames())
	case "header":
		value, ok := m.Header(arg(1))
		fmt.Fprintf(out, "%q %t\n", value, ok)
	case "config":
		value, ok := guest.Config(arg(1))
		fmt.Fprintf(out, "%q %t\n", value, ok)
	case "get":
		value, ok, err := guest.Get(arg(1))
		fmt.Fprintf(out, "%q %t %v\n", value, ok, err)
	case "length":
		value, _, err := guest.Get(arg(1))
		fmt.Fprintln(out, len(value), err)
	case "set":
		fmt.Fprintln(out, guest.Set(arg(1), []byte(arg(2))))
	case "fill":
		fmt.Fprintln(out, guest.Set(arg(1), bytes.Repeat([]byte(arg(2)), 5000)))
	case "delete":
		fmt.Fprintln(out, guest.Delete(arg(1)))
	case "keys":
		for key, err := range guest.Keys(arg(1)) {
			fmt.Fprintf(out, "%s ", key)
			if err != nil {
				return err
			}
		}
		fmt.Fprintln(out)
	case "send":
		err := guest.Send(arg(1), []byte(arg(2)), guest.Header{Key: "via", Value: "probe"})
		fmt.Fprintln(out, err, errors.Is(err, guest.ErrNotPermitted), errors.Is(err, guest.ErrOverLimit), errors.Is(err, guest.ErrBadArgument))
	case "log":
		guest.Log(guest.LevelWarn, arg(1))
	case "retry":
		after, err := time.ParseDuration(arg(1))
		return errors.Join(err, guest.Retry(after, arg(2)))
	case "reject":
		return fmt.Errorf("wrapped: %w", guest.Reject(arg(1)))
	case "fail":
		return errors.New(arg(1))
	case "panic":
		panic(arg(1))
	default:
		return guest.Reject("unknown command " + f[0])
	}
	return nil
}
