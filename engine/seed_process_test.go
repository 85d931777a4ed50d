package engine

import (
	"fmt"
	"testing"
	"time"
)

// TestSeedC1 kills the reader's process in a stream of messages and starts it again; TestSeedL has NATS restart before
// that. What the reader's function does is at least once: the message that it was in may come twice, none is missing, and
// the sender counts each once.
func TestSeedC1(t *testing.T) { killedReader(t, false) }

// TestSeedL: see TestSeedC1.
func TestSeedL(t *testing.T) { killedReader(t, true) }

func killedReader(t *testing.T, restartNATS bool) {
	t.Parallel()
	const messages = 600
	port := freePort(t)
	nats := startNATS(t, port)
	env := []string{"URL=" + localURL(port), "DIR=" + t.TempDir(), fmt.Sprintf("ROLE=%d", RW)}
	alice, bob := startProcess(t, "agent", "alice", env...), startProcess(t, "agent", "bob", env...)
	var before []string
	for n := 1; n <= messages; n++ {
		switch {
		case n == 100 && restartNATS:
			nats.kill()
		case n == 150 && restartNATS:
			nats = startNATS(t, port)
		case n == 250:
			bob.messages(200)
			bob.kill()
			before = bob.got
		case n == 450:
			bob = startProcess(t, "agent", "bob", env...)
		}
		alice.tell("sent", "send %d", n)
		time.Sleep(5 * time.Millisecond) // the pace of the stream
	}
	bob.wait("the last message", func() bool { return len(bob.got) > 0 && bob.got[len(bob.got)-1] == fmt.Sprintf("alice %d", messages) })
	if n := alice.settled(); n != messages {
		t.Errorf("alice counts %d acknowledgements, want %d", n, messages)
	}
	checkRepeats(t, before, bob.got, messages)
	alice.end()
	bob.end()
	nats.end()
}

// checkRepeats: before the kill 1, 2, …; after it, on from where the commits ended, without a gap up to the last.
func checkRepeats(t *testing.T, before, after []string, last int) {
	t.Helper()
	var first int
	if _, err := fmt.Sscanf(after[0], "alice %d", &first); err != nil {
		t.Fatal(err)
	}
	if first > len(before)+1 {
		t.Errorf("%d to %d are lost", len(before)+1, first-1)
	}
	for i, text := range before {
		if want := fmt.Sprintf("alice %d", i+1); text != want {
			t.Fatalf("before the kill: %q, want %q", text, want)
		}
	}
	for i, text := range after {
		if want := fmt.Sprintf("alice %d", first+i); text != want {
			t.Fatalf("after the kill: %q, want %q", text, want)
		}
	}
	t.Logf("%d before the kill, from %d to %d after it", len(before), first, last)
}
