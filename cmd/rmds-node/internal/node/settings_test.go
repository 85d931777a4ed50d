package node

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/getevo/rmds/cmd/rmds-node/internal/config"
	"github.com/getevo/rmds/engine"
)

func parse(t *testing.T, file, text string) *config.Config {
	t.Helper()
	t.Setenv(config.EnvNodeID, "box")
	c, err := config.Parse(file, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestDefaults holds that the program's defaults are the engine's, but for those that it means to change.
func TestDefaults(t *testing.T) {
	got, err := engineConfig(parse(t, "/etc/rmds/node.toml", config.Example))
	if err != nil {
		t.Fatal(err)
	}
	want := engine.DefaultConfig()
	want.NodeID = "box"
	want.StoragePath = "/var/lib/rmds/rmds-box.db"
	want.MessageExpiry = 0      // users of a node have outages of days
	want.Observe = false        // a fleet of nodes need not hear each other
	want.Operators = []string{} // nobody manages a node over NATS unless its configuration says who
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the defaults make\n%+v\nwant\n%+v", got, want)
	}
}

func TestSettings(t *testing.T) {
	dir := t.TempDir()
	password := put(t, dir, "password", "s3cr3t \r\nsecond line\n")
	c := parse(t, "/etc/rmds/node.toml", `
[nats]
servers = ["nats://a:1", "nats://b:2"]
prefix = "x."
user = "u"
password_file = "`+password+`"
[delivery]
compression = false
keepalive_interval = "1s"
message_expiry = "1d"
max_message_bytes = "1KiB"
max_retry_attempts = 3
`)
	e, err := engineConfig(c)
	if err != nil {
		t.Fatal(err)
	}
	if e.NATS.User != "u" || e.NATS.Password != "s3cr3t " || e.NATS.TLS != nil || len(e.NATSServers) != 2 || e.NATSPrefix != "x." {
		t.Errorf("NATS settings are %+v", e)
	}
	if e.EnableCompression || e.KeepaliveInterval != time.Second || e.MessageExpiry != 24*time.Hour || e.MaxMessageBytes != 1024 || e.MaxRetryAttempts != 3 {
		t.Errorf("delivery settings are %+v", e)
	}
}

func TestTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key := keyPair(t, dir)
	c := parse(t, "/etc/rmds/node.toml", "[nats.tls]\nca_file = \""+cert+"\"\ncert_file = \""+cert+"\"\nkey_file = \""+key+"\"\nserver_name = \"nats.example.org\"\n")
	e, err := engineConfig(c)
	if err != nil {
		t.Fatal(err)
	}
	if n := e.NATS.TLS; n == nil || n.ServerName != "nats.example.org" || n.RootCAs == nil || len(n.Certificates) != 1 {
		t.Errorf("TLS settings are %+v", n)
	}
}

// TestBadFiles holds that files which are there and hold nonsense are faults at their keys.
func TestBadFiles(t *testing.T) {
	dir := t.TempDir()
	empty := put(t, dir, "empty", "\n")
	c := parse(t, "/etc/rmds/node.toml", "[nats]\ntoken_file = \""+empty+"\"\n[nats.tls]\nca_file = \""+empty+"\"\ncert_file = \""+empty+"\"\nkey_file = \""+empty+"\"\n")
	_, err := engineConfig(c)
	var faults config.Faults
	if !errors.As(err, &faults) || len(faults) != 3 {
		t.Fatalf("faults: %v", err)
	}
	for i, want := range []string{
		"/etc/rmds/node.toml:2:14: nats.token_file: the first line of " + empty + " is empty",
		"/etc/rmds/node.toml:4:11: nats.tls.ca_file: " + empty + " holds no certificate",
		"/etc/rmds/node.toml:5:13: nats.tls.cert_file: ",
	} {
		if !strings.HasPrefix(faults[i].Error(), want) {
			t.Errorf("fault %d is %v, want %s", i, faults[i], want)
		}
	}
}

func put(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// keyPair writes a self-signed certificate and its key.
func keyPair(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "box"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return put(t, dir, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))),
		put(t, dir, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})))
}
