package wasmhost

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestMsgGet(t *testing.T) {
	msg := message("hello")
	msg.Attempt = 3
	msg.InReplyTo = "m-0"
	msg.Headers = map[string]string{"unit": "C", "site": "roof", "empty": ""}
	for key, want := range map[string]string{
		"content": "hello", "id": "m-1", "channel": "in", "sender": "node-a", "attempt": "3", "in-reply-to": "m-0",
		"created": "1700000000123456789", "handler": "test", "names": "empty\nsite\nunit",
		"head.unit": "C", "head.site": "roof", "head.empty": "",
	} {
		s := &script{}
		s.call("msg_get", key, buffer(64)).call("msg_get", key, 0, 0)
		codes, g, o := s.run(t, msg, newEffects())
		if n := int32(len(want)); o.Kind != Ack || codes[0] != n || codes[1] != n {
			t.Errorf("%s: %v %v, want %d twice", key, o, codes, n)
		} else if got := g.memory(t, scriptBuffer, len(want)); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
}

func TestMsgGetRefusals(t *testing.T) {
	s := &script{}
	for _, key := range []string{"head.no", "head.", "nothing", "", "in-reply-to", "Content"} {
		s.call("msg_get", key, buffer(64))
	}
	s.call("msg_get", strings.Repeat("k", 1025), buffer(64))
	s.call("msg_get", "content", buffer(4)) // one byte short: nothing is copied
	codes, g, _ := s.run(t, message("hello"), newEffects())
	if want := []int32{-1, -1, -1, -1, -1, -1, -4, 5}; !slices.Equal(codes, want) {
		t.Errorf("%v, want %v", codes, want)
	}
	if got := g.memory(t, scriptBuffer, 4); got != "\x00\x00\x00\x00" {
		t.Errorf("%q was copied to a buffer too small", got)
	}
}

func TestDeadlineMS(t *testing.T) {
	s := (&script{}).call("msg_get", "deadline-ms", buffer(20))
	msg := message("")
	msg.Deadline = time.Now().Add(30 * time.Second) // sooner than the timeout
	codes, g, _ := s.run(t, msg, newEffects())
	ms, err := strconv.Atoi(g.memory(t, scriptBuffer, int(codes[0])))
	if err != nil || ms > 30_000 || ms < 1000 {
		t.Errorf("%d ms, %v; want a little under 30000", ms, err)
	}
}

func TestCfgGet(t *testing.T) {
	s := (&script{}).call("cfg_get", "limit", buffer(8)).call("cfg_get", "no", buffer(8)).
		call("cfg_get", strings.Repeat("k", 1025), buffer(8)).call("cfg_get", "empty", buffer(8))
	codes, g, _ := s.run(t, message(""), newEffects(), func(_ *Limits, st *Settings) {
		st.Config = map[string]string{"limit": "25.5", "empty": ""}
	})
	if want := []int32{4, -1, -4, 0}; !slices.Equal(codes, want) {
		t.Errorf("%v, want %v", codes, want)
	}
	if got := g.memory(t, scriptBuffer, 4); got != "25.5" {
		t.Errorf("value %q", got)
	}
}

func TestKV(t *testing.T) {
	fx := newEffects()
	fx.kv["b"], fx.kv["d"] = "old", "gone"
	s := (&script{}).
		call("kv_get", "b", buffer(8)).call("kv_get", "a", buffer(8)).
		call("kv_set", "a", "new").call("kv_get", "a", buffer(8)).
		call("kv_set", "c", "").call("kv_get", "c", buffer(8)).
		call("kv_del", "d").call("kv_del", "d").call("kv_get", "d", buffer(8)).
		call("kv_next", "", buffer(8)).call("kv_next", "a", buffer(8)).call("kv_next", "c", buffer(8)).
		call("kv_next", "bb", buffer(8))
	codes, g, o := s.run(t, message(""), fx)
	want := []int32{3, -1, 0, 3, 0, 0, 0, 0, -1, 1, 1, -1, 1}
	if o.Kind != Ack || !slices.Equal(codes, want) {
		t.Errorf("%v %v, want %v", o, codes, want)
	}
	if got := g.memory(t, scriptBuffer, 1); got != "c" {
		t.Errorf("the key after bb is %q", got)
	}
	if fx.kv["a"] != "new" || len(fx.kv) != 3 {
		t.Errorf("store: %v", fx.kv)
	}
}

func TestKVLimits(t *testing.T) {
	limit := func(l *Limits, _ *Settings) {
		l.KVKeyBytes, l.KVValueBytes, l.KVWrites, l.KVBytes = 4, 8, 5, 24
	}
	for name, tc := range map[string]struct {
		s    *script
		want []int32
	}{
		"key": {(&script{}).call("kv_set", "12345", "").call("kv_get", "12345", buffer(1)).call("kv_del", "12345").
			call("kv_next", "12345", buffer(1)).call("kv_set", "", "").call("kv_get", "", buffer(1)).call("kv_del", ""),
			[]int32{-4, -4, -4, -4, -4, -4, -4}},
		"value": {(&script{}).call("kv_set", "a", "123456789").call("kv_set", "a", "12345678"), []int32{-3, 0}},
		"writes": {(&script{}).call("kv_set", "a", "").call("kv_del", "b").call("kv_set", "c", "").call("kv_set", "d", "").
			call("kv_del", "e").call("kv_set", "f", "").call("kv_del", "f"), []int32{0, 0, 0, 0, 0, -3, -3}},
		"bytes": {(&script{}).call("kv_set", "a", "12345678").call("kv_set", "b", "12345678").call("kv_set", "c", "123456").
			call("kv_set", "c", "12345"), []int32{0, 0, -3, 0}},
	} {
		if codes, _, o := tc.s.run(t, message(""), newEffects(), limit); o.Kind != Ack || !slices.Equal(codes, tc.want) {
			t.Errorf("%s: %v %v, want %v", name, o, codes, tc.want)
		}
	}
}

func TestReplyAndSend(t *testing.T) {
	fx := newEffects()
	s := (&script{}).
		call("head", "unit", "C").call("head", "note", "é").call("reply", "one").call("reply", "").
		call("head", "unit", "F").call("send", "out", "two").
		call("head", "lost", "x").call("send", "other", "three").call("send", "bad..name", "").call("reply", "four").
		call("send", "", "x").call("send", "out.", "x")
	codes, _, o := s.run(t, message(""), fx, func(_ *Limits, st *Settings) { st.Sends = []string{"out"} })
	if want := []int32{0, 0, 0, 0, 0, 0, 0, -2, -4, 0, -4, -4}; o.Kind != Ack || !slices.Equal(codes, want) {
		t.Errorf("%v %v, want %v", o, codes, want)
	}
	want := []sent{
		{"", "one", []Header{{"unit", "C"}, {"note", "é"}}}, {"", "", nil}, {"out", "two", []Header{{"unit", "F"}}}, {"", "four", nil},
	}
	if fmt.Sprint(fx.sent) != fmt.Sprint(want) {
		t.Errorf("sent %v, want %v", fx.sent, want)
	}
}

func TestSendLimits(t *testing.T) {
	s := &script{}
	for range 5 {
		s.call("reply", "x").call("send", "out", "y")
	}
	fx := newEffects()
	codes, _, _ := s.run(t, message(""), fx, func(l *Limits, st *Settings) { l.Sends, st.Sends = 3, []string{"out"} })
	if want := []int32{0, 0, 0, -3, -3, -3, -3, -3, -3, -3}; !slices.Equal(codes, want) || len(fx.sent) != 3 {
		t.Errorf("%v, %d sent; want %v", codes, len(fx.sent), want)
	}
	s = (&script{}).call("reply", "12345").call("head", "k", "v").call("reply", "1234").call("head", "k", "v").call("reply", "123").
		call("reply", "1").call("reply", "")
	codes, _, _ = s.run(t, message(""), newEffects(), func(l *Limits, _ *Settings) { l.SendBytes = 10 })
	if want := []int32{0, 0, -3, 0, 0, -3, 0}; !slices.Equal(codes, want) {
		t.Errorf("%v, want %v", codes, want)
	}
}

func TestHeadRefusals(t *testing.T) {
	s := (&script{}).call("head", "", "v").call("head", "a b", "v").call("head", "k", "\xff").
		call("head", strings.Repeat("k", 129), "v").call("head", "k", strings.Repeat("v", 4097)).call("head", "k:", "")
	for range 33 {
		s.call("head", "K.k_1-2", "v")
	}
	codes, _, _ := s.run(t, message(""), newEffects())
	want := append([]int32{-4, -4, -4, -4, -4, -4}, make([]int32, 32)...)
	if want = append(want, -3); !slices.Equal(codes, want) {
		t.Errorf("%v, want %v", codes, want)
	}
}

func TestNotesSurvive(t *testing.T) {
	for result, kind := range map[int]Kind{0: Ack, 75: Retry, 65: Reject, 1: Failed} {
		s := (&script{end: fmt.Sprint("i32.const ", result)}).call("note", "reason", "no such sensor").call("note", "retry-after-ms", "1500")
		_, _, o := s.run(t, message(""), newEffects())
		if o.Kind != kind || o.Reason != "no such sensor" || o.RetryAfter != 1500*time.Millisecond {
			t.Errorf("result %d: %v %q %v", result, o.Kind, o.Reason, o.RetryAfter)
		}
	}
	s := (&script{end: "unreachable"}).call("note", "reason", "about to trap")
	if _, _, o := s.run(t, message(""), newEffects()); o.Kind != Failed || o.Reason != "about to trap" || !errors.Is(o.Err, ErrTrap) {
		t.Errorf("after a trap: %v", o)
	}
}

func TestNoteRefusals(t *testing.T) {
	s := (&script{}).call("note", "other", "x").call("note", "", "").call("note", "retry-after-ms", "").
		call("note", "retry-after-ms", "-1").call("note", "retry-after-ms", "1s").call("note", "retry-after-ms", "86400001").
		call("note", "retry-after-ms", "99999999999999999999").call("note", "retry-after-ms", "100000000000000000000").
		call("note", "retry-after-ms", "86400000").
		call("note", "reason", strings.Repeat("é", 600)+"\xff").call("note", "reason", "a\xffb"+strings.Repeat("é", 600))
	codes, _, o := s.run(t, message(""), newEffects())
	if want := []int32{-4, -4, -4, -4, -4, -3, -3, -4, 0, 0, 0}; !slices.Equal(codes, want) {
		t.Errorf("%v, want %v", codes, want)
	}
	if o.RetryAfter != 24*time.Hour || len(o.Reason) > 1024 || o.Reason != "ab"+strings.Repeat("é", 510) {
		t.Errorf("%v %d %q", o.RetryAfter, len(o.Reason), o.Reason)
	}
}

func TestNowAndRandom(t *testing.T) {
	before := time.Now().UnixNano()
	s := (&script{}).call("now").call("random", buffer(32)).call("random", 0, 65537).call("random", 0, 0)
	codes, g, _ := s.run(t, message(""), newEffects())
	if want := []int32{0, -3, 0}; !slices.Equal(codes[1:], want) {
		t.Errorf("random: %v, want %v", codes[1:], want)
	}
	if g.memory(t, scriptBuffer, 32) == strings.Repeat("\x00", 32) {
		t.Error("32 random bytes are all zero")
	}
	now := int64(binary.LittleEndian.Uint64([]byte(g.memory(t, scriptResults, 8))))
	if now < before || now > time.Now().UnixNano() {
		t.Errorf("now is %d", now)
	}
}

func TestPointersOutsideMemoryTrap(t *testing.T) {
	const end = 2 << 16
	inside := []any{0, 1}
	for _, outside := range [][]any{{end, 1}, {end - 1, 2}, {-1, 1}, {1, -1}, {-1, -1}, {-8, 8}} {
		for _, tc := range []struct {
			fn   string
			args [][]any
		}{
			{"msg_get", [][]any{outside, inside}}, {"msg_get", [][]any{inside, outside}},
			{"cfg_get", [][]any{outside, inside}}, {"cfg_get", [][]any{inside, outside}},
			{"kv_get", [][]any{outside, inside}}, {"kv_get", [][]any{inside, outside}},
			{"kv_set", [][]any{outside, inside}}, {"kv_set", [][]any{inside, outside}},
			{"kv_next", [][]any{outside, inside}}, {"kv_next", [][]any{inside, outside}},
			{"send", [][]any{outside, inside}}, {"send", [][]any{inside, outside}},
			{"head", [][]any{outside, inside}}, {"head", [][]any{inside, outside}},
			{"note", [][]any{outside, inside}}, {"note", [][]any{inside, outside}},
			{"kv_del", [][]any{outside}}, {"reply", [][]any{outside}}, {"random", [][]any{outside}},
			{"log", [][]any{{1}, outside}},
		} {
			s := (&script{}).call(tc.fn, slices.Concat(tc.args...)...)
			s.end = "unreachable" // a trap of another kind, had the call come back
			fx := newEffects()
			_, _, o := s.run(t, message("x"), fx)
			if o.Kind != Failed || !errors.Is(o.Err, errPointer) || !errors.Is(o.Err, ErrTrap) {
				t.Errorf("%s%v: %v", tc.fn, tc.args, o)
			}
			if len(fx.sent)+len(fx.kv) != 0 {
				t.Errorf("%s%v had an effect", tc.fn, tc.args)
			}
		}
	}
	s := (&script{}).call("kv_set", "k", end+5, 0).call("msg_get", "content", -1, 0) // an empty range may lie anywhere
	if codes, _, o := s.run(t, message("x"), newEffects()); o.Kind != Ack || !slices.Equal(codes, []int32{0, 1}) {
		t.Errorf("empty ranges: %v, %v", codes, o)
	}
}

func TestErrorsOfEffects(t *testing.T) {
	storage := errors.New("disk on fire")
	for _, fn := range []func(*script) *script{
		func(s *script) *script { return s.call("kv_get", "k", buffer(8)) },
		func(s *script) *script { return s.call("kv_set", "k", "v") },
		func(s *script) *script { return s.call("kv_del", "k") },
		func(s *script) *script { return s.call("kv_next", "k", buffer(8)) },
		func(s *script) *script { return s.call("reply", "x") },
		func(s *script) *script { return s.call("send", "out", "x") },
	} {
		allow := func(_ *Limits, st *Settings) { st.Sends = []string{"out"} }
		for err, code := range map[error]int32{ErrNotPermitted: -2, ErrOverLimit: -3, ErrBadArgument: -4} {
			fx := newEffects()
			fx.err = fmt.Errorf("store: %w", err)
			if codes, _, o := fn(&script{}).run(t, message(""), fx, allow); o.Kind != Ack || codes[0] != code {
				t.Errorf("%v: %v %v, want %d", err, o, codes, code)
			}
		}
		fx := newEffects()
		fx.err = storage
		if _, _, o := fn(&script{}).run(t, message(""), fx, allow); o.Kind != Failed || !errors.Is(o.Err, storage) {
			t.Errorf("storage trouble: %v", o)
		}
	}
}

func TestEffectsThatPanic(t *testing.T) {
	fx := newEffects()
	fx.kv = nil // a write to it panics
	_, g, o := (&script{}).call("kv_set", "k", "v").run(t, message(""), fx)
	if o.Kind != Failed || errors.Is(o.Err, ErrTrap) || !strings.Contains(o.Reason, "a host function panicked") {
		t.Errorf("%v", o)
	}
	if log := g.log.String(); !strings.Contains(log, "imports_test.go") && !strings.Contains(log, "host_test.go") {
		t.Errorf("no stack in the log: %s", log)
	}
}

func TestInitMayOnlyLook(t *testing.T) {
	s := (&script{}).call("msg_get", "content", buffer(8)).call("cfg_get", "a", buffer(8)).call("kv_get", "k", buffer(8)).
		call("kv_set", "k", "v").call("kv_del", "k").call("kv_next", "", buffer(8)).call("reply", "x").call("send", "out", "x").
		call("head", "k", "v").call("random", buffer(8)).call("note", "reason", "x").call("log", 1, "starting")
	g := loadWAT(t, s.wat("rmds_init")+`(func (export "rmds_handle") (result i32) i32.const 0)`, func(_ *Limits, st *Settings) {
		st.Config, st.Sends = map[string]string{"a": "b"}, []string{"out"}
	})
	codes := s.results(g.pool.idle[0])
	if want := []int32{-1, 1, -2, -2, -2, -2, -2, -2, -2, 0, 0, 0}; !slices.Equal(codes, want) {
		t.Errorf("%v, want %v", codes, want)
	}
	if !strings.Contains(g.log.String(), "starting") {
		t.Errorf("log: %s", g.log)
	}
}
