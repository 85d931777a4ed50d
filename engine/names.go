package engine

import (
	"fmt"
	"strings"
)

// Limits of names, in bytes. They keep every subject well below what nats-server accepts.
const (
	maxNodeName    = 64
	maxChannelName = 128
)

func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c == '-' || c == '_' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z') {
			return false
		}
	}
	return s != ""
}

// CheckNodeID reports whether id can name a node: one token of A-Z a-z 0-9 _ and -, 1 to 64 bytes.
// The error wraps ErrBadName.
func CheckNodeID(id string) error {
	if len(id) > maxNodeName || !isToken(id) {
		return fmt.Errorf("%w: node id %q: use 1 to %d characters of A-Z a-z 0-9 _ -", ErrBadName, id, maxNodeName)
	}
	return nil
}

// CheckChannel reports whether name can name a channel: tokens of A-Z a-z 0-9 _ and - joined by dots, 1 to 128 bytes.
// The error wraps ErrBadName.
func CheckChannel(name string) error {
	if len(name) > maxChannelName {
		return fmt.Errorf("%w: channel %.20q...: %d bytes, at most %d", ErrBadName, name, len(name), maxChannelName)
	}
	for _, t := range strings.Split(name, ".") {
		if !isToken(t) {
			return fmt.Errorf("%w: channel %q: use tokens of A-Z a-z 0-9 _ - joined by dots, for example plant.temperature", ErrBadName, name)
		}
	}
	return nil
}
