package wasmhost

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// example is an example block of the document: a script with what it expects.
type example struct {
	script
	msg     *Msg
	fx      *effects
	config  map[string]string
	sends   []string
	during  string // the export that makes the calls
	codes   []int32
	seen    []string // what see lines expect
	copied  int      // bytes of memory kept for see lines
	effects []string
	trap    string // the last call, if it traps
	want    Outcome
}

// exampleCopies is where a guest keeps what see lines look at: the state at that point counts, not that at the end.
const exampleCopies = 96 << 10

func runExample(t *testing.T, lines []string) {
	e := &example{msg: message(""), fx: newEffects(), config: map[string]string{}, during: exportHandle, want: Outcome{Kind: Ack}}
	for _, line := range lines {
		e.line(t, line)
	}
	e.check(t)
	if e.trap == "" {
		return
	}
	e.addCall(e.trap)
	g := loadWAT(t, e.wat(exportHandle))
	if o := g.run(t, e.msg, newEffects()); o.Kind != Failed || !errors.Is(o.Err, errPointer) {
		t.Errorf("%s: %v, want a trap", e.trap, o)
	}
}

// line takes one line of the block. What is not part of a call comes before the calls or after them.
func (e *example) line(t *testing.T, line string) {
	word, rest, _ := strings.Cut(line, " ")
	f := fields(t, rest)
	switch word {
	case "message":
		e.message(t, f)
	case "config":
		e.config[f[0]] = f[1]
	case "kv":
		e.fx.kv[f[0]] = f[1]
	case "sends":
		e.sends = f
	case "memory":
		e.put(number(t, f[0]), f[1])
	case "during":
		e.during = f[0]
	case "call":
		call, code, ok := strings.Cut(rest, "=")
		if !ok {
			e.trap, _, ok = strings.Cut(rest, "traps")
			if !ok {
				t.Fatalf("%q: neither = nor traps", line)
			}
			return
		}
		e.addCall(call)
		e.codes = append(e.codes, int32(number(t, strings.TrimSpace(code))))
	case "see":
		fmt.Fprintf(&e.calls, "i32.const %d i32.const %s i32.const %d memory.copy\n", exampleCopies+e.copied, f[0], len(f[1]))
		e.copied += len(f[1])
		e.seen = append(e.seen, f[1])
	case "return":
		e.end = "i32.const " + f[0]
	case "outcome":
		e.want.Kind = map[string]Kind{"ack": Ack, "retry": Retry, "reject": Reject, "failed": Failed}[f[0]]
	case "reason":
		e.want.Reason = f[0]
	case "retry-after":
		e.want.RetryAfter = time.Duration(number(t, f[0])) * time.Millisecond
	case "effect":
		e.effects = append(e.effects, strings.Join(f, " "))
	default:
		t.Fatalf("line %q", line)
	}
}

func (e *example) message(t *testing.T, f []string) {
	switch f[0] {
	case "content":
		e.msg.Content = []byte(f[1])
	case "id":
		e.msg.ID = f[1]
	case "channel":
		e.msg.Channel = f[1]
	case "sender":
		e.msg.Sender = f[1]
	case "created":
		e.msg.CreatedAt = time.Unix(0, int64(number(t, f[1])))
	case "attempt":
		e.msg.Attempt = number(t, f[1])
	case "header":
		if e.msg.Headers == nil {
			e.msg.Headers = map[string]string{}
		}
		e.msg.Headers[f[1]] = f[2]
	default:
		t.Fatalf("message %s", f[0])
	}
}

func (e *example) addCall(call string) {
	words := strings.Fields(call)
	var args []any
	for _, w := range words[1:] {
		n, err := strconv.Atoi(w)
		if err != nil {
			args = append(args, w)
		} else {
			args = append(args, n)
		}
	}
	e.call(words[0], args...)
}

// check runs the example without a call that traps.
func (e *example) check(t *testing.T) {
	body := e.wat(e.during)
	if e.during != exportHandle {
		body += handleAck
	}
	g := loadWAT(t, body, func(_ *Limits, s *Settings) { s.Config, s.Sends = e.config, e.sends })
	inst := g.pool.idle[0]
	stored := maps.Clone(e.fx.kv)
	o := Outcome{Kind: Ack}
	if e.during == exportHandle {
		o = g.run(t, e.msg, e.fx)
	}
	if o.Kind != e.want.Kind || o.Reason != e.want.Reason || o.RetryAfter != e.want.RetryAfter {
		t.Errorf("outcome %v, want %v", o, e.want)
	}
	if len(e.codes) > 0 {
		if got := e.results(inst); !slices.Equal(got, e.codes) {
			t.Errorf("results %v, want %v", got, e.codes)
		}
	}
	at := exampleCopies
	for _, want := range e.seen {
		b, _ := inst.mod.Memory().Read(uint32(at), uint32(len(want)))
		if string(b) != want {
			t.Errorf("memory has %q, want %q", b, want)
		}
		at += len(want)
	}
	if e.end != "" && o.Kind == Ack {
		if got := e.done(stored); !slices.Equal(got, e.effects) {
			t.Errorf("effects %q, want %q", got, e.effects)
		}
	}
}

// done lists the effects in the document's words.
func (e *example) done(stored map[string]string) (list []string) {
	for _, k := range slices.Sorted(maps.Keys(e.fx.kv)) {
		if old, ok := stored[k]; !ok || old != e.fx.kv[k] {
			list = append(list, "kv "+k+" "+e.fx.kv[k])
		}
	}
	for _, s := range e.fx.sent {
		words := []string{"send", s.channel, s.content}
		if s.channel == "" {
			words = []string{"reply", s.content}
		}
		for _, h := range s.headers {
			words = append(words, h.Key+"="+h.Value)
		}
		list = append(list, strings.Join(words, " "))
	}
	return list
}

// fields splits a line into words and quoted strings.
func fields(t *testing.T, s string) (list []string) {
	t.Helper()
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		if s[0] != '"' {
			word, rest, _ := strings.Cut(s, " ")
			list, s = append(list, word), rest
			continue
		}
		quoted, err := strconv.QuotedPrefix(s)
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		text, err := strconv.Unquote(quoted)
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		list, s = append(list, text), s[len(quoted):]
	}
	return list
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
