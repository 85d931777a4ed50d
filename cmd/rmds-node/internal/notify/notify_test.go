package notify

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// manager listens where a service manager would, and returns what it hears.
func manager(t *testing.T) <-chan string {
	t.Helper()
	dir, err := os.MkdirTemp("", "rmds")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	name := filepath.Join(dir, "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", name)
	heard, ended := make(chan string, 100), make(chan struct{})
	go func() {
		defer close(ended)
		b := make([]byte, 4096)
		for {
			n, err := l.Read(b)
			if err != nil {
				return
			}
			heard <- string(b[:n])
		}
	}()
	t.Cleanup(func() { l.Close(); <-ended })
	return heard
}

func hear(t *testing.T, heard <-chan string, want string) {
	t.Helper()
	select {
	case got := <-heard:
		if got != want {
			t.Errorf("the manager heard %q, want %q", got, want)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("the manager did not hear %q", want)
	}
}

func TestSend(t *testing.T) {
	heard := manager(t)
	if err := Send(Ready + "\n" + Status("up")); err != nil {
		t.Fatal(err)
	}
	hear(t, heard, "READY=1\nSTATUS=up")
	t.Setenv("NOTIFY_SOCKET", "")
	if err := Send(Ready); err != nil {
		t.Errorf("without a manager: %v", err)
	}
	t.Setenv("NOTIFY_SOCKET", "/nowhere/notify")
	if err := Send(Ready); err == nil {
		t.Error("to a socket that is not there: no error")
	}
}

func TestWatchdogInterval(t *testing.T) {
	for _, tt := range []struct {
		usec, pid string
		want      time.Duration
	}{
		{"30000000", "", 10 * time.Second}, {"30000000", strconv.Itoa(os.Getpid()), 10 * time.Second}, {"30000000", "1", 0},
		{"", "", 0}, {"x", "", 0}, {"-3", "", 0},
	} {
		t.Setenv("WATCHDOG_USEC", tt.usec)
		t.Setenv("WATCHDOG_PID", tt.pid)
		if got := WatchdogInterval(); got != tt.want {
			t.Errorf("usec %q, pid %q: %v, want %v", tt.usec, tt.pid, got, tt.want)
		}
	}
}

// TestFeed holds that the watchdog hears of a probe that returns, and nothing while one hangs.
func TestFeed(t *testing.T) {
	heard := manager(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	probes, ended := make(chan chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		Feed(ctx, time.Millisecond, func(context.Context) {
			release := make(chan struct{})
			probes <- release
			<-release
		}, func(err error) { t.Error(err) })
	}()
	close(<-probes)
	hear(t, heard, "WATCHDOG=1")
	hanging := <-probes
	select {
	case m := <-heard:
		t.Errorf("the manager heard %q while a probe hung", m)
	default:
	}
	cancel()
	close(hanging)
	<-ended
}
