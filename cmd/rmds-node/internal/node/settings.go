package node

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"strings"
	"time"

	"github.com/getevo/rmds/cmd/rmds-node/internal/config"
	"github.com/getevo/rmds/engine"
)

// engineConfig makes the engine's configuration. It reads the files with secrets; what is wrong with them comes as Faults.
func engineConfig(c *config.Config) (*engine.Config, error) {
	e := engine.DefaultConfig()
	e.NodeID = c.Node.ID
	e.StoragePath = c.Database()

	e.NATSServers = c.NATS.Servers
	e.NATSPrefix = c.NATS.Prefix
	e.DiscoveryChannel = c.NATS.DiscoveryChannel
	e.KeepaliveChannel = c.NATS.KeepaliveChannel

	d := &c.Delivery
	e.EnableCompression = d.Compression
	e.KeepaliveInterval = time.Duration(d.KeepaliveInterval)
	e.NodeOfflineTimeout = time.Duration(d.NodeOfflineTimeout)
	e.DiscoveryBroadcastInterval = time.Duration(d.DiscoveryBroadcastInterval)
	e.MessageExpiry = time.Duration(d.MessageExpiry)
	e.DeliveryRetryInterval = time.Duration(d.DeliveryRetryInterval)
	e.MaxRetryAttempts = d.MaxRetryAttempts
	e.MaxMessagesPerReceiver = d.MaxMessagesPerReceiver
	e.MaxMessageBytes = int64(d.MaxMessageBytes)
	e.MessageCleanupInterval = time.Duration(d.MessageCleanupInterval)
	e.DeliveredMessageRetention = time.Duration(d.DeliveredMessageRetention)
	e.ExpiredNodeCleanupInterval = time.Duration(d.ExpiredNodeCleanupInterval)
	e.ReaderExpiry = time.Duration(d.ReaderExpiry)
	e.Observe = d.Observe
	e.Operators = append([]string{}, c.Management.Operators...) // never nil, which would obey whoever NATS lets publish

	var faults config.Faults
	e.NATS = engine.NATSOptions{
		CredsFile: c.NATS.CredsFile, NKeyFile: c.NATS.NKeyFile, User: c.NATS.User,
		Password: secret(c, "nats.password_file", c.NATS.PasswordFile, &faults),
		Token:    secret(c, "nats.token_file", c.NATS.TokenFile, &faults),
		TLS:      tlsConfig(c, &faults),
	}
	return e, faults.Err()
}

// secret reads the first line of a file.
func secret(c *config.Config, key, file string, faults *config.Faults) string {
	if file == "" {
		return ""
	}
	b, err := os.ReadFile(file)
	if err != nil {
		*faults = append(*faults, c.Fault(key, err.Error(), "name a file that the node may read"))
		return ""
	}
	line, _, _ := strings.Cut(string(b), "\n")
	if line = strings.TrimSuffix(line, "\r"); line == "" {
		*faults = append(*faults, c.Fault(key, "the first line of "+file+" is empty", "write the secret there"))
	}
	return line
}

// tlsConfig returns nil if [nats.tls] says nothing.
func tlsConfig(c *config.Config, faults *config.Faults) *tls.Config {
	t := &c.NATS.TLS
	if *t == (config.TLS{}) {
		return nil
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			*faults = append(*faults, c.Fault("nats.tls.ca_file", err.Error(), "name a file that the node may read"))
		} else if out.RootCAs = x509.NewCertPool(); !out.RootCAs.AppendCertsFromPEM(pem) {
			*faults = append(*faults, c.Fault("nats.tls.ca_file", t.CAFile+" holds no certificate", "name a file in PEM format"))
		}
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			*faults = append(*faults, c.Fault("nats.tls.cert_file", err.Error(), "name a certificate and its own key, in PEM format"))
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out
}

func roleOf(c *config.Channel) engine.Role {
	switch c.Role {
	case config.RoleReader:
		return engine.ReadOnly
	case config.RoleWriter:
		return engine.WriteOnly
	}
	return engine.RW
}

func joinOptions(c *config.Channel) []engine.JoinOption {
	start := map[string]engine.Start{config.StartJoin: engine.StartJoin, config.StartAll: engine.StartAll, config.StartNew: engine.StartNew}
	opts := []engine.JoinOption{engine.WithStart(start[c.Start])}
	if c.Ordering == config.OrderChannel {
		opts = append(opts, engine.WithOrdering(engine.OrderChannel))
	}
	if c.Expiry != nil {
		opts = append(opts, engine.WithExpiry(time.Duration(*c.Expiry)))
	}
	if len(c.AllowReaders) > 0 {
		opts = append(opts, engine.AllowReaders(c.AllowReaders...))
	}
	if len(c.AllowWriters) > 0 {
		opts = append(opts, engine.AllowWriters(c.AllowWriters...))
	}
	return opts
}
