package config

import (
	"fmt"
	"sort"
	"strings"
)

// Fault is one thing that is wrong with a configuration, with its place and what to do about it.
type Fault struct {
	File      string
	Line, Col int    // from 1; 0 where the file has no such place (a key that is missing from a missing table)
	Key       string // the full name, such as delivery.keepalive_interval or handler[0].module; may be empty
	Message   string
	Hint      string // the remedy; may be empty
}

// Error returns "file:line:column: key: message; hint".
func (f Fault) Error() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", f.Line, f.Col)
	}
	if f.Key != "" {
		b.WriteString(": " + f.Key)
	}
	b.WriteString(": " + f.Message)
	if f.Hint != "" {
		b.WriteString("; " + f.Hint)
	}
	return b.String()
}

// Faults is everything that is wrong with one configuration, in the order of the file. It is the error that Load,
// Parse and whoever checks a configuration against the world return; it is never empty.
type Faults []Fault

// Error returns one line for each fault.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.Error()
	}
	return strings.Join(lines, "\n")
}

// Err returns the faults as an error, nil if there is none.
func (fs Faults) Err() error {
	if len(fs) == 0 {
		return nil
	}
	sort.SliceStable(fs, func(i, j int) bool {
		if fs[i].Line != fs[j].Line {
			return fs[i].Line < fs[j].Line
		}
		return fs[i].Col < fs[j].Col
	})
	return fs
}
