package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// nodeIDMark stands for the node id in Config.StoragePath.
const nodeIDMark = "{nodeID}"

// idFile holds the generated id of a node whose configuration names none. The node keeps it locked while it runs, so
// that two programs started in one directory do not become one node.
//
//	rmds-node.id       the id and a newline; minted once, on disk before its first use, never changed
//	rmds-node.id.lock  empty; locked while the node runs
type idFile struct{ lock *os.File }

// idPath is where the generated id of a storage path lies: beside the database, whose own name may contain the id.
func idPath(storage string) string {
	before, after, marked := strings.Cut(filepath.ToSlash(storage), nodeIDMark)
	if !marked {
		return storage + ".id"
	}
	if dir, _, deeper := strings.Cut(after, "/"); deeper { // the mark names a directory
		after = dir
	}
	return filepath.FromSlash(before + "node" + strings.TrimSuffix(after, filepath.Ext(after)) + ".id")
}

// openNodeID returns the id in the file, and mints it if there is none yet.
func openNodeID(path string) (id string, f *idFile, err error) {
	lock, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", nil, err
	}
	f = &idFile{lock}
	if err := lockIDFile(lock); err != nil {
		return "", nil, errors.Join(fmt.Errorf("another running node has generated its id there: set NodeID, or use another directory (%w)", err), f.close())
	}
	if id, err = readNodeID(path); errors.Is(err, fs.ErrNotExist) {
		id = fmt.Sprintf("node-%016x", randomID())
		err = writeDurably(path, id+"\n")
	}
	if err != nil {
		return "", nil, errors.Join(err, f.close())
	}
	return id, f, nil
}

func readNodeID(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	id := strings.TrimSpace(string(b))
	if err := CheckNodeID(id); err != nil {
		return "", fmt.Errorf("%s does not hold a node id: write the old one there, or set NodeID: %w", path, err)
	}
	return id, nil
}

// writeDurably makes a file appear whole or not at all, also when the power fails.
func writeDurably(path, content string) error {
	tmp, err := os.Create(path + ".new")
	if err != nil {
		return err
	}
	_, err = tmp.WriteString(content)
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// close gives up the lock. A nil idFile, of a node whose id was configured, holds none.
func (f *idFile) close() error {
	if f == nil {
		return nil
	}
	return f.lock.Close()
}
