// Command bench measures the engine and its peers side by side: in turn, in one run, on one machine, as real processes
// over loopback, with the same messages and the same clock.
//
//	bench (orchestrates, knows no client library)
//	  ├── servers: nats-server, mosquitto       started fresh for every run, each with a directory of its own
//	  ├── bench worker receive                  the reading side of one system: JSON commands on stdin, answers on stdout
//	  └── bench worker send                     the writing side
//
// Every system is a topology of servers and the two clients. A round takes each system once, so that a slow minute of the
// machine hits all of them; what is printed are medians over rounds, with the smallest and largest beside them.
//
// It writes RESULTS.md and results.svg, and leaves nothing running.
package main
