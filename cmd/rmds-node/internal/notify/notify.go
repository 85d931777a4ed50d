// Package notify speaks systemd's notification protocol (sd_notify(3)): a datagram of KEY=VALUE lines to the socket
// that the environment names. Outside systemd every call does nothing.
package notify

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

// Messages for Send. They may be joined with newlines.
const (
	Ready    = "READY=1"
	Stopping = "STOPPING=1"
	alive    = "WATCHDOG=1"
)

// Status is the line that systemctl status shows.
func Status(text string) string { return "STATUS=" + text }

// Send tells the service manager something. Without one ($NOTIFY_SOCKET is not set) it does nothing.
func Send(message string) error {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil
	}
	// A name that begins with @ is in Linux's abstract namespace, which package net spells the same way.
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("notify the service manager: %w", err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(message)); err != nil {
		return fmt.Errorf("notify the service manager: %w", err)
	}
	return nil
}

// WatchdogInterval returns how often the service manager wants to hear from this process, 0 if it does not:
// a third of the time after which it would kill it.
func WatchdogInterval() time.Duration {
	if pid := os.Getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	us, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || us <= 0 {
		return 0
	}
	return time.Duration(us) * time.Microsecond / 3
}

// Feed tells the watchdog at every interval that the process lives, as long as probe returns. A probe that hangs is
// the point: the watchdog then starves and the service manager restarts the process. What probe finds out beyond that
// is none of Feed's business. Feed returns when ctx has ended; it never returns while a probe hangs.
func Feed(ctx context.Context, interval time.Duration, probe func(context.Context), failed func(error)) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		probe(ctx)
		if ctx.Err() != nil {
			return
		}
		if err := Send(alive); err != nil {
			failed(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
