package demo

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/getevo/rmds/engine"
)

// sensor is the node that sends. It keeps what comes back in key-value stores of its own handlers.
type sensor struct {
	conn     *engine.Connection
	readings *engine.Channel
	sources  []source

	mu      sync.Mutex
	sentAt  map[int]time.Time // of readings without a reply
	sent    int               // written by send alone
	replies int
	longest time.Duration
}

func startSensor(url, dir string) (*sensor, error) {
	conn, err := engine.New(configure("sensor", url, dir))
	if err != nil {
		return nil, err
	}
	s := &sensor{conn: conn, sources: sources(), sentAt: map[int]time.Time{}}
	s.readings = conn.Join(readingsChannel, engine.WriteOnly)
	if err = s.readings.HandleReplies(&engine.Handler{Name: "replies", Func: s.reply}); err == nil {
		err = conn.Join(alertsChannel, engine.ReadOnly, engine.WithStart(engine.StartAll)).Handle(&engine.Handler{Name: "alerts", Func: keepAlert})
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return s, nil
}

// send sends the next reading.
func (s *sensor) send() error {
	src := s.sources[s.sent%len(s.sources)]
	value, err := src.read()
	if err != nil {
		return err
	}
	n := s.sent + 1
	s.mu.Lock()
	s.sentAt[n] = time.Now()
	s.sent = n
	s.mu.Unlock()
	if err := s.readings.SendMessage(encode(n, src.metric, value)); err != nil {
		return fmt.Errorf("send reading %d: %w", n, err)
	}
	return nil
}

// reply counts the answers "n mean" to each reading, and their order.
func (s *sensor) reply(_ context.Context, tx *engine.Tx, m *engine.Message) error {
	text, _, _ := strings.Cut(string(m.Data), " ")
	n, err := strconv.Atoi(text)
	if err != nil {
		return engine.Rejected("a reply does not start with a number")
	}
	first, err := countKey(tx, text)
	if err != nil {
		return err
	}
	last, _, err := tx.Get("last")
	if err != nil {
		return err
	}
	if l, _ := strconv.Atoi(string(last)); n <= l { // no last yet: 0
		if _, err := countKey(tx, "out_of_order"); err != nil {
			return err
		}
	}
	if err := tx.Set("last", []byte(text)); err != nil {
		return err
	}
	s.answered(n, first)
	return nil
}

func (s *sensor) answered(n int, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, ok := s.sentAt[n]; ok && first {
		s.longest = max(s.longest, time.Since(at))
		s.replies++
		delete(s.sentAt, n)
	}
}

// keepAlert counts each alert under the number of its reading.
func keepAlert(_ context.Context, tx *engine.Tx, m *engine.Message) error {
	rest, _ := strings.CutPrefix(string(m.Data), `{"n":`)
	n, _, ok := strings.Cut(rest, ",")
	if _, err := strconv.Atoi(n); err != nil || !ok {
		return engine.Rejected("an alert does not start with its number")
	}
	_, err := countKey(tx, n)
	return err
}

// countKey adds one to a counter and says whether it was the first.
func countKey(tx *engine.Tx, key string) (first bool, err error) {
	v, ok, err := tx.Get(key)
	if err != nil {
		return false, err
	}
	n, _ := strconv.Atoi(string(v)) // absent: 0
	return !ok, tx.Set(key, strconv.AppendInt(nil, int64(n+1), 10))
}

// progress returns the readings sent, waiting to be acknowledged, and answered.
func (s *sensor) progress() (sent int, waiting int64, answered int) {
	s.mu.Lock()
	sent, answered = s.sent, s.replies
	s.mu.Unlock()
	return sent, s.conn.Status().Queued, answered
}

// account adds what the sensor has found in its own stores.
func (s *sensor) account(a *Account, missing []int) error {
	s.mu.Lock()
	a.Sent, a.LongestWait = s.sent, s.longest.Milliseconds()
	s.mu.Unlock()
	lost := map[int]bool{}
	for _, n := range missing {
		lost[n] = true
	}
	replies, alerts := s.conn.KV("replies"), s.conn.KV("alerts")
	for n := 1; n <= a.Sent; n++ {
		r, err := number(replies, strconv.Itoa(n))
		if err != nil {
			return err
		}
		al, err := number(alerts, strconv.Itoa(n))
		if err != nil {
			return err
		}
		if r == 0 {
			lost[n] = true
		} else {
			a.Replied++
		}
		a.Alerts += min(al, 1)
		a.Duplicates += max(r-1, 0) + max(al-1, 0)
	}
	disorder, err := number(replies, "out_of_order")
	a.OutOfOrder += disorder
	a.Lost = len(lost)
	return err
}
