package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/BurntSushi/toml"
)

// EnvNodeID is the environment variable that names the node where the file does not.
const EnvNodeID = "RMDS_NODE_ID"

// Load reads and checks a configuration file. A file that cannot be read and one that holds faults are both errors of
// the operator's configuration; the second kind is Faults.
func Load(path string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return Parse(path, data)
}

// Parse reads and checks a configuration that came from the named file. File names in it become absolute, and the
// node id is filled in. The error is Faults.
func Parse(file string, data []byte) (*Config, error) {
	if abs, err := filepath.Abs(file); err == nil && file != "-" {
		file = abs
	}
	c := Default()
	c.file = file
	src := strings.TrimPrefix(string(data), "\ufeff")
	var tree map[string]any
	if _, err := toml.Decode(src, &tree); err != nil {
		return nil, Faults{syntaxFault(file, err)}
	}
	c.index = newIndex(src)
	b := &binder{c: c}
	b.table("", tree, reflect.ValueOf(c).Elem())
	c.complete()
	// A value that did not fit has left its default behind; what is then said about that default would mislead.
	bound := map[string]bool{}
	for _, f := range b.faults {
		bound[f.Key] = true
	}
	for _, f := range c.validate() {
		if !bound[f.Key] {
			b.faults = append(b.faults, f)
		}
	}
	if err := b.faults.Err(); err != nil {
		return nil, err
	}
	return c, nil
}

func syntaxFault(file string, err error) Fault {
	var p toml.ParseError
	if !errors.As(err, &p) {
		return Fault{File: file, Message: err.Error()}
	}
	f := Fault{File: file, Line: p.Position.Line, Col: p.Position.Col, Key: p.LastKey, Message: p.Message}
	if strings.Contains(p.Message, "already been defined") {
		f.Hint = "keep one of the two"
	}
	return f
}

// complete fills in what the file leaves to its surroundings.
func (c *Config) complete() {
	if c.Node.ID == "" {
		c.Node.ID = os.Getenv(EnvNodeID)
	}
	if c.Node.ID == "" {
		if host, err := os.Hostname(); err == nil {
			c.Node.ID, _, _ = strings.Cut(host, ".")
		}
	}
	for _, path := range []*string{
		&c.Node.DataDir, &c.NATS.LeafCredsFile, &c.NATS.CredsFile, &c.NATS.NKeyFile, &c.NATS.PasswordFile, &c.NATS.TokenFile,
		&c.NATS.TLS.CAFile, &c.NATS.TLS.CertFile, &c.NATS.TLS.KeyFile, &c.Admin.Socket,
	} {
		*path = c.resolve(*path)
	}
	for i := range c.Handlers {
		c.Handlers[i].Module = c.resolve(c.Handlers[i].Module)
	}
}
