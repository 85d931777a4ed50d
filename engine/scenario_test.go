package engine

import (
	"flag"
	"fmt"
	"strconv"
	"testing"
	"time"
)

// The seed's four testing scenarios, with its default configuration, its four users, and a process for each of them and for
// the NATS server. They log their figures: go test ./engine -run TestScenario -v

var (
	outage = flag.Duration("scenario.outage", 2*time.Second, "how long NATS is away in the seed's scenarios 2 and 3")
	volume = flag.Bool("scenario.volume", false, "send 100,000 messages, too, in the seed's scenario 4")
)

// users are the seed's agents: a writer and its readers.
type users struct {
	alice   *process
	readers []*process
}

var readerNames = []string{"bob", "lisa", "andy"}

func startUsers(t *testing.T, url string, readers int, env ...string) *users {
	t.Helper()
	env = append([]string{"URL=" + url, "DIR=" + t.TempDir()}, env...)
	u := &users{alice: startProcess(t, "agent", "alice", append(env, fmt.Sprintf("ROLE=%d", WriteOnly))...)}
	for i := range readers {
		role := ReadOnly
		if i == 0 {
			role = RW // as the seed has it: bob writes, too
		}
		u.readers = append(u.readers, startProcess(t, "agent", readerNames[i], append(env, fmt.Sprintf("ROLE=%d", role))...))
	}
	return u
}

func (u *users) end() {
	u.alice.end()
	for _, r := range u.readers {
		r.end()
	}
}

// check fails the test unless each reader has got exactly these messages of alice, in this order, and alice knows it.
func (u *users) check(t *testing.T, texts ...string) {
	t.Helper()
	for _, r := range u.readers {
		r.messages(len(texts))
	}
	if got := u.alice.settled(); got != len(texts)*len(u.readers) {
		t.Errorf("alice counts %d acknowledgements, want %d", got, len(texts)*len(u.readers))
	}
	for _, r := range u.readers {
		got, _ := r.messages(len(texts))
		if len(got) > len(texts) {
			t.Errorf("%s has got %d messages, %d were sent", r.id, len(got), len(texts))
		}
		for i, text := range texts {
			if got[i] != "alice "+text {
				t.Fatalf("%s: message %d is %q, want %q from alice", r.id, i+1, got[i], text)
			}
		}
	}
}

// arrivals logs when the messages n, n+1, … had come to all readers, counted from a moment.
func (u *users) arrivals(t *testing.T, since time.Time, n int, what string) {
	t.Helper()
	for _, r := range u.readers {
		got, at := r.messages(n)
		t.Logf("%s: %s: first message %v, last %v after %s", r.id, got[n-1], at[n-1].Sub(since).Round(time.Millisecond),
			at[len(at)-1].Sub(since).Round(time.Millisecond), what)
	}
}

func startNATS(t *testing.T, port int) *process {
	t.Helper()
	return startProcess(t, "nats", "nats", "PORT="+strconv.Itoa(port))
}

func localURL(port int) string { return "nats://127.0.0.1:" + strconv.Itoa(port) }

// TestScenario1 is normal operation, from the first moment on: the readers are not known to alice yet when she sends.
func TestScenario1(t *testing.T) {
	port := freePort(t)
	nats := startNATS(t, port)
	u := startUsers(t, localURL(port), 3)
	start := time.Now()
	u.alice.tell("sent", "send hello")
	u.alice.tell("sent", "send how are you?")
	u.check(t, "hello", "how are you?")
	u.arrivals(t, start, 1, "sending")
	u.end()
	nats.end()
}

// TestScenario2 is a NATS outage during operation.
func TestScenario2(t *testing.T) {
	port := freePort(t)
	nats := startNATS(t, port)
	u := startUsers(t, localURL(port), 3)
	u.alice.tell("sent", "send 1")
	u.check(t, "1")
	nats.kill()
	u.alice.tell("sent", "send 2")
	u.alice.tell("sent", "send 3")
	time.Sleep(*outage) // the outage itself
	nats = startNATS(t, port)
	back := time.Now()
	u.check(t, "1", "2", "3")
	u.arrivals(t, back, 2, "NATS was back")

	// The seed's own code delivers this much, and then never marks a message acknowledged again.
	u.alice.tell("burst", "burst 4 63")
	u.check(t, numbers(1, 63)...)
	u.end()
	nats.end()
}

// TestScenario3 is starting without NATS, with databases that are new: nobody has ever heard of anybody.
func TestScenario3(t *testing.T) {
	port := freePort(t)
	u := startUsers(t, localURL(port), 3)
	u.alice.tell("sent", "send 1")
	u.alice.tell("sent", "send 2")
	time.Sleep(*outage) // no NATS yet
	nats := startNATS(t, port)
	up := time.Now()
	u.check(t, "1", "2")
	u.arrivals(t, up, 1, "NATS was up")
	u.end()
	nats.end()
}

// TestScenario4 is high volume: messages sent one after the other, each on disk before the next, and, with
// -scenario.volume, many sent without waiting for each.
func TestScenario4(t *testing.T) {
	for _, readers := range []int{1, 3} {
		t.Run(fmt.Sprintf("1000 to %d", readers), func(t *testing.T) { highVolume(t, readers, 1000, "burst") })
	}
	for _, readers := range []int{1, 3} {
		t.Run(fmt.Sprintf("100000 to %d", readers), func(t *testing.T) {
			if !*volume {
				t.Skip("takes longer: run it with -scenario.volume")
			}
			highVolume(t, readers, 100_000, "pipeline")
		})
	}
}

func highVolume(t *testing.T, readers, n int, how string) {
	port := freePort(t)
	nats := startNATS(t, port)
	u := startUsers(t, localURL(port), readers, "QUEUE=100000")
	start := time.Now()
	took := u.alice.tell("burst", how+" 1 %d", n)
	u.check(t, numbers(1, n)...)
	_, at := u.readers[0].messages(n)
	t.Logf("%d messages: sent in %s, %.0f/s with all acknowledged", n, took, float64(n)/time.Since(start).Seconds())
	t.Logf("bob: the last one after %v, %.0f messages/s", at[n-1].Sub(start).Round(time.Millisecond), float64(n)/at[n-1].Sub(start).Seconds())
	u.end()
	nats.end()
}

// numbers are the texts of the messages from to to.
func numbers(from, to int) []string {
	texts := make([]string, 0, to-from+1)
	for n := from; n <= to; n++ {
		texts = append(texts, strconv.Itoa(n))
	}
	return texts
}
