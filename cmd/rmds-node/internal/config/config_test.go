package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const full = `
[node]
id = "box"
data_dir = "data"

[delivery]
keepalive_interval = "1s"
message_expiry = "1d12h"
max_message_bytes = "512KiB"

[[channel]]
name = "plant.temperature"
role = "reader"
ordering = "channel"

[[channel]]
name = "alarms"
role = "both"
expiry = "0s"
allow_readers = ["hub-*", "desk"]

[[handler]]
name = "alarm"
module = "/opt/alarm.wasm"
channels = ["plant.temperature"]
send = ["alarms"]
memory = "16MiB"
config = { limit = "80", "odd key" = "=" }

[handler.env]
TZ = "UTC"
`

func TestParse(t *testing.T) {
	c, err := Parse("/etc/rmds/node.toml", []byte(full))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.Database(), "/etc/rmds/data/rmds-box.db"; got != want {
		t.Errorf("Database() = %s, want %s", got, want)
	}
	if got, want := time.Duration(c.Delivery.MessageExpiry), 36*time.Hour; got != want {
		t.Errorf("message_expiry = %v, want %v", got, want)
	}
	if c.Delivery.MaxMessageBytes != 512<<10 {
		t.Errorf("max_message_bytes = %d", c.Delivery.MaxMessageBytes)
	}
	if c.Delivery.NodeOfflineTimeout != Default().Delivery.NodeOfflineTimeout {
		t.Errorf("a key that the file leaves alone is %v", c.Delivery.NodeOfflineTimeout)
	}
	if ch := c.Channels[0]; ch.Start != StartJoin || ch.Ordering != OrderChannel || ch.Expiry != nil || !ch.Reads() || ch.Writes() {
		t.Errorf("channel[0] = %+v", ch)
	}
	if ch := c.Channels[1]; ch.Expiry == nil || *ch.Expiry != 0 || len(ch.AllowReaders) != 2 {
		t.Errorf("channel[1] = %+v", ch)
	}
	h := c.Handlers[0]
	if h.Timeout != Duration(5*time.Second) || h.Memory != 16<<20 || h.Config["odd key"] != "=" || h.Env["TZ"] != "UTC" {
		t.Errorf("handler[0] = %+v", h)
	}
}

// TestFaults gives one wrong file each and expects the whole list of faults, as "line:column key: part of the text".
func TestFaults(t *testing.T) {
	t.Setenv(EnvNodeID, "box")
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("s3cr3t\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, text string
		want       []string
	}{
		{"syntax", "[node]\nid = ", []string{"2:5 node.id: expected value"}},
		{"twice", "[log]\nlevel = \"info\"\nlevel = \"warn\"", []string{"3:16 log.level: already been defined"}},
		{"unknown keys, all of them", "[delivery]\n  keepalive_intervall = \"1s\"\n[nat]\nservers = []\n", []string{
			"2:3 delivery.keepalive_intervall: did you mean keepalive_interval?", "3:2 nat: did you mean nats?"}},
		{"key in the wrong table", "[node]\nid = \"a\"\nprefix = \"x.\"", []string{"3:1 node.prefix: it belongs in [nats]"}},
		{"key in an array's table", "[log]\nsha256 = \"\"", []string{"2:1 log.sha256: it belongs in [[handler]]"}},
		{"wrong types", "[delivery]\nkeepalive_interval = 10\nmax_message_bytes = 1.5\nobserve = \"yes\"\nmax_retry_attempts = \"3\"\n[node]\nid = 7", []string{
			`2:22 delivery.keepalive_interval: is the number 10; want a duration in quotes; for example "10s"`,
			"3:21 delivery.max_message_bytes: want a size in quotes", `4:11 delivery.observe: is the string "yes"; want true or false`,
			"5:22 delivery.max_retry_attempts: want a whole number", "7:6 node.id: is the number 7"}},
		{"wrong shapes", "channel = 1\nhandler = { }\nlog = \"info\"\nnats = { servers = \"nats://a\" }", []string{
			"1:11 channel: want an array of tables; for example [[channel]]", "2:11 handler: want an array of tables",
			"3:7 log: want a table", "4:20 nats.servers: want a list of strings"}},
		{"bad units", "[delivery]\nkeepalive_interval = \"10 seconds\"\nreader_expiry = \"-1s\"\nmax_message_bytes = \"8 megs\"", []string{
			"2:22 delivery.keepalive_interval: not a duration", "3:17 delivery.reader_expiry: not a duration", "4:21 delivery.max_message_bytes: not a size"}},
		{"ranges", "[delivery]\nkeepalive_interval = \"1ms\"\nmax_message_bytes = \"65MiB\"\nmax_retry_attempts = 0\nmessage_expiry = \"10ms\"", []string{
			"2:22 delivery.keepalive_interval: 1ms is out of range; use 100ms to 1h", "3:21 delivery.max_message_bytes: 65MiB is out of range; use 1B to 64MiB",
			"4:22 delivery.max_retry_attempts: 0 is out of range", "5:18 delivery.message_expiry: or \"0s\" for none"}},
		{"flicker", "[delivery]\nkeepalive_interval = \"1m\"", []string{"1:2 delivery.node_offline_timeout: flicker; three intervals, 3m, is usual"}},
		{"names", "[node]\nid = \"a.b\"\n[nats]\nprefix = \"rmds\"\nkeepalive_channel = \"data\"\nservers = [\"nats://a\", \"b:4222\"]", []string{
			"2:6 node.id: cannot name a node", "4:10 nats.prefix: cannot begin a subject", "5:21 nats.keepalive_channel: used by the data frames",
			"6:24 nats.servers[1]: not a server's address; write nats://host:port"}},
		{"secret in an address", "[nats]\nservers = [\"nats://u:p@a:4222\"]", []string{"2:12 nats.servers[0]: carries a secret"}},
		{"credentials", "[nats]\nuser = \"u\"\ntoken_file = \"" + secret + "\"\ncreds_file = \"/nowhere/creds\"", []string{
			"1:2 nats.password_file: missing beside nats.user", "2:8 nats.user: a second kind of credentials",
			"3:14 nats.token_file: a second kind", "4:14 nats.creds_file: no such file"}},
		{"client certificate without key", "[nats.tls]\ncert_file = \"" + secret + "\"", []string{"1:2 nats.tls.key_file: missing beside nats.tls.cert_file"}},
		{"embedded, open to the world", "[nats]\nembedded = true\nlisten = \"0.0.0.0:4222\"", []string{"3:10 nats.listen: without authorization; listen on 127.0.0.1"}},
		{"embedded, host left out", "[nats]\nembedded = true\nlisten = \":4222\"", []string{"3:10 nats.listen: lets other machines in"}},
		{"embedded, with authorization", "[nats]\nembedded = true\nlisten = \"0.0.0.0:-1\"\ntoken_file = \"" + secret + "\"", nil},
		{"embedded, and servers", "[nats]\nembedded = true\nservers = [\"nats://a:1\"]\nlisten = \"localhost\"\nleaf_creds_file = \"" + secret + "\"", []string{
			"3:11 nats.servers: no effect with an embedded server", "4:10 nats.listen: not an address", "5:19 nats.leaf_creds_file: no effect without nats.leaf_remotes"}},
		{"not embedded", "[nats]\nlisten = \"127.0.0.1:4222\"", []string{"2:10 nats.listen: set nats.embedded = true"}},
		{"channels", "[[channel]]\nname = \"a\"\nrole = \"raeder\"\n[[channel]]\nname = \"a\"\nrole = \"writer\"\nstart = \"now\"\n[[channel]]\nname = \"b..c\"\nallow_readers = [\"[\"]", []string{
			"3:8 channel[0].role: did you mean reader?", "5:8 channel[1].name: already joined by channel[0]", "7:9 channel[1].start: want one of join, all, new",
			"8:3 channel[2].role: want one of reader, writer, both", "9:8 channel[2].name: cannot name a channel", "10:18 channel[2].allow_readers[0]: not a pattern"}},
		{"handlers", "[[channel]]\nname = \"in\"\nrole = \"reader\"\n[[handler]]\nname = \"h\"\nmodule = \"m\"\nchannels = [\"in\", \"inn\"]\nsend = [\"in\"]\nsha256 = \"12\"\n[[handler]]\nname = \"h\"\nchannels = [\"in\", \"in\"]\nmemory = \"1B\"", []string{
			"7:19 handler[0].channels[1]: did you mean in?", "8:9 handler[0].send[0]: only reader of channel in; give channel[0] the role writer or both",
			"9:10 handler[0].sha256: 64 hexadecimal digits", "10:3 handler[1].module: missing", "11:8 handler[1].name: another handler is named h too",
			"12:19 handler[1].channels[1]: names channel in twice", "13:10 handler[1].memory: 1B is out of range"}},
		{"handler without channels", "[[handler]]\nname = \"h\"\nmodule = \"m\"", []string{"1:3 handler[0].channels: missing"}},
		{"free keys take strings alone", "[[channel]]\nname = \"in\"\nrole = \"reader\"\n[[handler]]\nname = \"h\"\nmodule = \"m\"\nchannels = [\"in\"]\n[handler.config]\na = 1", []string{
			"9:5 handler[0].config.a: is the number 1; want a string in quotes"}},
		{"log", "[log]\nlevel = \"inof\"\nformat = \"xml\"", []string{"2:9 log.level: did you mean info?", "3:10 log.format: want one of text, json"}},
		{"socket", "[admin]\nsocket = \"/" + strings.Repeat("s", 110) + "\"", []string{"2:10 admin.socket: at most 103"}},
		{"web page", "[admin]\nlisten = \"127.0.0.1:0\"\nhosts = [\"gateway-7.lan\"]\nshow_payloads = true", nil},
		{"operators", "[management]\noperators = [\"UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4\"]", nil},
		{"operators, no key", "[management]\noperators = [\"SUAxyz\"]", []string{"2:14 management.operators[0]: is not a public nkey"}},
		{"web page, bad address", "[admin]\nlisten = \"8222\"\nhosts = [\"http://x\"]", []string{"2:10 admin.listen: for example 127.0.0.1:8222", "3:10 admin.hosts[0]: is not a host name"}},
		{"web page, nowhere", "[admin]\nshow_payloads = true", []string{"2:17 admin.show_payloads: no effect without admin.listen"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("/etc/node.toml", []byte(tt.text))
			var faults Faults
			if err != nil && !errors.As(err, &faults) {
				t.Fatalf("the error is %T: %v", err, err)
			}
			if len(faults) != len(tt.want) {
				t.Fatalf("faults:\n%v\nwant %d of them", faults, len(tt.want))
			}
			for i, f := range faults {
				place, text, _ := strings.Cut(tt.want[i], ": ")
				if got := fmt.Sprintf("%d:%d %s", f.Line, f.Col, f.Key); got != place || !strings.Contains(f.Message+"; "+f.Hint, text) {
					t.Errorf("fault %d is %q\nwant %q", i, f.Error(), tt.want[i])
				}
			}
		})
	}
}

func TestNodeID(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Skip(err)
	}
	host, _, _ = strings.Cut(host, ".")
	for _, tt := range []struct{ file, env, want string }{{"a", "b", "a"}, {"", "b", "b"}, {"", "", host}} {
		t.Setenv(EnvNodeID, tt.env)
		c, err := Parse("node.toml", []byte(fmt.Sprintf("[node]\nid = %q", tt.file)))
		if err != nil {
			t.Fatal(err)
		}
		if c.Node.ID != tt.want {
			t.Errorf("file %q, environment %q: id = %q, want %q", tt.file, tt.env, c.Node.ID, tt.want)
		}
	}
}

func TestCredentialsDirectory(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	t.Setenv(EnvNodeID, "box")
	if err := os.WriteFile(filepath.Join(dir, "nats.creds"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Parse("node.toml", []byte("[nats]\ncreds_file = \"${CREDENTIALS_DIRECTORY}/nats.creds\""))
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(dir, "nats.creds"); c.NATS.CredsFile != want {
		t.Errorf("creds_file = %s, want %s", c.NATS.CredsFile, want)
	}
}

func TestLoadMissingFile(t *testing.T) {
	if _, err := Load(filepath.Join(t.TempDir(), "node.toml")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Load of nothing: %v", err)
	}
}

func TestUnits(t *testing.T) {
	for _, tt := range []struct {
		text string
		want time.Duration
		back string
	}{
		{"0", 0, "0s"}, {"10s", 10 * time.Second, "10s"}, {"90m", 90 * time.Minute, "1h30m"}, {"1d", day, "1d"},
		{"1d12h", 36 * time.Hour, "1d12h"}, {"250ms", 250 * time.Millisecond, "250ms"}, {"1h0m10s", time.Hour + 10*time.Second, "1h0m10s"},
		{"48h", 2 * day, "2d"}, {"20m", 20 * time.Minute, "20m"},
	} {
		d, err := ParseDuration(tt.text)
		if err != nil || time.Duration(d) != tt.want || d.String() != tt.back {
			t.Errorf("ParseDuration(%q) = %v, %v; want %v", tt.text, d, err, tt.back)
		}
		if again, err := ParseDuration(d.String()); err != nil || again != d {
			t.Errorf("%q reads back as %v, %v", d.String(), again, err)
		}
	}
	for _, bad := range []string{"", "10", "d", "1.5d", "-1s", "1x", "200000000d", "1d-1h", "106751d999h", "9223372036s999999d"} {
		if d, err := ParseDuration(bad); err == nil {
			t.Errorf("ParseDuration(%q) = %v", bad, d)
		}
	}
	for _, tt := range []struct {
		text string
		want Size
		back string
	}{{"0B", 0, "0B"}, {"512B", 512, "512B"}, {"64KiB", 64 << 10, "64KiB"}, {"8 MiB", 8 << 20, "8MiB"}, {"1GB", 1e9, "1000000000B"}, {"2048MiB", 2 << 30, "2GiB"}} {
		if s, err := ParseSize(tt.text); err != nil || s != tt.want || s.String() != tt.back {
			t.Errorf("ParseSize(%q) = %v, %v; want %v", tt.text, s, err, tt.back)
		}
	}
	for _, bad := range []string{"", "8", "MiB", "1.5MiB", "-1B", "8Mib", "99999999999GiB"} {
		if s, err := ParseSize(bad); err == nil {
			t.Errorf("ParseSize(%q) = %v", bad, s)
		}
	}
}
