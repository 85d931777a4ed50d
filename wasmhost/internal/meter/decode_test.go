package meter

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/getevo/rmds/wasmhost/internal/wat"
)

func TestRefusals(t *testing.T) {
	over := bytes.Repeat([]byte{1, 0xff, 0xff, 0xff, 0xff, 0x0f, typeI32}, 2)
	for name, tc := range map[string]struct {
		wasm []byte
		err  error
		text string
	}{
		"empty":           {nil, ErrNotWasm, ""},
		"text":            {[]byte("(module)"), ErrNotWasm, ""},
		"component":       {[]byte("\x00asm\x0d\x00\x01\x00"), ErrComponent, ""},
		"other version":   {[]byte("\x00asm\x02\x00\x00\x00"), ErrNotWasm, "02 00 00 00"},
		"memory":          {wat.Must(`(module (memory 1025))`), ErrTooMuch, "67174400"},
		"table":           {wat.Must(`(module (table 65537 funcref))`), ErrTooMuch, "65536"},
		"tables":          {wat.Must(`(module (table 40000 funcref) (table 40000 funcref))`), ErrTooMuch, ""},
		"memory import":   {wat.Must(`(module (import "env" "m" (memory 1)))`), nil, "imports the memory env.m"},
		"global import":   {wat.Must(`(module (import "env" "g" (global i32)))`), nil, "imports the global env.g"},
		"fuel read":       {wat.Must(`(module (global i32 (i32.const 0)) (func global.get 1 drop))`), nil, "global"},
		"fuel written":    {wat.Must(`(module (func i64.const 9 global.set 0))`), nil, "global"},
		"fuel exported":   {[]byte("\x00asm\x01\x00\x00\x00\x07\x05\x01\x01f\x03\x00"), nil, "global 0"},
		"no function":     {wat.Must(`(module (func call 7))`), nil, "function 7"},
		"refill by index": {wat.Must(`(module (func call 1))`), nil, "function 1"},
		"tail call":       {wat.Must(`(module (func $f bytes 1200))`), nil, "not part of WebAssembly 2.0"},
		"long misc":       {wat.Must(`(module (memory 1) (func i32.const 0 i32.const 0 i32.const 0 bytes fc8b0000))`), nil, "0xfc"},
		"locals":          {codeModule(append(over, opEnd)), ErrTooMuch, "locals"},
		"depth":           {codeModule(append(append([]byte{0}, bytes.Repeat([]byte{opBlock, typeEmpty}, MaxDepth)...), 0)), ErrTooMuch, "4096 deep"},
		"branches":        {codeModule(append(append([]byte{0}, bytes.Repeat([]byte{opBr, 0}, MaxBranches+1)...), 0)), ErrTooMuch, "20000 branches"},
		"after the end":   {codeModule([]byte{0, opEnd, opEnd}), nil, "after the end"},
		"no end":          {codeModule([]byte{0, 1}), nil, "unexpected end"},
		"section order":   {[]byte("\x00asm\x01\x00\x00\x00\x03\x01\x00\x01\x01\x00"), nil, "out of order"},
		"section length":  {[]byte("\x00asm\x01\x00\x00\x00\x01\x09\x00"), nil, "unexpected end"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := Parse(tc.wasm)
			if err == nil {
				_, err = m.Instrument(testConfig)
			}
			if err == nil || tc.err != nil && !errors.Is(err, tc.err) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("error is %v, want %v with %q", err, tc.err, tc.text)
			}
		})
	}
}

// codeModule is a module of one function () -> () with the given body.
func codeModule(body []byte) []byte {
	b := []byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00")
	code := append(appendU32([]byte{1}, uint32(len(body))), body...)
	return append(appendU32(append(b, secCode), uint32(len(code))), code...)
}

// TestImmediates finds out, for every opcode, how many operand bytes wazero reads, and checks that this decoder reads the
// same. After unreachable any operands on the stack are right.
func TestImmediates(t *testing.T) {
	rt := newRuntime(t, 100)
	compile := func(code ...byte) error {
		c, err := rt.CompileModule(context.Background(), immediateModule(code))
		if err == nil {
			c.Close(context.Background())
		}
		return err
	}
	const none = 0xff // no opcode: the number of operands is right when wazero complains about this byte after them
	var ops [][]byte
	for op := range 0x100 {
		switch op {
		case opBlock, opLoop, opIf, opElse, opEnd, opMisc, opVector, opBrTable, opSelectTyped, none:
		default:
			ops = append(ops, []byte{byte(op)})
		}
	}
	for sub := range uint32(18) {
		ops = append(ops, appendU32([]byte{opMisc}, sub))
	}
	for sub := range uint32(256) {
		ops = append(ops, appendU32([]byte{opVector}, sub))
	}
	known := 0
	for _, op := range ops {
		for n := range 19 {
			code := append(append([]byte{0x00}, op...), make([]byte, n)...)
			if op[0] == opRefNull && n == 1 {
				code[2] = typeFuncref
			}
			if err := compile(append(code, none, opEnd)...); !strings.Contains(err.Error(), "invalid instruction 0xff") {
				continue
			}
			known++
			r := &reader{b: code[1:]}
			f := &body{rewriter: &rewriter{Module: &Module{defined: []uint32{0}}, fuel: 1}, frames: []frame{{}}}
			f.instruction(r)
			if r.err != nil || !r.done() {
				t.Errorf("opcode % x with %d operand bytes: %d of them read, %v", op, n, r.pos-len(op), r.err)
			}
			break
		}
	}
	if known < 400 {
		t.Errorf("only %d opcodes compile: the test does not test", known)
	}
}

// immediateModule has one of everything that an operand 0 can name.
func immediateModule(code []byte) []byte {
	m := wat.Must(`(module (memory 1) (table 1 funcref) (global (mut i32) (i32.const 0)) (elem func 0) (data "x")
		(func (param i32) (local i32) memory.size drop i32.const 0 i32.const 0 i32.const 0 memory.init 0))`)
	i := bytes.LastIndex(m, []byte{opMisc, miscMemoryInit, 0, 0, opEnd}) // the function's body ends here
	body := append([]byte{1, 1, typeI32}, code...)
	fn := append(appendU32([]byte{1}, uint32(len(body))), body...)
	head := bytes.LastIndex(m[:i], []byte{1, 1, typeI32}) - 3 // section number, its size, the vector's length
	for m[head] != secCode {
		head--
	}
	out := append([]byte{}, m[:head]...)
	out = append(appendU32(append(out, secCode), uint32(len(fn))), fn...)
	return append(out, m[i+5:]...)
}
