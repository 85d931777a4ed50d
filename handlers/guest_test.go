package handlers

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getevo/rmds/wasmhost"
)

// say runs commands of testdata/probe as one message and returns the probe's transcript.
func say(t *testing.T, n *node, commands ...string) string {
	t.Helper()
	got := n.handle(t, strings.Join(commands, "\n"))
	if got.kind != wasmhost.Ack || len(got.replies) != 1 {
		t.Fatalf("%q: %+v", commands, got)
	}
	return got.replies[0]
}

func TestGuestMessage(t *testing.T) {
	n := load(t, built(t, probe), nil)
	msg := &wasmhost.Msg{
		Content: []byte("message\nremaining\nheaders\nheader unit\nheader empty\nheader none"),
		ID:      "id7", Channel: "plant.temp", Sender: "edge-1", InReplyTo: "id3",
		CreatedAt: time.Date(2031, 2, 3, 4, 5, 6, 789, time.UTC), Attempt: 3,
		Headers: map[string]string{"unit": "°C", "empty": ""},
	}
	got := n.handleMsg(t, msg)
	want := `id=id7 channel=plant.temp sender=edge-1 in-reply-to=id3 handler=tested created=2031-02-03T04:05:06.000000789Z attempt=3
true
["empty" "unit"]
"°C" true
"" true
"" false
`
	if got.kind != wasmhost.Ack || !slices.Equal(got.replies, []string{want}) {
		t.Errorf("got %+v\nwant %q", got, want)
	}
	if want := []string{"kind=transcript", "empty="}; !slices.Equal(got.headers, want) {
		t.Errorf("the reply's headers are %q, want %q", got.headers, want)
	}
	if got, want := say(t, n, "headers", "message"), "[]\nid=id1 channel=in sender=sensor in-reply-to= "; !strings.HasPrefix(got, want) {
		t.Errorf("a message without headers: %q, want %q…", got, want)
	}
}

func TestGuestConfig(t *testing.T) {
	n := load(t, built(t, probe), map[string]string{"unit": "°C", "empty": "", "long": strings.Repeat("x", 3000)})
	got := say(t, n, "config unit", "config empty", "config none", "config long")
	if want := "\"°C\" true\n\"\" true\n\"\" false\n\"" + strings.Repeat("x", 3000) + "\" true\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestGuestInitRefuses(t *testing.T) {
	_, err := tryLoad(t, built(t, probe), map[string]string{"refuse": "no unit configured"})
	if !errors.Is(err, wasmhost.ErrInit) {
		t.Errorf("got %v, want a refusal", err)
	}
}

func TestGuestStore(t *testing.T) {
	n := load(t, built(t, probe), nil)
	got := say(t, n, "get a", "set a 1", "get a", "set empty", "get empty", "fill long x", "length long", "delete a", "get a", "delete a", "set b 2", "set a/1 x", "set a/2 y", "set a0 z", "set a 3", "keys", "keys a/", "keys a", "keys c")
	want := `"" false <nil>
<nil>
"1" true <nil>
<nil>
"" true <nil>
<nil>
5000 <nil>
<nil>
"" false <nil>
<nil>
<nil>
<nil>
<nil>
<nil>
<nil>
a a/1 a/2 a0 b empty long 
a/1 a/2 
a a/1 a/2 a0 

`
	if got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if got := say(t, n, "get b", "length long"); got != "\"2\" true <nil>\n5000 <nil>\n" {
		t.Errorf("in the next message: %q", got)
	}
	if got := say(t, n, "get "+strings.Repeat("k", 2000)); !strings.Contains(got, "bad argument") && !strings.Contains(got, "over a limit") {
		t.Errorf("a key of 2000 bytes: %q, want an error", got)
	}
}

func TestGuestSend(t *testing.T) {
	n := load(t, built(t, probe), nil)
	got := n.handle(t, "send alerts hot\nsend other hot\nsend al..erts hot\nsend alerts too-much")
	want := `<nil> false false false
send "other": not permitted by the handler's configuration true false false
send "al..erts": bad argument false false true
send "alerts": over a limit of the handler false true false
`
	if !slices.Equal(got.replies, []string{want}) || !slices.Equal(got.sends, []string{"alerts hot"}) {
		t.Errorf("got %+v, want one alert and the transcript\n%s", got, want)
	}
	// The headers of what was refused do not end up on the reply.
	if want := []string{"via=probe", "kind=transcript", "empty="}; !slices.Equal(got.headers, want) {
		t.Errorf("headers are %q, want %q", got.headers, want)
	}
}

func TestGuestVerdicts(t *testing.T) {
	n := load(t, built(t, probe), nil)
	for _, c := range []struct {
		commands string
		want     result
	}{
		{"retry 1500ms busy", result{kind: wasmhost.Retry, reason: "busy", retryAfter: 1500 * time.Millisecond}},
		{"retry 1ns busy", result{kind: wasmhost.Retry, reason: "busy", retryAfter: time.Millisecond}},
		{"retry 0s busy", result{kind: wasmhost.Retry, reason: "busy"}},
		{"reject bad", result{kind: wasmhost.Reject, reason: "wrapped: bad"}},
		{"fail broken", result{kind: wasmhost.Failed, reason: "broken"}},
	} {
		got := n.handle(t, "set k v\nsend alerts x\n"+c.commands)
		if got.kind != c.want.kind || got.reason != c.want.reason || got.retryAfter != c.want.retryAfter {
			t.Errorf("%s: %+v, want %+v", c.commands, got, c.want)
		}
	}
	if got := n.handle(t, "panic ouch"); got.kind != wasmhost.Failed {
		t.Errorf("a panic: %+v, want a failure", got)
	}
	if got := say(t, n, "get k"); got != "\"\" false <nil>\n" {
		t.Errorf("k after messages that were not acknowledged: %s", got)
	}
}

func TestGuestLog(t *testing.T) {
	n := load(t, built(t, probe), nil)
	say(t, n, "log lukewarm")
	if got := n.log.String(); !strings.Contains(got, "level=WARN") || !strings.Contains(got, "lukewarm") {
		t.Errorf("the log is %q", got)
	}
}
