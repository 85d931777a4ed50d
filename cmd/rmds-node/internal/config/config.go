// Package config reads node.toml, the one file that configures rmds-node.
//
// Reading has three steps, and each adds its findings to one list, so that an operator sees every fault at once:
//
//	bytes ── TOML parser ──► tree ── bind (bind.go) ──► Config ── validate (validate.go) ──► checked Config
//	  └───── index (position.go): the line and column of every key ──► Fault
//
// A syntax error ends the reading at once, since nothing after it can be trusted. Unknown keys are faults: a misspelt
// key must not silently leave a default in force. What needs the world beside the file (modules, credentials, NATS) is
// checked by those who use it; they report through Config.Fault, with the same places.
package config

import (
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Config is a whole node.toml. node.toml.example describes every key with its default, unit and range.
type Config struct {
	Node     Node      `toml:"node"`
	NATS     NATS      `toml:"nats"`
	Delivery Delivery  `toml:"delivery"`
	Channels []Channel `toml:"channel,omitempty"`
	Handlers []Handler `toml:"handler,omitempty"`
	Admin    Admin     `toml:"admin"`
	Log      Log       `toml:"log"`

	Management Management `toml:"management"`

	file  string
	index *index
}

// Node is [node].
type Node struct {
	ID      string `toml:"id"`       // this node's name; empty: $RMDS_NODE_ID, else the host name up to its first dot
	DataDir string `toml:"data_dir"` // directory of the database and of the cache of compiled modules

	CompileTimeout Duration `toml:"compile_timeout"` // of one module, in a process of its own; 0: in the node's, unlimited
}

// NATS is [nats]: how to reach NATS, or the server to run inside.
type NATS struct {
	Servers          []string `toml:"servers,omitempty"`
	Embedded         bool     `toml:"embedded"`         // run a nats-server in this process and connect to that one
	Listen           string   `toml:"listen,omitempty"` // where the embedded server listens, host:port; port -1 takes a free one
	LeafRemotes      []string `toml:"leaf_remotes,omitempty"`
	LeafCredsFile    string   `toml:"leaf_creds_file,omitempty"`
	Prefix           string   `toml:"prefix"`
	DiscoveryChannel string   `toml:"discovery_channel"`
	KeepaliveChannel string   `toml:"keepalive_channel"`
	CredsFile        string   `toml:"creds_file,omitempty"`
	NKeyFile         string   `toml:"nkey_file,omitempty"`
	User             string   `toml:"user,omitempty"`
	PasswordFile     string   `toml:"password_file,omitempty"`
	TokenFile        string   `toml:"token_file,omitempty"`
	TLS              TLS      `toml:"tls,omitempty"`
}

// TLS is [nats.tls]. Any key given means that the connection must be TLS.
type TLS struct {
	CAFile     string `toml:"ca_file,omitempty"`
	CertFile   string `toml:"cert_file,omitempty"`
	KeyFile    string `toml:"key_file,omitempty"`
	ServerName string `toml:"server_name,omitempty"`
}

// Delivery is [delivery]: the knobs of the engine.
type Delivery struct {
	Compression                bool     `toml:"compression"`
	KeepaliveInterval          Duration `toml:"keepalive_interval"`
	NodeOfflineTimeout         Duration `toml:"node_offline_timeout"`
	DiscoveryBroadcastInterval Duration `toml:"discovery_broadcast_interval"`
	MessageExpiry              Duration `toml:"message_expiry"` // 0: none
	DeliveryRetryInterval      Duration `toml:"delivery_retry_interval"`
	MaxRetryAttempts           int      `toml:"max_retry_attempts"`
	MaxMessagesPerReceiver     int      `toml:"max_messages_per_receiver"`
	MaxMessageBytes            Size     `toml:"max_message_bytes"`
	MessageCleanupInterval     Duration `toml:"message_cleanup_interval"`
	DeliveredMessageRetention  Duration `toml:"delivered_message_retention"`
	ExpiredNodeCleanupInterval Duration `toml:"expired_node_cleanup_interval"`
	ReaderExpiry               Duration `toml:"reader_expiry"` // 0: never
	Observe                    bool     `toml:"observe"`
}

// Channel is one [[channel]]: a channel that this node joins.
type Channel struct {
	Name         string    `toml:"name"`
	Role         string    `toml:"role"`
	Start        string    `toml:"start"`
	Ordering     string    `toml:"ordering"`
	Expiry       *Duration `toml:"expiry"` // nil: [delivery] message_expiry
	AllowReaders []string  `toml:"allow_readers,omitempty"`
	AllowWriters []string  `toml:"allow_writers,omitempty"`
}

// Values of Channel.Role, Channel.Start and Channel.Ordering.
const (
	RoleReader = "reader"
	RoleWriter = "writer"
	RoleBoth   = "both"

	StartJoin = "join"
	StartAll  = "all"
	StartNew  = "new"

	OrderStrict  = "strict"
	OrderChannel = "channel"
)

func (c *Channel) setDefaults() { *c = Channel{Start: StartJoin, Ordering: OrderStrict} }

// Reads reports whether the role lets the node handle messages of the channel.
func (c *Channel) Reads() bool { return c.Role == RoleReader || c.Role == RoleBoth }

// Writes reports whether the role lets the node send on the channel.
func (c *Channel) Writes() bool { return c.Role == RoleWriter || c.Role == RoleBoth }

// Handler is one [[handler]]: a WebAssembly module that handles the messages of some channels.
type Handler struct {
	Name        string            `toml:"name"`
	Module      string            `toml:"module"`
	SHA256      string            `toml:"sha256,omitempty"`
	Mode        string            `toml:"mode"`
	Channels    []string          `toml:"channels,omitempty"`
	Every       Duration          `toml:"every"` // 0: not called by time
	Send        []string          `toml:"send,omitempty"`
	Timeout     Duration          `toml:"timeout"`
	CPU         Duration          `toml:"cpu"`
	Memory      Size              `toml:"memory"`
	MaxAttempts int               `toml:"max_attempts"` // 0: [delivery] max_retry_attempts
	Config      map[string]string `toml:"config,omitempty"`
	Env         map[string]string `toml:"env,omitempty"`
}

// Values of Handler.Mode.
const (
	ModeAuto    = "auto" // as its exports say
	ModeCommand = "command"
	ModeLines   = "lines"
)

func (h *Handler) setDefaults() {
	*h = Handler{Mode: ModeAuto, Timeout: Duration(5 * time.Second), CPU: Duration(time.Second), Memory: 64 << 20}
}

// Admin is [admin]: the local interface that the command line uses, and the web page.
type Admin struct {
	Socket       string   `toml:"socket"`
	Listen       string   `toml:"listen,omitempty"` // where the page, metrics and health are served, host:port; empty: nowhere
	Hosts        []string `toml:"hosts,omitempty"`  // names that the page may be asked for by
	ShowPayloads bool     `toml:"show_payloads"`    // the page shows the contents of dead letters
}

// Management is [management]: whose commands over NATS this node obeys.
type Management struct {
	Operators []string `toml:"operators,omitempty"` // public nkeys that may sign kicks and purges; none: nobody
}

// Log is [log].
type Log struct {
	Level  string `toml:"level"`
	Format string `toml:"format"`
}

// DefaultSocket is where a node listens, and where the command line looks for it, unless told otherwise.
const DefaultSocket = "/run/rmds/admin.sock"

// Default returns the configuration of an empty file, before the node id is filled in.
func Default() *Config {
	return &Config{
		Node: Node{DataDir: "/var/lib/rmds", CompileTimeout: Duration(time.Minute)},
		NATS: NATS{
			Servers:          []string{"nats://127.0.0.1:4222"},
			Listen:           "127.0.0.1:4222",
			Prefix:           "rmds.",
			DiscoveryChannel: "discovery",
			KeepaliveChannel: "keepalive",
		},
		Delivery: Delivery{
			Compression:                true,
			KeepaliveInterval:          Duration(10 * time.Second),
			NodeOfflineTimeout:         Duration(30 * time.Second),
			DiscoveryBroadcastInterval: Duration(30 * time.Second),
			DeliveryRetryInterval:      Duration(5 * time.Second),
			MaxRetryAttempts:           10,
			MaxMessagesPerReceiver:     10000,
			MaxMessageBytes:            8 << 20,
			MessageCleanupInterval:     Duration(time.Hour),
			DeliveredMessageRetention:  Duration(3 * day),
			ExpiredNodeCleanupInterval: Duration(day),
			ReaderExpiry:               Duration(30 * day),
		},
		Admin: Admin{Socket: DefaultSocket},
		Log:   Log{Level: "info", Format: "text"},
	}
}

// Database returns the path of the engine's database.
func (c *Config) Database() string { return filepath.Join(c.Node.DataDir, "rmds-"+c.Node.ID+".db") }

// ModuleCache returns the directory where compiled modules are kept.
func (c *Config) ModuleCache() string { return filepath.Join(c.Node.DataDir, "modules") }

// Fault makes a fault of the value of a key, for a check that needs more than the file. The key is written in full,
// with indexes: handler[0].module.
func (c *Config) Fault(key, message, hint string) Fault {
	f := Fault{File: c.file, Key: key, Message: message, Hint: hint}
	f.Line, f.Col = c.place(key, true)
	return f
}

// place returns the line and column of a key or its value, or those of the nearest table around it that the file has.
func (c *Config) place(key string, value bool) (line, col int) {
	if c.index == nil {
		return 0, 0
	}
	for name := key; name != ""; name = parent(name) {
		p, ok := c.index.at[name]
		if !ok {
			continue
		}
		if value && name == key {
			return c.index.position(p.value)
		}
		return c.index.position(p.key)
	}
	return 0, 0
}

// isSet reports whether the file gives a key.
func (c *Config) isSet(key string) bool {
	if c.index == nil {
		return false
	}
	_, ok := c.index.at[key]
	return ok
}

func parent(name string) string { return name[:max(strings.LastIndexAny(name, ".["), 0)] }

// resolve makes a file name absolute: ${CREDENTIALS_DIRECTORY} at its start is systemd's directory of credentials, and
// a relative name is relative to the configuration file, not to where the node happens to be started.
func (c *Config) resolve(path string) string {
	if path == "" {
		return ""
	}
	if rest, ok := strings.CutPrefix(path, "${CREDENTIALS_DIRECTORY}"); ok {
		path = os.Getenv("CREDENTIALS_DIRECTORY") + rest
	}
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(c.file), path)
}
