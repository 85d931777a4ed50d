package admin

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// ErrInUse: another process listens on the socket.
var ErrInUse = errors.New("another process listens there")

// listen opens a Unix socket with mode 0660. A socket that nobody listens on any more is removed first; anything else
// that has the name is left alone.
func listen(socket string) (net.Listener, error) {
	if err := removeStale(socket); err != nil {
		return nil, fmt.Errorf("admin socket %s: %w", socket, err)
	}
	if err := os.MkdirAll(filepath.Dir(socket), 0o750); err != nil {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	// Until here the mode is what the umask leaves of 0777. Connecting takes the permission to write.
	if err := os.Chmod(socket, 0o660); err != nil {
		return nil, errors.Join(fmt.Errorf("admin socket: %w", err), l.Close())
	}
	return l, nil
}

// removeStale removes a stale socket. Only a refused connection proves that nobody listens.
func removeStale(socket string) error {
	info, err := os.Lstat(socket)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return errors.New("there is a file of that name which is not a socket: remove it or choose another name")
	}
	c, err := net.DialTimeout("unix", socket, 5*time.Second)
	if err == nil {
		return errors.Join(ErrInUse, c.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(socket)
}
