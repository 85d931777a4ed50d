package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

const unitFile = "../../systemd/rmds-node.service"

// TestUnit holds that the service's command line is one that this program understands.
func TestUnit(t *testing.T) {
	unit, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, line := range strings.Split(string(unit), "\n") {
		command, ok := strings.CutPrefix(line, "ExecStart=/usr/bin/rmds-node ")
		if !ok {
			continue
		}
		found = true
		cmd, rest, err := newRootCommand().Find(strings.Fields(command))
		if err != nil || cmd.Name() != "run" {
			t.Fatalf("%q is the command %v, %v", command, cmd.Name(), err)
		}
		if err := cmd.ParseFlags(rest); err != nil {
			t.Errorf("%q: %v", command, err)
		}
	}
	if !found {
		t.Error("the unit starts nothing")
	}
}

// TestUnitExposure lets systemd judge the unit, where there is a systemd.
func TestUnitExposure(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("no systemd-analyze")
	}
	if out, err := exec.Command(analyze, "security", "--offline=true", "--threshold=15", unitFile).CombinedOutput(); err != nil {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		t.Errorf("exposed more than 1.5: %v: %s", err, lines[len(lines)-1])
	}
}
