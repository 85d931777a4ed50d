package wat

import (
	"bytes"
	"strings"
	"testing"
)

func TestAssemble(t *testing.T) {
	got, err := Assemble(`(module (func (export "f") (param $a i32) (result i32) local.get $a i32.const -1 i32.add))`)
	want := []byte("\x00asm\x01\x00\x00\x00" +
		"\x01\x06\x01\x60\x01\x7f\x01\x7f" + // one type
		"\x03\x02\x01\x00" + // one function of it
		"\x07\x05\x01\x01f\x00\x00" + // exported
		"\x0a\x09\x01\x07\x00\x20\x00\x41\x7f\x6a\x0b")
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v\n% x, want\n% x", err, got, want)
	}
}

func TestErrors(t *testing.T) {
	for source, want := range map[string]string{
		`(func)`:                          "module",
		`(module (func i32.frob))`:        "i32.frob",
		`(module (func (param i33)))`:     "i33",
		`(module (func call $nowhere))`:   "$nowhere",
		`(module (func) ))`:               "too many",
		`(module (widget))`:               "widget",
		`(module (func i32.const x))`:     "number",
		`(module (data (i32.const 0) x))`: "string",
	} {
		if _, err := Assemble(source); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", source, err, want)
		}
	}
}
