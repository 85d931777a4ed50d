// Package metrics writes a node's status in Prometheus's text format, version 0.0.4.
//
// Names begin with rmds_, units are base units, counters end in _total and count since the node's start. Labels have
// bounded sets of values: kinds and reasons are words of the program, handlers are configured, and of readers, of which
// a fleet may have any number, those with the most waiting are listed, MaxReaders of them, while the totals have all.
package metrics

import (
	"bytes"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/getevo/rmds/cmd/rmds-node/internal/admin"
)

// ContentType is what the text is served as.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// MaxReaders is how many readers are listed one by one.
const MaxReaders = 200

// Write appends the metrics of a status. now is what ages are counted to.
func Write(b *bytes.Buffer, s *admin.Status, now time.Time) {
	w := writer{b}
	w.node(s)
	w.totals(s)
	w.readers(s, now)
	w.handlers(s.Handlers)
}

// writer writes families of samples: a head, and then every sample of that name.
type writer struct{ b *bytes.Buffer }

func (w writer) head(name, kind, help string) {
	fmt.Fprintf(w.b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

// sample writes one sample. labels are names and values in turn.
func (w writer) sample(name string, value float64, labels ...string) {
	w.b.WriteString(name)
	for i := 0; i < len(labels); i += 2 {
		w.b.WriteString([]string{"{", ","}[min(i, 1)])
		w.b.WriteString(labels[i] + `="` + escaper.Replace(strings.ToValidUTF8(labels[i+1], "\uFFFD")) + `"`)
	}
	if len(labels) > 0 {
		w.b.WriteByte('}')
	}
	w.b.WriteString(" " + strconv.FormatFloat(value, 'g', -1, 64) + "\n")
}

var escaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// one writes a family of one sample.
func (w writer) one(name, kind, help string, value float64) {
	w.head(name, kind, help)
	w.sample(name, value)
}

func (w writer) node(s *admin.Status) {
	w.head("rmds_build_info", "gauge", "Always 1; the labels say what runs.")
	w.sample("rmds_build_info", 1, "version", s.Version, "go_version", runtime.Version())
	w.head("rmds_node_info", "gauge", "Always 1; the labels name the node, its database and its run.")
	w.sample("rmds_node_info", 1, "node", s.Node, "store_id", s.StoreID, "run", s.Run)
	w.one("rmds_start_time_seconds", "gauge", "When the node was started, unix time.", float64(s.Started.UnixMilli())/1000)
	w.one("rmds_nats_connected", "gauge", "1 while connected to NATS. A node that is not stores and waits.", flag(s.Connected))
	w.head("rmds_trouble", "gauge", "1 for every kind of trouble that the node has now.")
	for _, t := range s.Troubles {
		kind, _, _ := strings.Cut(t, ": ")
		w.sample("rmds_trouble", 1, "kind", kind)
	}
	w.one("rmds_database_size_bytes", "gauge", "Size of the database and its journal.", float64(s.DiskBytes))
	online := 0
	for i := range s.Peers {
		if s.Peers[i].Online {
			online++
		}
	}
	w.head("rmds_peers", "gauge", "Nodes that this one knows of.")
	w.sample("rmds_peers", float64(online), "state", "online")
	w.sample("rmds_peers", float64(len(s.Peers)-online), "state", "offline")
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (w writer) totals(s *admin.Status) {
	for _, c := range []struct {
		name, help string
		value      int64
	}{
		{"rmds_accepted_messages_total", "Messages stored for others.", s.Accepted},
		{"rmds_refused_messages_total", "Sends refused because a queue was full.", s.Refused},
		{"rmds_delivered_messages_total", "Acknowledgements received, one for each message and reader.", s.Delivered},
		{"rmds_handled_messages_total", "Messages of others handled and committed.", s.Handled},
		{"rmds_retries_total", "Failed attempts that are repeated.", s.Retries},
		{"rmds_not_handled_messages_total", "Messages of this node that their readers have set aside.", s.NotHandled},
		{"rmds_gaps_total", "Notices received that messages will never come.", s.Gaps},
		{"rmds_link_resets_total", "Links that had to start again.", s.Resets},
		{"rmds_corrupt_frames_total", "Frames received that were no frames.", s.Corrupt},
	} {
		w.one(c.name, "counter", c.help, float64(c.value))
	}
	w.head("rmds_dropped_messages_total", "counter", "Messages set aside here as dead letters, by reason.")
	for _, reason := range slices.Sorted(maps.Keys(s.DeadBy)) {
		w.sample("rmds_dropped_messages_total", float64(s.DeadBy[reason]), "reason", reason)
	}
	w.one("rmds_dead_letters", "gauge", "Dead letters kept in the database.", float64(s.DeadKept))
}

func (w writer) readers(s *admin.Status, now time.Time) {
	type reader struct {
		admin.ReaderStatus
		node string
		age  float64
	}
	var all []reader
	oldest := 0.0
	for i := range s.Peers {
		for _, r := range s.Peers[i].Readers {
			all = append(all, reader{r, s.Peers[i].Node, admin.Age(r.Oldest, now)})
			oldest = max(oldest, all[len(all)-1].age)
		}
	}
	w.one("rmds_queued_messages", "gauge", "Messages not acknowledged, summed over readers.", float64(s.Queued))
	w.one("rmds_oldest_unacknowledged_age_seconds", "gauge", "Age of the oldest message that a reader has not acknowledged; 0 if none waits.", oldest)
	w.one("rmds_readers", "gauge", "Readers, each a node and a channel.", float64(len(all)))
	slices.SortStableFunc(all, func(a, b reader) int { return int(min(max(b.Queued-a.Queued, -1), 1)) })
	all = all[:min(len(all), MaxReaders)]
	w.head("rmds_reader_queued_messages", "gauge", "Messages that a reader has not acknowledged; an empty channel stands for messages addressed to the node.")
	for _, r := range all {
		w.sample("rmds_reader_queued_messages", float64(r.Queued), "node", r.node, "channel", r.Channel)
	}
	w.head("rmds_reader_oldest_unacknowledged_age_seconds", "gauge", "Age of the oldest message that a reader has not acknowledged; 0 if none waits.")
	for _, r := range all {
		w.sample("rmds_reader_oldest_unacknowledged_age_seconds", r.age, "node", r.node, "channel", r.Channel)
	}
}

func (w writer) handlers(all []admin.HandlerStatus) {
	w.head("rmds_handler_failures_total", "counter", "Attempts of a handler that did not handle the message, by outcome.")
	for i := range all {
		h := &all[i]
		w.sample("rmds_handler_failures_total", float64(h.Retried), "handler", h.Name, "outcome", "retried")
		w.sample("rmds_handler_failures_total", float64(h.Rejected), "handler", h.Name, "outcome", "rejected")
		w.sample("rmds_handler_failures_total", float64(h.Failed), "handler", h.Name, "outcome", "failed")
	}
	const name = "rmds_handler_duration_seconds"
	w.head(name, "histogram", "Time of a handler's attempts, of whatever outcome.")
	for i := range all {
		h := &all[i]
		for _, b := range h.Latency {
			w.sample(name+"_bucket", float64(b.Runs), "handler", h.Name, "le", strconv.FormatFloat(b.Seconds, 'g', -1, 64))
		}
		w.sample(name+"_bucket", float64(h.Runs), "handler", h.Name, "le", "+Inf")
		w.sample(name+"_sum", h.Busy, "handler", h.Name)
		w.sample(name+"_count", float64(h.Runs), "handler", h.Name)
	}
}
