package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/getevo/rmds/cmd/rmds-node/internal/admin"
	"github.com/getevo/rmds/cmd/rmds-node/internal/config"
	"github.com/spf13/cobra"
)

const (
	envSocket     = "RMDS_SOCKET" // the socket of the node to talk to
	envConfig     = "RMDS_CONFIG" // the configuration file
	defaultConfig = "/etc/rmds/node.toml"
)

// nodeFlags say which running node a command talks to.
type nodeFlags struct{ socket, config string }

func (f *nodeFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.socket, "socket", "", "the node's `socket` (default $"+envSocket+", else that of --config, else "+config.DefaultSocket+")")
	cmd.Flags().StringVar(&f.config, "config", "", "the node's configuration `file`, to find its socket")
	_ = cmd.MarkFlagFilename("config", "toml") // fails only for a flag that does not exist
}

// client returns a client of the node.
func (f *nodeFlags) client() (*admin.Client, error) {
	switch {
	case f.socket != "":
		return admin.NewClient(f.socket), nil
	case f.config != "":
		c, err := loadConfig(f.config)
		if err != nil {
			return nil, err
		}
		return admin.NewClient(c.Admin.Socket), nil
	case os.Getenv(envSocket) != "":
		return admin.NewClient(os.Getenv(envSocket)), nil
	}
	return admin.NewClient(config.DefaultSocket), nil
}

// configFlag adds --config to a command that needs the configuration itself.
func configFlag(cmd *cobra.Command, file *string) {
	otherwise := defaultConfig
	if e := os.Getenv(envConfig); e != "" {
		otherwise = e
	}
	cmd.Flags().StringVarP(file, "config", "c", otherwise, "the configuration `file` (default from $"+envConfig+" if set)")
	_ = cmd.MarkFlagFilename("config", "toml") // as above
}

func loadConfig(file string) (*config.Config, error) {
	c, err := config.Load(file)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: name it with --config, or write one with rmds-node config init FILE", err)
	}
	if err != nil {
		return nil, configError{err}
	}
	return c, nil
}
