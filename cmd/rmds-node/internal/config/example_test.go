package config

import (
	"bytes"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

// optional matches a key or table that the example carries behind a #.
var optional = regexp.MustCompile(`(?m)^#(\[\[?\w+\]\]?|\w+ = .*)$`)

func TestExampleIsTheDefault(t *testing.T) {
	t.Setenv(EnvNodeID, "box")
	got, err := Parse("/etc/rmds/node.toml", []byte(Example))
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Node.ID = "box"
	got.file, got.index = "", nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the example, read:\n%+v\nthe defaults:\n%+v", got, want)
	}
}

func TestExampleHasEveryKey(t *testing.T) {
	have := map[string]bool{}
	var tree map[string]any
	md, err := toml.Decode(optional.ReplaceAllString(Example, "$1"), &tree)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range md.Keys() {
		name := key.String()
		for _, list := range []string{"channel", "handler"} {
			if rest, ok := strings.CutPrefix(name, list+"."); ok {
				name = list + "[]." + rest
			}
		}
		have[name] = true
	}
	for _, key := range Keys() {
		if !have[key] {
			t.Errorf("the example lacks %s", key)
		}
	}
}

// TestExampleOptionalKeys reads the optional tables with the values that the example shows.
func TestExampleOptionalKeys(t *testing.T) {
	_, tables, _ := strings.Cut(Example, "# One table for each channel")
	c, err := Parse("/etc/rmds/node.toml", []byte("[node]\nid = \"box\"\n#"+optional.ReplaceAllString(tables, "$1")))
	if err != nil {
		t.Fatal(err)
	}
	var fresh Handler
	fresh.setDefaults()
	h := c.Handlers[0]
	if h.Timeout != fresh.Timeout || h.CPU != fresh.CPU || h.Memory != fresh.Memory || h.MaxAttempts != fresh.MaxAttempts {
		t.Errorf("the example shows %v, %v, %v, %d for a handler; the defaults are %v, %v, %v, %d",
			h.Timeout, h.CPU, h.Memory, h.MaxAttempts, fresh.Timeout, fresh.CPU, fresh.Memory, fresh.MaxAttempts)
	}
	if h.Module != "/etc/rmds/alarm.wasm" {
		t.Errorf("module = %s; want it beside the configuration file", h.Module)
	}
}

// TestExampleSaysTheDefault holds that the words before every key name its default.
func TestExampleSaysTheDefault(t *testing.T) {
	said := false
	for _, line := range strings.Split(Example, "\n") {
		switch {
		case strings.HasPrefix(line, "# "):
			said = said || strings.Contains(line, "Default") || strings.Contains(line, "No default")
		case regexp.MustCompile(`^#?\w+ = `).MatchString(line):
			if !said {
				t.Errorf("no default is stated above: %s", line)
			}
			said = false
		}
	}
}

func TestExampleIsShipped(t *testing.T) {
	shipped, err := os.ReadFile("../../../../node.toml.example")
	if err != nil {
		t.Fatal(err)
	}
	if string(shipped) != Example {
		t.Error("node.toml.example at the root of the repository differs from the one in the binary: copy it")
	}
}

func TestPrintReadsBack(t *testing.T) {
	c, err := Parse("/etc/rmds/node.toml", []byte(full))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := c.Print(&b); err != nil {
		t.Fatal(err)
	}
	// What the file leaves alone is now written out, and an embedded server refuses a list of servers.
	again, err := Parse("/elsewhere/node.toml", b.Bytes())
	if err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	c.file, c.index, again.file, again.index = "", nil, "", nil
	if !reflect.DeepEqual(c, again) {
		t.Errorf("printed and read back:\n%+v\nwant:\n%+v", again, c)
	}
}
