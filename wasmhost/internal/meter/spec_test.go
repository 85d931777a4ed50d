package meter

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// TestSpecification runs the WebAssembly specification's own tests of core 2.0 twice, plain and metered, and holds that
// nothing tells the two apart: the same modules are taken, the same calls return the same bits or trap for the same reason,
// and memories end equal. Whether the plain results are right is wazero's own test, from whose module the files come.
func TestSpecification(t *testing.T) {
	if testing.Short() {
		t.Skip("runs for a while")
	}
	dir := specDir(t)
	scripts, err := filepath.Glob(filepath.Join(dir, "v2", "testdata", "*.json"))
	if err != nil || len(scripts) == 0 {
		t.Skipf("wazero's module in the module cache carries no specification tests (%v)", err)
	}
	var total tally
	for _, script := range scripts {
		name := strings.TrimSuffix(filepath.Base(script), ".json")
		run := func(t *testing.T, expandRem bool) {
			r := newSpecRun(t, dir, filepath.Dir(script), expandRem)
			r.script(script)
			total.add(r.tally)
		}
		t.Run(name, func(t *testing.T) { run(t, false) })
		if strings.HasPrefix(name, "i32") || strings.HasPrefix(name, "i64") || strings.HasPrefix(name, "int_") {
			t.Run(name+" with remainders expanded", func(t *testing.T) { run(t, true) })
		}
	}
	t.Logf("%d scripts: %d modules, %d calls and reads, %d refused modules; %d steps set aside, %d differ", len(scripts), total.modules,
		total.calls, total.rejected, total.setAside, total.different)
	if !t.Failed() && (total.modules < 1000 || total.calls < 20_000 || total.rejected < 500 || total.setAside > 400) {
		t.Errorf("that is less than the specification has: the test does not test")
	}
}

// specDir is where wazero keeps the specification's tests.
func specDir(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	if err != nil {
		t.Skipf("no module cache to look into: %v", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "internal", "integration_test", "spectest")
}

type tally struct{ modules, calls, rejected, setAside, different int }

func (t *tally) add(o tally) {
	t.modules += o.modules
	t.calls += o.calls
	t.rejected += o.rejected
	t.setAside += o.setAside
	t.different += o.different
}

// specRun runs one script in two worlds.
type specRun struct {
	tally
	t     *testing.T
	dir   string
	plain *world
	meter *world
	where string // in the script
}

// world is a runtime with the modules that a script has made.
type world struct {
	rt        wazero.Runtime
	metered   bool
	expandRem bool
	last      api.Module
	named     map[string]api.Module
	all       []api.Module
}

// command is a step of a script in wast2json's form.
type command struct {
	Type     string
	Line     int
	Name     string
	Filename string
	As       string
	Action   action
	Module   string `json:"module_type"`
}

type action struct {
	Type   string
	Module string
	Field  string
	Args   []specValue
}

type specValue struct {
	Type  string
	Lane  string `json:"lane_type"`
	Value any
}

func newSpecRun(t *testing.T, dir, scripts string, expandRem bool) *specRun {
	r := &specRun{t: t, dir: scripts}
	base, err := os.ReadFile(filepath.Join(dir, "testdata", "spectest.wasm"))
	if err != nil {
		t.Skipf("the host module of the specification's tests: %v", err)
	}
	for _, w := range []**world{&r.plain, &r.meter} {
		*w = &world{rt: newRuntime(t, 64), metered: w == &r.meter, expandRem: expandRem, named: map[string]api.Module{}}
		if _, err := (*w).instantiate(base, "spectest"); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func (r *specRun) script(path string) {
	b, err := os.ReadFile(path)
	if err != nil {
		r.t.Fatal(err)
	}
	var s struct{ Commands []command }
	if err := json.Unmarshal(b, &s); err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(s.Commands); i++ {
		c := &s.Commands[i]
		r.where = fmt.Sprintf("line %d, %s", c.Line, c.Type)
		switch c.Type {
		case "module":
			as := "" // a module's registered name must be given as it is made
			if i+1 < len(s.Commands) && s.Commands[i+1].Type == "register" {
				i++
				as = s.Commands[i].As
			}
			r.module(c, as)
		case "action", "assert_return", "assert_trap", "assert_exhaustion":
			if c.Type == "assert_trap" && c.Filename != "" {
				r.refused(c)
			} else {
				r.act(&c.Action)
			}
		case "assert_invalid", "assert_malformed", "assert_uninstantiable", "assert_unlinkable":
			if c.Module != "text" {
				r.refused(c)
			}
		case "register":
			r.t.Fatalf("%s: of a module that is made already", r.where)
		default:
			r.t.Errorf("%s: unknown", r.where)
		}
	}
	for i, m := range r.plain.all {
		r.sameMemory(m, r.meter.all[i])
	}
}

func (r *specRun) differ(format string, args ...any) {
	r.different++
	r.t.Errorf("%s: %s", r.where, fmt.Sprintf(format, args...))
}

func (r *specRun) read(name string) []byte {
	b, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

func (r *specRun) module(c *command, as string) {
	wasm := r.read(c.Filename)
	var plain, metered api.Module
	metered, merr := r.meter.instantiate(wasm, as)
	if !byDesign(merr) {
		var perr error
		plain, perr = r.plain.instantiate(wasm, as)
		if both := perr != nil && merr != nil && r.setAside > 0; !both && (perr != nil || merr != nil) {
			r.t.Fatalf("%s: plain: %v; metered: %v", r.where, perr, merr)
		}
	}
	if plain == nil { // refused by design, or it imports from one that is
		r.setAside++
		metered = nil
	}
	r.modules++
	r.plain.keep(plain, c.Name, as)
	r.meter.keep(metered, c.Name, as)
}

// byDesign reports whether metering refuses a good module because it wants to: see Parse.
func byDesign(err error) bool {
	return errors.Is(err, errMeter) && (strings.Contains(err.Error(), "only functions can be imported") ||
		strings.Contains(err.Error(), "instruction 0xfc 0 ")) // written with more bytes than needed
}

// refused holds that a module which is no module plain is none metered.
func (r *specRun) refused(c *command) {
	wasm := r.read(c.Filename)
	_, merr := r.meter.instantiate(wasm, "")
	if byDesign(merr) {
		r.setAside++ // it might change what it imports before it fails
		return
	}
	_, perr := r.plain.instantiate(wasm, "")
	switch {
	case perr == nil: // wazero takes what the specification does not
		return
	case strings.Contains(perr.Error(), "section custom"), strings.Contains(perr.Error(), "over limit of 65536 pages"):
		return // metering leaves custom sections out, and lowers the maximum of memories
	}
	r.rejected++
	if merr == nil {
		r.differ("plain: %v; metered: taken", perr)
	}
}

// errMeter marks what Instrument refuses.
var errMeter = errors.New("meter")

func (w *world) instantiate(wasm []byte, name string) (api.Module, error) {
	if w.metered {
		m, err := Parse(wasm)
		if err == nil {
			wasm, err = m.Instrument(Config{MaxPages: 1 << 16, MaxElements: 1<<32 - 1, ImportCost: 10, ExpandRem: w.expandRem})
		}
		if err != nil {
			return nil, errors.Join(errMeter, err)
		}
	}
	return w.rt.InstantiateWithConfig(context.Background(), wasm, wazero.NewModuleConfig().WithName(name).WithStartFunctions())
}

func (w *world) keep(m api.Module, names ...string) {
	w.last = m
	if m != nil {
		w.all = append(w.all, m)
	}
	for _, n := range names {
		if n != "" {
			w.named[n] = m
		}
	}
}

// act calls a function or reads a global in both worlds.
func (r *specRun) act(a *action) {
	if r.plain.target(a) == nil {
		r.setAside++
		return
	}
	r.calls++
	plain, types, perr := r.plain.do(a)
	metered, _, merr := r.meter.do(a)
	if firstLine(perr) != firstLine(merr) {
		r.differ("%s: plain ends with %q, metered with %q", a.Field, firstLine(perr), firstLine(merr))
		return
	}
	for i := range plain {
		if i < len(types) && types[i] == typeFuncref { // an address
			plain[i], metered[i] = min(plain[i], 1), min(metered[i], 1)
		}
	}
	if !slices.Equal(plain, metered) {
		r.differ("%s%v: plain %x, metered %x", a.Field, a.Args, plain, metered)
	}
}

// target is the module that an action is about; nil if it was set aside.
func (w *world) target(a *action) api.Module {
	if a.Module != "" {
		return w.named[a.Module]
	}
	return w.last
}

func (w *world) do(a *action) ([]uint64, []api.ValueType, error) {
	m := w.target(a)
	if a.Type == "get" {
		g := m.ExportedGlobal(a.Field)
		return []uint64{g.Get()}, []api.ValueType{g.Type()}, nil
	}
	var args []uint64
	for _, v := range a.Args {
		args = append(args, v.bits()...)
	}
	f := m.ExportedFunction(a.Field)
	results, err := f.Call(context.Background(), args...)
	types := f.Definition().ResultTypes()
	if slices.Contains(types, api.ValueType(typeV128)) { // two words each
		types = nil
	}
	return results, types, err
}

func firstLine(err error) string {
	if err == nil {
		return ""
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

func (r *specRun) sameMemory(plain, metered api.Module) {
	for name := range plain.ExportedMemoryDefinitions() {
		p, m := plain.ExportedMemory(name), metered.ExportedMemory(name)
		a, aok := p.Read(0, p.Size())
		b, bok := m.Read(0, m.Size())
		if aok != bok || !bytes.Equal(a, b) {
			r.differ("the memories end unequal: %d and %d bytes", len(a), len(b))
		}
	}
}

// bits is a value as wazero passes it.
func (v specValue) bits() []uint64 {
	if lanes, ok := v.Value.([]any); ok {
		width, err := strconv.Atoi(strings.TrimLeft(v.Lane, "if"))
		if err != nil {
			panic(err)
		}
		out := make([]uint64, 2)
		for i, lane := range lanes {
			at := i * width
			out[at/64] |= parseBits(lane.(string), width) << (at % 64)
		}
		return out
	}
	s, _ := v.Value.(string)
	switch {
	case s == "" || s == "null":
		return []uint64{0}
	case v.Type == "externref":
		return []uint64{parseBits(s, 64) + 1} // 0 is null
	case strings.HasSuffix(v.Type, "32"):
		return []uint64{parseBits(s, 32)}
	}
	return []uint64{parseBits(s, 64)}
}

func parseBits(s string, width int) uint64 {
	if u, err := strconv.ParseUint(s, 10, width); err == nil {
		return u
	}
	i, err := strconv.ParseInt(s, 10, width)
	if err != nil {
		panic(err)
	}
	return uint64(i) & (1<<width - 1)
}
