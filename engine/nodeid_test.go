package engine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/getevo/rmds/engine/internal/bus"
)

func TestIDPath(t *testing.T) {
	for _, tt := range []struct{ storage, want string }{
		{"./rmds-{nodeID}.db", "./rmds-node.id"},
		{"/var/lib/rmds/{nodeID}.db", "/var/lib/rmds/node.id"},
		{"/var/lib/rmds/{nodeID}/log.db", "/var/lib/rmds/node.id"},
		{"{nodeID}", "node.id"},
		{"data/log.db", "data/log.db.id"},
	} {
		if got := idPath(filepath.FromSlash(tt.storage)); got != filepath.FromSlash(tt.want) {
			t.Errorf("%s: %s, want %s", tt.storage, got, tt.want)
		}
	}
}

// anonymous starts a node without an id in dir.
func anonymous(t *testing.T, dir string) (*Connection, error) {
	cfg := DefaultConfig()
	cfg.Logger = testLogger(t)
	cfg.StoragePath = filepath.Join(dir, "rmds-{nodeID}.db")
	net := bus.NewNetwork(1)
	cfg.bus = func(c *Config) (busLink, error) { return net.Connect(c.NodeID), nil }
	return New(cfg)
}

// TestGeneratedNodeID shows that a node without a configured id keeps the one that it was given first, database and
// all, that two nodes of one directory do not share it, and that a damaged file is no reason to become somebody else.
func TestGeneratedNodeID(t *testing.T) {
	dir := t.TempDir()
	first, err := anonymous(t, dir)
	check(t, err)
	id := first.NodeID()
	if CheckNodeID(id) != nil || !strings.HasPrefix(id, "node-") {
		t.Errorf("generated id %q", id)
	}
	if _, err := os.Stat(filepath.Join(dir, "rmds-"+id+".db")); err != nil {
		t.Error(err)
	}
	if second, err := anonymous(t, dir); err == nil {
		t.Errorf("a second node in the directory is %s", second.NodeID())
		check(t, second.Close())
	}
	check(t, first.Close())

	again, err := anonymous(t, dir)
	check(t, err)
	if again.NodeID() != id {
		t.Errorf("after a restart the node is %s, it was %s", again.NodeID(), id)
	}
	check(t, again.Close())

	check(t, os.WriteFile(filepath.Join(dir, "rmds-node.id"), make([]byte, 22), 0o600))
	if _, err = anonymous(t, dir); !errors.Is(err, ErrBadName) || !strings.Contains(err.Error(), "rmds-node.id") {
		t.Errorf("with a damaged file: %v", err)
	}
}
