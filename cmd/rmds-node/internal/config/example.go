package config

import (
	_ "embed"
	"fmt"
	"io"

	"github.com/BurntSushi/toml"
)

// Example is node.toml.example: every key with its default, unit and range.
//
//go:embed node.toml.example
var Example string

// Print writes the configuration in force as TOML that Parse reads back to the same. It holds no secret but what the
// operator wrote into a handler's config or env: the others are in files, which are named, not read.
func (c *Config) Print(w io.Writer) error {
	e := toml.NewEncoder(w)
	e.Indent = ""
	shown := *c
	if c.NATS.Embedded { // of the two ways to NATS only the one in use; the keys of the other would be faults
		shown.NATS.Servers = nil
	} else {
		shown.NATS.Listen = ""
	}
	if err := e.Encode(&shown); err != nil {
		return fmt.Errorf("print configuration: %w", err)
	}
	return nil
}
