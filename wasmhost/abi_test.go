package wasmhost

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero/api"

	"github.com/getevo/rmds/wasmhost/internal/meter"
)

// The tests in this file read docs/handler-abi.md.

func abiDocument(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile("../docs/handler-abi.md")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(b), "\n")
}

// table returns the rows of the table whose first column has the given title, without back-quotes.
func table(t *testing.T, first string) (rows [][]string) {
	t.Helper()
	in := false
	for _, line := range abiDocument(t) {
		if !strings.HasPrefix(line, "|") {
			in = false
			continue
		}
		var cells []string
		for _, c := range strings.Split(strings.Trim(line, "|"), "|") {
			cells = append(cells, strings.Trim(strings.TrimSpace(c), "`"))
		}
		switch {
		case cells[0] == first:
			in = true
		case in && !strings.HasPrefix(cells[0], "---"):
			rows = append(rows, cells)
		}
	}
	if len(rows) == 0 {
		t.Fatalf("no table %q", first)
	}
	return rows
}

func TestDocumentedResults(t *testing.T) {
	kinds := map[string]Kind{"ack": Ack, "retry": Retry, "reject": Reject, "failed": Failed}
	for _, row := range table(t, "result") {
		results := []string{row[0]}
		if row[0] == "other" {
			results = []string{"1", "-1", "64", "66", "74", "76", "2147483647"}
		}
		for _, r := range results {
			g := loadWAT(t, `(func (export "rmds_handle") (result i32) i32.const `+r+`)`)
			if o := g.run(t, message(""), newEffects()); o.Kind != kinds[row[1]] {
				t.Errorf("result %s: %v, documented %s", r, o.Kind, row[1])
			}
		}
	}
}

func TestDocumentedFunctions(t *testing.T) {
	rows := table(t, "function")
	if len(rows) != len(hostFuncs) {
		t.Errorf("%d functions documented, %d there", len(rows), len(hostFuncs))
	}
	for i, row := range rows {
		f := hostFuncs[i]
		params := 0
		if row[1] != "" {
			params = len(strings.Split(row[1], ","))
		}
		result := map[string]int{"length": 1, "0": 1, "i64": 1, "none": 0}
		if f.name != row[0] || f.params != params || len(f.results) != result[row[2]] {
			t.Errorf("documented %q, implemented %s with %d parameters and results %v", row, f.name, f.params, f.results)
		}
		if len(f.results) == 1 && (f.results[0] == api.ValueTypeI64) != (row[2] == "i64") {
			t.Errorf("%s: documented result %s", f.name, row[2])
		}
	}
}

func TestDocumentedCodes(t *testing.T) {
	want := map[string]int{"absent": codeAbsent, "not permitted": codeNotPermitted, "over a limit": codeOverLimit,
		"bad argument": codeBadArgument}
	for _, row := range table(t, "code") {
		word, _, _ := strings.Cut(row[1], ":")
		if code, ok := want[word]; !ok || fmt.Sprint(code) != row[0] {
			t.Errorf("%q", row)
		}
		delete(want, word)
	}
	if len(want) > 0 {
		t.Errorf("not documented: %v", want)
	}
}

func TestDocumentedExports(t *testing.T) {
	types := map[string]string{exportMemory: "memory", exportHandle: "() -> (i32)", exportInitialize: "() -> ()",
		exportInit: "() -> (i32)", exportStart: "() -> ()"}
	for _, row := range table(t, "export") {
		if types[row[0]] != row[1] {
			t.Errorf("%q, want %q", row, types[row[0]])
		}
		delete(types, row[0])
	}
	if len(types) > 0 {
		t.Errorf("not documented: %v", types)
	}
}

func TestDocumentedLimits(t *testing.T) {
	limits := reflect.ValueOf(DefaultLimits())
	rows := table(t, "limit")
	if len(rows) != limits.NumField() {
		t.Errorf("%d limits documented, %d there", len(rows), limits.NumField())
	}
	for _, row := range rows {
		f := limits.FieldByName(row[0])
		if !f.IsValid() || fmt.Sprint(f.Interface()) != row[1] {
			t.Errorf("%q, want %v", row, f)
		}
	}
}

func TestDocumentedMessageKeys(t *testing.T) {
	msg := message("x")
	msg.InReplyTo = "m-0"
	msg.Headers = map[string]string{"NAME": "value"}
	s := &script{}
	rows := table(t, "key")
	keys := 0
	for _, row := range rows {
		if row[0] != "reason" && row[0] != "retry-after-ms" { // those of note
			s.call("msg_get", row[0], buffer(64))
			keys++
		}
	}
	codes, _, _ := s.run(t, msg, newEffects())
	for i, c := range codes {
		if c <= 0 {
			t.Errorf("%s: %d", rows[i][0], c)
		}
	}
	if keys != 11 {
		t.Errorf("%d keys documented", keys)
	}
}

func TestDocumentedCommandEnvironment(t *testing.T) {
	variables := map[string]string{}
	for _, row := range table(t, "where") {
		if name, ok := strings.CutPrefix(row[0], "RMDS_"); ok {
			variables[name] = row[1]
		}
	}
	for _, key := range []string{"id", "channel", "sender", "created", "attempt", "in-reply-to", "deadline-ms"} {
		if !strings.HasPrefix(variables[envName(key)], "`"+key) && !strings.HasPrefix(variables[envName(key)], key) {
			t.Errorf("%s: documented as %q", key, variables[envName(key)])
		}
	}
}

func TestDocumentedNumbers(t *testing.T) {
	text := strings.Join(strings.Fields(strings.Join(abiDocument(t), " ")), " ")
	for _, want := range []string{
		fmt.Sprintf("cut at %d bytes; bytes that are not UTF-8", maxReason),
		fmt.Sprintf("at most %d (a day", maxRetryAfter.Milliseconds()),
		fmt.Sprintf("1 to %d letters", maxHeadKey),
		fmt.Sprintf("at most %d bytes; at most %d go with one message", maxHeadValue, maxHeads),
		fmt.Sprintf("cut at %d bytes. Lines", maxLogLine),
		fmt.Sprintf("counts %d bytes more", logLineCost),
		fmt.Sprintf("at most %d bytes at a time", maxRandom),
		fmt.Sprintf("at most %d elements", maxTableElements),
		fmt.Sprintf("at most %d locals, %d branches, %d blocks inside one another and %d bytes",
			meter.MaxFunctionLocals, meter.MaxBranches, meter.MaxDepth, meter.MaxFunctionBytes),
		"after 10,000 messages", // recycleCalls
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the document does not say %q", want)
		}
	}
	if recycleCalls != 10_000 || recyclePart != 2 {
		t.Error("the document says 10,000 messages and half")
	}
}

func TestDocumentedExamples(t *testing.T) {
	var block []string
	in, n := false, 0
	for i, line := range abiDocument(t) {
		switch {
		case line == "```example":
			in, block = true, nil
		case in && line == "```":
			in = false
			n++
			t.Run(fmt.Sprintf("to line %d", i+1), func(t *testing.T) { runExample(t, block) })
		case in:
			line, _, _ = strings.Cut(line, " #")
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				block = append(block, line)
			}
		}
	}
	if n < 10 {
		t.Errorf("%d examples: the test does not find them", n)
	}
}
