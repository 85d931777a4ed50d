package engine

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getevo/rmds/engine/internal/bus"
)

// TestEvery: ticks take effect like messages, come when they are due, and what is missed comes once.
func TestEvery(t *testing.T) {
	bubble(t, func(t *testing.T) {
		disk := newFaultyDisk(1)
		disk.set(false)
		a := newSimNode(t, bus.NewNetwork(1), "a", writeX)
		a.cfg = func(c *Config) { c.Fault = disk.hook }
		a.start()
		defer a.stop()
		began := time.Now()
		var mu sync.Mutex // guards seen and outcome
		var seen []string
		outcome := func(n int) error { return nil }
		ending := func(f func(n int) error) {
			mu.Lock()
			defer mu.Unlock()
			outcome = f
		}
		taken := func() []string {
			mu.Lock()
			defer mu.Unlock()
			s := seen
			seen = nil
			return s
		}
		check(t, a.conn.Every(10*time.Second, &Handler{Name: "clock", Sends: []string{"x"}, Func: func(_ context.Context, tx *Tx, m *Message) error {
			mu.Lock()
			seen = append(seen, fmt.Sprintf("%d/%d", int(time.Since(began).Seconds()), m.Attempt))
			n, end := len(seen), outcome
			mu.Unlock()
			if m.Headers[HeadTick] != fmt.Sprint(m.CreatedAt.UnixNano()) || m.Sender != "a" || len(m.Data) != 0 || m.Channel != "" {
				t.Errorf("the tick is %+v", m)
			}
			if err := tx.Reply(nil); !errors.Is(err, ErrNotPermitted) {
				t.Errorf("a reply to a tick: %v", err)
			}
			if err := errors.Join(increment(tx, "n"), tx.Send("x", []byte("tick"))); err != nil {
				return err
			}
			return end(n)
		}}))
		step := func(d time.Duration, wantSeen string, wantKept string) {
			t.Helper()
			time.Sleep(d)
			if got := strings.Join(taken(), " "); got != wantSeen {
				t.Errorf("ticks at %q, want %q", got, wantSeen)
			}
			if v, _, err := a.conn.KV("clock").Get("n"); err != nil || string(v) != wantKept {
				t.Errorf("%q kept, %v; want %s", v, err, wantKept)
			}
		}
		step(25*time.Second, "10/1 20/1", "2")
		ending(func(n int) error { // the first attempt fails: nothing of it stays
			if n == 1 {
				return RetryAfter(3*time.Second, "not yet")
			}
			return nil
		})
		step(10*time.Second, "30/1 33/2", "3")
		ending(func(int) error { return Rejected("never") })
		step(10*time.Second, "40/1", "3")
		ending(func(n int) error { // takes so long that three ticks are due meanwhile
			if n == 1 {
				time.Sleep(35 * time.Second)
			}
			return nil
		})
		step(47*time.Second, "50/1 85/1 90/1", "6")
		ending(func(int) error { return nil })
		disk.always = errDisk
		disk.set(true)
		time.Sleep(30 * time.Second)
		disk.set(false)
		taken()
		time.Sleep(20 * time.Second)
		after := taken()
		v, _, err := a.conn.KV("clock").Get("n")
		n, _ := strconv.Atoi(string(v)) // two of the 20 s, the one that failed, and one for those that were missed
		if err != nil || n != 10 || len(after) != 4 {
			t.Errorf("after an outage of storage: %v, %s, %v", after, v, err)
		}
	})
}

func TestEveryRefuses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := newSimNode(t, bus.NewNetwork(1), "a", writeX)
		a.start()
		good := func() *Handler { return tally("clock") }
		bad := good()
		bad.Name = "no name"
		for name, err := range map[string]error{
			"interval": a.conn.Every(0, good()),
			"nil":      a.conn.Every(time.Second, nil),
			"func":     a.conn.Every(time.Second, &Handler{Name: "x"}),
			"name":     a.conn.Every(time.Second, bad),
		} {
			if err == nil {
				t.Errorf("%s: no error", name)
			}
		}
		conn := a.conn
		a.stop()
		if err := conn.Every(time.Second, good()); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}
