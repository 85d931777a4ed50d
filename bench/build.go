package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// build makes the programs that are measured, with the toolchain that runs this one. Call it in the folder of this module.
func build(dir string) (t tools, err error) {
	t = tools{natsServer: filepath.Join(dir, "nats-server"), node: filepath.Join(dir, "rmds-node"), guest: filepath.Join(dir, "guest.wasm")}
	for _, b := range []struct {
		dir, out, pkg string
		flags, env    []string
	}{
		{".", t.natsServer, "github.com/nats-io/nats-server/v2", []string{"-ldflags=-s -w", "-trimpath"}, []string{"CGO_ENABLED=0"}},
		{"..", t.node, "./cmd/rmds-node", []string{"-ldflags=-s -w", "-trimpath"}, []string{"CGO_ENABLED=0"}},
		{".", t.guest, "./guest", []string{"-buildmode=c-shared"}, []string{"GOOS=wasip1", "GOARCH=wasm"}},
	} {
		cmd := exec.Command("go", slices.Concat([]string{"build", "-o", b.out}, b.flags, []string{b.pkg})...)
		cmd.Dir, cmd.Env, cmd.Stderr = b.dir, append(os.Environ(), b.env...), os.Stderr
		if err := cmd.Run(); err != nil {
			return t, fmt.Errorf("build %s: %w", b.pkg, err)
		}
	}
	for _, path := range []string{"mosquitto", "/usr/sbin/mosquitto"} {
		if found, err := exec.LookPath(path); err == nil {
			t.mosquitto = found
			break
		}
	}
	return t, nil
}
