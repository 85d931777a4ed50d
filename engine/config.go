package engine

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// Config holds the settings of a connection. Get one from DefaultConfig and change what you need; New copies it, and
// refuses what makes no sense with an error that names the field. Zero is no default: it is a value like any other.
type Config struct {
	NodeID            string   // this node's name, 1 to 64 of A-Z a-z 0-9 _ -; empty: New generates one and keeps it (see New)
	NATSServers       []string // URLs of the servers of one NATS cluster, any of which will do
	NATSPrefix        string   // what every subject begins with, ending in a dot; nodes of another prefix are strangers
	EnableCompression bool     // compress stored and sent blocks with Snappy; nodes with and without it understand each other
	StoragePath       string   // file of the SQLite database, in a directory that exists; {nodeID} stands for the id

	KeepaliveInterval          time.Duration // how often this node says that it is there; at least 10 ms
	MessageExpiry              time.Duration // TTL of a message that states none itself, from its creation on; 0 means none
	NodeOfflineTimeout         time.Duration // silence after which another node counts as offline; at least KeepaliveInterval
	DiscoveryBroadcastInterval time.Duration // how often a writer asks who reads its channels; at least 10 ms
	DeliveryRetryInterval      time.Duration // longest pause between attempts of a failing handler that asks for none itself
	ACKTimeout                 time.Duration // time that an OnMessage function has for its Ack, Nak or Reject
	ManagementChannel          string        // subject token of management commands
	DiscoveryChannel           string        // subject token of the question who is there
	KeepaliveChannel           string        // subject token of presence
	MaxMessagesPerReceiver     int           // messages that may wait for one reader; beyond it sends return ErrQueueFull
	MessageCleanupInterval     time.Duration // how often the log is looked at for what nobody needs any more
	DeliveredMessageRetention  time.Duration // how long acknowledged messages are kept for readers that come late; 0 means not
	ExpiredNodeCleanupInterval time.Duration // how often readers are checked against ReaderExpiry
	MaxRetryAttempts           int           // failed attempts after which a message becomes a dead letter; at least 1

	MaxMessageBytes int64         // content plus headers of one message, sent or received; 1 byte to 64 MiB
	ReaderExpiry    time.Duration // silence after which a reader is given up, and what it is owed set aside; 0 means never
	Observe         bool          // hear the presence of every node, not only of those that this one has to do with

	// Operators lists the public nkeys that may sign management commands to this node. nil obeys whoever NATS lets publish
	// them; an empty list obeys nobody. What this program tells its own node through Mgmt needs no signature, but the kicks
	// that it issues do: the other nodes check them.
	Operators []string
	Operator  nkeys.KeyPair // signs the management commands of this program; nil leaves them unsigned

	NATS    NATSOptions                    // credentials and TLS
	Logger  *slog.Logger                   // nil means slog.Default()
	InProc  nats.InProcessConnProvider     // connect to a server in this process instead of NATSServers; nil means TCP
	Wall    func() time.Time               // the wall clock; nil means time.Now. Order and deduplication never depend on it
	OnEvent func(Event)                    // called for every Event, from one goroutine; must not block; nil means none
	Fault   func(operation string) error   // fault injection by operation name for tests; nil means none
	bus     func(*Config) (busLink, error) // test seam: another bus than NATS
	sync    string                         // test seam: PRAGMA synchronous; empty means FULL
}

// NATSOptions says how to authenticate to NATS. At most one of the credential kinds may be set.
type NATSOptions struct {
	CredsFile, NKeyFile   string
	User, Password, Token string
	TLS                   *tls.Config // nil means plain TCP unless a server URL says tls://
}

// Option changes a Config inside New.
type Option func(*Config)

// SetID sets the node id.
func SetID(id string) Option { return func(c *Config) { c.NodeID = id } }

// SetNatsPrefix sets the first tokens of every subject, with the trailing dot.
func SetNatsPrefix(prefix string) Option { return func(c *Config) { c.NATSPrefix = prefix } }

// SetNATS sets the server URLs, separated by commas.
func SetNATS(urls string) Option {
	return func(c *Config) {
		c.NATSServers = nil
		for _, u := range strings.Split(urls, ",") {
			if u = strings.TrimSpace(u); u != "" {
				c.NATSServers = append(c.NATSServers, u)
			}
		}
	}
}

// WithLogger sets the logger.
func WithLogger(l *slog.Logger) Option { return func(c *Config) { c.Logger = l } }

// WithInProcessServer connects to a nats-server in this process instead of the configured URLs.
func WithInProcessServer(p nats.InProcessConnProvider) Option {
	return func(c *Config) { c.InProc = p }
}

// DefaultConfig returns the defaults: the seed's values, and those of the fields beyond it.
func DefaultConfig() *Config {
	return &Config{
		NATSServers:                []string{nats.DefaultURL},
		NATSPrefix:                 "rmds.",
		EnableCompression:          true,
		StoragePath:                "./rmds-{nodeID}.db",
		KeepaliveInterval:          10 * time.Second,
		MessageExpiry:              24 * time.Hour,
		NodeOfflineTimeout:         30 * time.Second,
		DiscoveryBroadcastInterval: 30 * time.Second,
		DeliveryRetryInterval:      5 * time.Second,
		ACKTimeout:                 10 * time.Second,
		ManagementChannel:          "management",
		DiscoveryChannel:           "discovery",
		KeepaliveChannel:           "keepalive",
		MaxMessagesPerReceiver:     10000,
		MessageCleanupInterval:     time.Hour,
		DeliveredMessageRetention:  3 * 24 * time.Hour,
		ExpiredNodeCleanupInterval: 24 * time.Hour,
		MaxRetryAttempts:           10,
		MaxMessageBytes:            8 << 20,
		ReaderExpiry:               30 * 24 * time.Hour,
		Observe:                    true,
	}
}

// validate returns the first value that makes no sense, by field name. The error wraps ErrConfig.
func (c *Config) validate() error {
	bad := func(field, format string, args ...any) error {
		return fmt.Errorf("%w: %s: %s", ErrConfig, field, fmt.Sprintf(format, args...))
	}
	if err := CheckNodeID(c.NodeID); err != nil && c.NodeID != "" {
		return bad("NodeID", "%v", err)
	}
	if c.StoragePath == "" {
		return bad("StoragePath", "is empty: name the database file, for example ./rmds-{nodeID}.db")
	}
	if len(c.NATSServers) == 0 && c.InProc == nil && c.bus == nil {
		return bad("NATSServers", "is empty: name at least one server, for example nats://localhost:4222")
	}
	if p := strings.TrimSuffix(c.NATSPrefix, "."); p == c.NATSPrefix || CheckChannel(p) != nil {
		return bad("NATSPrefix", "%q: use tokens that end in a dot, for example rmds.", c.NATSPrefix)
	}
	tokens := map[string]string{"data": "data", "ack": "ack"}
	for _, t := range []struct{ field, value string }{
		{"ManagementChannel", c.ManagementChannel}, {"DiscoveryChannel", c.DiscoveryChannel}, {"KeepaliveChannel", c.KeepaliveChannel},
	} {
		if !isToken(t.value) {
			return bad(t.field, "%q is not a subject token of [A-Za-z0-9_-]", t.value)
		}
		if other, taken := tokens[t.value]; taken {
			return bad(t.field, "%q is already used by %s", t.value, other)
		}
		tokens[t.value] = t.field
	}
	for _, d := range []struct {
		field    string
		value    time.Duration
		least    time.Duration
		zeroGood bool
	}{
		{"KeepaliveInterval", c.KeepaliveInterval, 10 * time.Millisecond, false},
		{"MessageExpiry", c.MessageExpiry, time.Millisecond, true},
		{"NodeOfflineTimeout", c.NodeOfflineTimeout, 10 * time.Millisecond, false},
		{"DiscoveryBroadcastInterval", c.DiscoveryBroadcastInterval, 10 * time.Millisecond, false},
		{"DeliveryRetryInterval", c.DeliveryRetryInterval, time.Millisecond, false},
		{"ACKTimeout", c.ACKTimeout, time.Millisecond, false},
		{"MessageCleanupInterval", c.MessageCleanupInterval, 10 * time.Millisecond, false},
		{"DeliveredMessageRetention", c.DeliveredMessageRetention, 0, true},
		{"ExpiredNodeCleanupInterval", c.ExpiredNodeCleanupInterval, 10 * time.Millisecond, false},
		{"ReaderExpiry", c.ReaderExpiry, time.Minute, true},
	} {
		if d.value < d.least && !(d.value == 0 && d.zeroGood) {
			return bad(d.field, "%v is too short: at least %v", d.value, d.least)
		}
	}
	if c.NodeOfflineTimeout < c.KeepaliveInterval {
		return bad("NodeOfflineTimeout", "%v is shorter than KeepaliveInterval %v: every node would flicker", c.NodeOfflineTimeout, c.KeepaliveInterval)
	}
	if c.MaxMessagesPerReceiver < 1 {
		return bad("MaxMessagesPerReceiver", "%d: at least 1", c.MaxMessagesPerReceiver)
	}
	if c.MaxRetryAttempts < 1 {
		return bad("MaxRetryAttempts", "%d: at least 1", c.MaxRetryAttempts)
	}
	for _, key := range c.Operators {
		if !nkeys.IsValidPublicKey(key) {
			return bad("Operators", "%q is no public nkey", key)
		}
	}
	if c.MaxMessageBytes < 1 || c.MaxMessageBytes > 64<<20 {
		return bad("MaxMessageBytes", "%d: 1 byte to 64 MiB", c.MaxMessageBytes)
	}
	return nil
}
