package config

import (
	"encoding/hex"
	"fmt"
	"net"
	"net/url"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nkeys"
)

// checker collects the faults of values that are well formed and make no sense.
type checker struct {
	*Config
	faults Faults
}

func (c *Config) validate() Faults {
	k := &checker{Config: c}
	k.node()
	k.nats()
	k.delivery()
	k.channels()
	k.handlers()
	k.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	k.oneOf("log.format", c.Log.Format, "text", "json")
	if n := len(c.Admin.Socket); n == 0 {
		k.bad("admin.socket", "is empty", "name a socket file, for example "+DefaultSocket)
	} else if n > maxSocketPath {
		k.bad("admin.socket", fmt.Sprintf("has %d bytes; a socket's path has at most %d", n, maxSocketPath), "use a shorter directory")
	}
	k.web()
	for i, key := range c.Management.Operators {
		if !nkeys.IsValidPublicKey(key) {
			k.bad(fmt.Sprintf("management.operators[%d]", i), fmt.Sprintf("%q is not a public nkey", key), "write the key that starts with U, not the seed that starts with SU")
		}
	}
	return k.faults
}

// web checks where the web page is served.
func (k *checker) web() {
	a := &k.Admin
	if a.Listen == "" {
		for key, set := range map[string]bool{"admin.hosts": len(a.Hosts) > 0, "admin.show_payloads": a.ShowPayloads} {
			if set {
				k.bad(key, "has no effect without admin.listen", "set admin.listen, or remove the key")
			}
		}
		return
	}
	_, port, err := net.SplitHostPort(a.Listen)
	if p, perr := strconv.Atoi(port); err != nil || perr != nil || p < 0 || p > 65535 {
		k.bad("admin.listen", fmt.Sprintf("%q is not an address", a.Listen), "write host:port, for example 127.0.0.1:8222; port 0 takes a free one")
	}
	for i, h := range a.Hosts {
		if !hostName.MatchString(h) {
			k.bad(fmt.Sprintf("admin.hosts[%d]", i), fmt.Sprintf("%q is not a host name", h), `write the name alone, for example "gateway-7.lan"`)
		}
	}
}

// maxSocketPath is what sockaddr_un holds on the systems that are smallest in this (104 bytes with the final zero).
const maxSocketPath = 103

var (
	token       = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	nodeID      = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	hostName    = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9])?$`)
	channelName = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)
)

func (k *checker) bad(key, message, hint string) {
	k.faults = append(k.faults, k.Fault(key, message, hint))
}

func (k *checker) oneOf(key, value string, values ...string) {
	if slices.Contains(values, value) {
		return
	}
	hint := ""
	if n := nearest(value, values); n != "" {
		hint = "did you mean " + n + "?"
	}
	k.bad(key, fmt.Sprintf("is %q; want one of %s", value, strings.Join(values, ", ")), hint)
}

func (k *checker) node() {
	if !nodeID.MatchString(k.Node.ID) {
		from := ""
		if !k.isSet("node.id") {
			from = " (from $" + EnvNodeID + " or the host name)"
		}
		k.bad("node.id", fmt.Sprintf("%q%s cannot name a node", k.Node.ID, from), "use 1 to 64 characters of A-Z a-z 0-9 _ -")
	}
	k.spans(span{"node.compile_timeout", k.Node.CompileTimeout, time.Second, time.Hour, true})
	if k.Node.DataDir == "" {
		k.bad("node.data_dir", "is empty", "name a directory, for example /var/lib/rmds")
	}
}

func (k *checker) nats() {
	n := &k.NATS
	if prefix, dot := strings.CutSuffix(n.Prefix, "."); !dot || !channelName.MatchString(prefix) {
		k.bad("nats.prefix", fmt.Sprintf("%q cannot begin a subject", n.Prefix), `use tokens that end in a dot, for example "rmds."`)
	}
	used := map[string]string{"data": "the data frames", "ack": "the acknowledgements", "management": "management commands"}
	for _, t := range []struct{ key, value string }{
		{"nats.discovery_channel", n.DiscoveryChannel}, {"nats.keepalive_channel", n.KeepaliveChannel},
	} {
		if !token.MatchString(t.value) {
			k.bad(t.key, fmt.Sprintf("%q is not a subject token", t.value), "use characters of A-Z a-z 0-9 _ -")
		} else if other, taken := used[t.value]; taken {
			k.bad(t.key, fmt.Sprintf("%q is used by %s", t.value, other), "choose another token")
		}
		used[t.value] = t.key
	}
	k.credentials()
	if n.Embedded {
		k.embedded()
		return
	}
	for _, key := range []string{"nats.listen", "nats.leaf_remotes", "nats.leaf_creds_file"} {
		if k.isSet(key) {
			k.bad(key, "has no effect without an embedded server", "set nats.embedded = true, or remove the key")
		}
	}
	if len(n.Servers) == 0 {
		k.bad("nats.servers", "is empty", `name at least one server, for example ["nats://10.0.0.1:4222"], or set nats.embedded = true`)
	}
	for i, s := range n.Servers {
		k.url(fmt.Sprintf("nats.servers[%d]", i), s, "nats", "tls", "ws", "wss")
	}
}

func (k *checker) url(key, value string, schemes ...string) {
	u, err := url.Parse(value)
	if err != nil || !slices.Contains(schemes, u.Scheme) || u.Hostname() == "" {
		k.bad(key, fmt.Sprintf("%q is not a server's address", value), fmt.Sprintf("write %s://host:port", schemes[0]))
		return
	}
	if u.User != nil {
		k.bad(key, "carries a secret", "put it into a file and name that: nats.password_file, nats.token_file or nats.creds_file")
	}
}

// credentials checks that at most one kind of credentials is given, that it is whole, and that its files can be read.
func (k *checker) credentials() {
	n := &k.NATS
	var kinds []string
	for _, c := range []struct{ key, value string }{
		{"nats.creds_file", n.CredsFile}, {"nats.nkey_file", n.NKeyFile}, {"nats.token_file", n.TokenFile}, {"nats.user", n.User},
	} {
		if c.value != "" {
			if kinds = append(kinds, c.key); len(kinds) > 1 {
				k.bad(c.key, "is a second kind of credentials beside "+kinds[0], "keep one of them")
			}
		}
	}
	if (n.User == "") != (n.PasswordFile == "") {
		missing, given := "nats.password_file", "nats.user"
		if n.User == "" {
			missing, given = given, missing
		}
		k.bad(missing, "is missing beside "+given, "give both or neither")
	}
	if (n.TLS.CertFile == "") != (n.TLS.KeyFile == "") {
		missing, given := "nats.tls.key_file", "nats.tls.cert_file"
		if n.TLS.CertFile == "" {
			missing, given = given, missing
		}
		k.bad(missing, "is missing beside "+given, "give both or neither")
	}
	for _, f := range []struct{ key, path string }{
		{"nats.creds_file", n.CredsFile}, {"nats.nkey_file", n.NKeyFile}, {"nats.token_file", n.TokenFile},
		{"nats.password_file", n.PasswordFile}, {"nats.leaf_creds_file", n.LeafCredsFile},
		{"nats.tls.ca_file", n.TLS.CAFile}, {"nats.tls.cert_file", n.TLS.CertFile}, {"nats.tls.key_file", n.TLS.KeyFile},
	} {
		k.readable(f.key, f.path)
	}
}

func (k *checker) readable(key, path string) {
	if path == "" {
		return
	}
	f, err := os.Open(path)
	if err != nil {
		k.bad(key, err.Error(), "name a file that the node may read")
		return
	}
	f.Close()
}

func (k *checker) embedded() {
	n := &k.NATS
	if k.isSet("nats.servers") {
		k.bad("nats.servers", "has no effect with an embedded server", "remove it, or nats.embedded; to reach a hub use nats.leaf_remotes")
	}
	for _, c := range []struct{ key, value string }{{"nats.creds_file", n.CredsFile}, {"nats.nkey_file", n.NKeyFile}} {
		if c.value != "" {
			k.bad(c.key, "does not fit an embedded server", "it knows nats.user with nats.password_file, or nats.token_file")
		}
	}
	if n.TLS != (TLS{}) {
		k.bad("nats.tls", "does not fit an embedded server, which the node reaches inside its own process", "remove the table")
	}
	for i, r := range n.LeafRemotes {
		k.url(fmt.Sprintf("nats.leaf_remotes[%d]", i), r, "nats-leaf", "nats", "tls", "ws", "wss")
	}
	if n.LeafCredsFile != "" && len(n.LeafRemotes) == 0 {
		k.bad("nats.leaf_creds_file", "has no effect without nats.leaf_remotes", "name the hub, or remove the key")
	}
	host, port, err := net.SplitHostPort(n.Listen)
	p, perr := strconv.Atoi(port)
	if err != nil || perr != nil || p == 0 || p < -1 || p > 65535 {
		k.bad("nats.listen", fmt.Sprintf("%q is not an address", n.Listen), "write host:port, for example 127.0.0.1:4222; port -1 takes a free one")
	} else if !isLoopback(host) && n.User == "" && n.TokenFile == "" {
		k.bad("nats.listen", fmt.Sprintf("%q lets other machines in, without authorization", n.Listen),
			"listen on 127.0.0.1, or set nats.user with nats.password_file, or nats.token_file")
	}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// span is the allowed range of a duration; zero says whether 0 (off) is allowed beside it.
type span struct {
	key         string
	value       Duration
	least, most time.Duration
	zero        bool
}

func (k *checker) spans(spans ...span) {
	for _, s := range spans {
		if d := time.Duration(s.value); (d < s.least || d > s.most) && !(d == 0 && s.zero) {
			off := ""
			if s.zero {
				off = `, or "0s" for none`
			}
			k.bad(s.key, s.value.String()+" is out of range", fmt.Sprintf("use %v to %v%s", Duration(s.least), Duration(s.most), off))
		}
	}
}

func (k *checker) number(key string, value, least, most int) {
	if value < least || value > most {
		k.bad(key, fmt.Sprintf("%d is out of range", value), fmt.Sprintf("use %d to %d", least, most))
	}
}

func (k *checker) size(key string, value, least, most Size) {
	if value < least || value > most {
		k.bad(key, value.String()+" is out of range", fmt.Sprintf("use %v to %v", least, most))
	}
}

const year = 365 * day

func (k *checker) delivery() {
	d := &k.Delivery
	k.spans(
		span{"delivery.keepalive_interval", d.KeepaliveInterval, 100 * time.Millisecond, time.Hour, false},
		span{"delivery.node_offline_timeout", d.NodeOfflineTimeout, 100 * time.Millisecond, day, false},
		span{"delivery.discovery_broadcast_interval", d.DiscoveryBroadcastInterval, 100 * time.Millisecond, day, false},
		span{"delivery.message_expiry", d.MessageExpiry, time.Second, 10 * year, true},
		span{"delivery.delivery_retry_interval", d.DeliveryRetryInterval, 10 * time.Millisecond, day, false},
		span{"delivery.message_cleanup_interval", d.MessageCleanupInterval, time.Second, 30 * day, false},
		span{"delivery.delivered_message_retention", d.DeliveredMessageRetention, time.Second, 10 * year, true},
		span{"delivery.expired_node_cleanup_interval", d.ExpiredNodeCleanupInterval, time.Second, 30 * day, false},
		span{"delivery.reader_expiry", d.ReaderExpiry, time.Minute, 10 * year, true},
	)
	if d.NodeOfflineTimeout < d.KeepaliveInterval {
		k.bad("delivery.node_offline_timeout", fmt.Sprintf("%v is shorter than delivery.keepalive_interval, %v: every node would flicker", d.NodeOfflineTimeout, d.KeepaliveInterval),
			fmt.Sprintf("three intervals, %v, is usual", 3*d.KeepaliveInterval))
	}
	k.number("delivery.max_retry_attempts", d.MaxRetryAttempts, 1, 1_000_000)
	k.number("delivery.max_messages_per_receiver", d.MaxMessagesPerReceiver, 1, 1_000_000_000)
	k.size("delivery.max_message_bytes", d.MaxMessageBytes, 1, 64<<20)
}

func (k *checker) channelName(key, name string) bool {
	if len(name) > 128 || !channelName.MatchString(name) {
		k.bad(key, fmt.Sprintf("%q cannot name a channel", name), "use tokens of A-Z a-z 0-9 _ - joined by dots, at most 128 bytes, for example plant.temperature")
		return false
	}
	return true
}

func (k *checker) channels() {
	first := map[string]int{}
	for i := range k.Channels {
		c, key := &k.Channels[i], fmt.Sprintf("channel[%d]", i)
		k.channelName(key+".name", c.Name)
		if j, ok := first[c.Name]; ok {
			k.bad(key+".name", fmt.Sprintf("channel %s is already joined by channel[%d]", c.Name, j), "keep one of the two")
		} else {
			first[c.Name] = i
		}
		k.oneOf(key+".role", c.Role, RoleReader, RoleWriter, RoleBoth)
		k.oneOf(key+".start", c.Start, StartJoin, StartAll, StartNew)
		k.oneOf(key+".ordering", c.Ordering, OrderStrict, OrderChannel)
		if c.Expiry != nil {
			k.spans(span{key + ".expiry", *c.Expiry, time.Second, 10 * year, true})
		}
		k.patterns(key+".allow_readers", c.AllowReaders)
		k.patterns(key+".allow_writers", c.AllowWriters)
	}
}

func (k *checker) patterns(key string, patterns []string) {
	for i, p := range patterns {
		if _, err := path.Match(p, ""); err != nil || p == "" {
			k.bad(fmt.Sprintf("%s[%d]", key, i), fmt.Sprintf("%q is not a pattern of node ids", p), `use names and *, for example "gateway-*"`)
		}
	}
}

func (k *checker) handlers() {
	names := map[string]bool{}
	for i := range k.Handlers {
		h, key := &k.Handlers[i], fmt.Sprintf("handler[%d]", i)
		if !nodeID.MatchString(h.Name) {
			k.bad(key+".name", fmt.Sprintf("%q cannot name a handler", h.Name), "use 1 to 64 characters of A-Z a-z 0-9 _ -")
		} else if names[h.Name] {
			k.bad(key+".name", "another handler is named "+h.Name+" too", "a handler's name is the name of its store: choose another")
		}
		names[h.Name] = true
		if h.Module == "" {
			k.bad(key+".module", "is missing", "name the .wasm file, relative to this file or absolute")
		}
		if sum, err := hex.DecodeString(h.SHA256); h.SHA256 != "" && (err != nil || len(sum) != 32) {
			k.bad(key+".sha256", "is not a SHA-256 sum", "write the 64 hexadecimal digits that sha256sum prints")
		}
		k.oneOf(key+".mode", h.Mode, ModeAuto, ModeCommand, ModeLines)
		k.spans(span{key + ".timeout", h.Timeout, time.Millisecond, time.Hour, false}, span{key + ".cpu", h.CPU, time.Millisecond, time.Hour, false})
		k.size(key+".memory", h.Memory, 64<<10, 4<<30)
		k.number(key+".max_attempts", h.MaxAttempts, 0, 1_000_000)
		k.spans(span{key + ".every", h.Every, 100 * time.Millisecond, 365 * day, true})
		if len(h.Channels) == 0 && h.Every == 0 {
			k.bad(key+".channels", "is missing", "name the channels whose messages it handles, or set every")
		}
		k.served(key, h)
		for j, name := range h.Send {
			k.joined(fmt.Sprintf("%s.send[%d]", key, j), name, (*Channel).Writes, RoleWriter)
		}
	}
}

// served checks that the channels of a handler are read by this node.
func (k *checker) served(key string, h *Handler) {
	for j, name := range h.Channels {
		at := fmt.Sprintf("%s.channels[%d]", key, j)
		k.joined(at, name, (*Channel).Reads, RoleReader)
		if slices.Contains(h.Channels[:j], name) {
			k.bad(at, fmt.Sprintf("names channel %s twice", name), "remove one of the two")
		}
	}
}

// joined checks that a [[channel]] of that name exists and has a role that serves.
func (k *checker) joined(key, name string, serves func(*Channel) bool, role string) {
	var all []string
	for i := range k.Channels {
		if c := &k.Channels[i]; c.Name == name {
			if !serves(c) {
				k.bad(key, fmt.Sprintf("this node is only %s of channel %s", c.Role, name), fmt.Sprintf("give channel[%d] the role %s or both", i, role))
			}
			return
		} else {
			all = append(all, c.Name)
		}
	}
	hint := fmt.Sprintf("add a [[channel]] with name = %q and role = %q", name, role)
	if n := nearest(name, all); n != "" {
		hint = "did you mean " + n + "? else " + hint
	}
	k.bad(key, fmt.Sprintf("this node does not join channel %q", name), hint)
}
