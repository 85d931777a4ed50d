package handlers

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	stats "github.com/getevo/rmds/handlers/stats-wat"
)

func buildGo(t *testing.T, folder string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "h.wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", out, "./"+folder)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, text)
	}
	wasm, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

func TestBothAgree(t *testing.T) {
	config := map[string]string{}
	g, w := load(t, buildGo(t, "go-stats"), config), load(t, stats.Module, config)
	if g.init() != 0 || w.init() != 0 {
		t.Fatal("init")
	}
	alerts, rejects := 0, 0
	for _, in := range inputs() {
		gr, wr := g.handle(in), w.handle(in)
		if gr != wr || g.reason != w.reason || !slices.Equal(g.replies, w.replies) || !slices.Equal(g.sent, w.sent) ||
			!maps.EqualFunc(g.kv, w.kv, slices.Equal) {
			t.Fatalf("input %q\ngo  %d %q %q %q\nwat %d %q %q %q\n%q\n%q", in, gr, g.reason, g.replies, g.sent, wr, w.reason, w.replies, w.sent, g.kv, w.kv)
		}
		alerts += len(g.sent)
		if gr == 65 {
			rejects++
		}
	}
	t.Log(len(inputs()), alerts, rejects, len(g.kv), string(g.kv["mean/load1"]), string(g.kv["count"]), string(g.kv["duplicates"]), string(g.kv["out_of_order"]))
}

func inputs() []string {
	r := rand.New(rand.NewPCG(1, 2))
	var in []string
	for n := 1; n < 500; n++ {
		v := fmt.Sprintf("%.*f", r.IntN(7), r.NormFloat64()*float64(int(1)<<r.IntN(12)))
		in = append(in, fmt.Sprintf(`{"n":%d,"metric":"%s","value":%s}`, n-r.IntN(3)/2*r.IntN(5), []string{"load1", "net.eth0/rx", "a_b-C"}[r.IntN(3)], v))
	}
	good := in[400]
	for i := range good {
		in = append(in, good[:i], good[:i]+good[i+1:], good[:i]+"0"+good[i:], good[:i]+"-"+good[i+1:])
	}
	return append(in, strings.Repeat("x", 257))
}
