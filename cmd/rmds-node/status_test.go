package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/getevo/rmds/cmd/rmds-node/internal/admin"
)

func TestPrintStatus(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s := &admin.Status{
		Node: "gateway-7", Version: "1.2.3", Started: now.Add(-49 * time.Hour), Health: "storage: disk full", Troubles: []string{"storage: disk full", "auth_denied: \x1b[2J"},
		Queued: 42, Accepted: 100, Delivered: 58, Gaps: 1,
		Channels: []admin.ChannelStatus{{Name: "alarms", Role: "writer"}, {Name: "plant.temperature", Role: "both", Awake: true}},
		Handlers: []admin.HandlerStatus{{Name: "alarm", Channels: []string{"plant.temperature"}}, {Name: "audit", Channels: []string{"plant.temperature"}}},
		Peers: []admin.PeerStatus{
			{Node: "hub", Online: true, State: "storage", LastHeard: now.Add(-3200 * time.Millisecond), Queued: 2, Readers: []admin.ReaderStatus{{Acked: 9, Queued: 1}, {Channel: "alarms", Acked: 9, Queued: 1}}},
			{Node: "ship-3", Queued: 40},
		},
	}
	const want = `node gateway-7: storage: disk full, up 2d1h, version 1.2.3
nats not connected: messages wait on disk
trouble: "auth_denied: \x1b[2J"
queued 42, accepted 100, delivered 58, handled 0, retries 0, dead 0, refused 0
set aside by readers 0, gaps 1, link resets 0, corrupt frames 0

CHANNEL            ROLE    HANDLERS
alarms             writer  -
plant.temperature  both    alarm, audit

PEER    STATE            HEARD   QUEUED  READS
hub     online, storage  3s ago  2       alarms
ship-3  offline          never   40      -
`
	var b bytes.Buffer
	if err := printStatus(&b, s, now); err != nil {
		t.Fatal(err)
	}
	if b.String() != want {
		t.Errorf("status is\n%s\nwant\n%s", b.String(), want)
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{"grün 1": "grün 1", "a\nb": `"a\nb"`, "\xff": `"\xff"`, "": "", "\x1b[31m": `"\x1b[31m"`} {
		if got := printable([]byte(in)); got != want {
			t.Errorf("printable(%q) = %s, want %s", in, got, want)
		}
	}
}
