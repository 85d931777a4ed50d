package guest

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestResult(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int32
	}{
		{nil, 0},
		{errors.New("trouble"), 1},
		{Reject("bad"), 65},
		{Retry(time.Second, "busy"), 75},
		{fmt.Errorf("reading: %w", Reject("bad")), 65},
		{fmt.Errorf("reading: %w", Retry(0, "busy")), 75},
	} {
		if got := result(c.err); got != c.want {
			t.Errorf("result(%v) = %d, want %d", c.err, got, c.want)
		}
	}
}

// A module that registers nothing fails its messages, and one without Init accepts its configuration.
func TestUnregistered(t *testing.T) {
	if got := handle(); got != 1 {
		t.Errorf("handle() = %d without a handler, want 1", got)
	}
	if got := initialize(); got != 0 {
		t.Errorf("initialize() = %d without an initializer, want 0", got)
	}
}

// Outside a node every effect is refused, and says what was asked for.
func TestOutsideANode(t *testing.T) {
	_, _, getErr := Get("k")
	for want, err := range map[string]error{
		`get "k": not permitted by the handler's configuration`:    getErr,
		`set "k": not permitted by the handler's configuration`:    Set("k", []byte("v")),
		`delete "k": not permitted by the handler's configuration`: Delete("k"),
		`reply: not permitted by the handler's configuration`:      Reply([]byte("hello")),
		`send "ch": not permitted by the handler's configuration`:  Send("ch", nil),
		`header "h": not permitted by the handler's configuration`: Send("ch", nil, Header{"h", "v"}),
	} {
		if err == nil || err.Error() != want || !errors.Is(err, ErrNotPermitted) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestAnswer(t *testing.T) {
	for n, want := range map[int32]error{-2: ErrNotPermitted, -3: ErrOverLimit, -4: ErrBadArgument} {
		if err := answer(n, "get", "k"); !errors.Is(err, want) {
			t.Errorf("answer(%d) = %v, want %v", n, err, want)
		}
	}
	if err := answer(7, "get", "k"); err != nil {
		t.Errorf("answer(7) = %v", err)
	}
	if err := answer(-9, "get", "k"); err == nil || err.Error() != `get "k": the host answered -9` {
		t.Errorf("answer(-9) = %v", err)
	}
}
