//go:build wasip1

// Command goreactor is a handler in plain Go, without an SDK: it counts readings per unit, answers with the content in
// upper case and warns of high ones. Contents beginning with "!" make it misbehave.
package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
	"unsafe"
)

//go:wasmimport rmds_v1 msg_get
func msgGet(key *byte, keyLen uint32, buf *byte, size uint32) int32

//go:wasmimport rmds_v1 cfg_get
func cfgGet(key *byte, keyLen uint32, buf *byte, size uint32) int32

//go:wasmimport rmds_v1 kv_get
func kvGet(key *byte, keyLen uint32, buf *byte, size uint32) int32

//go:wasmimport rmds_v1 kv_set
func kvSet(key *byte, keyLen uint32, value *byte, valueLen uint32) int32

//go:wasmimport rmds_v1 reply
func reply(content *byte, n uint32) int32

//go:wasmimport rmds_v1 send
func send(channel *byte, channelLen uint32, content *byte, n uint32) int32

//go:wasmimport rmds_v1 note
func note(key *byte, keyLen uint32, value *byte, valueLen uint32) int32

var buffer = make([]byte, 64<<10)

// read asks f for a value and takes it from buffer.
func read(f func(*byte, uint32, *byte, uint32) int32, key string) (string, bool) {
	n := f(unsafe.StringData(key), uint32(len(key)), &buffer[0], uint32(len(buffer)))
	if n < 0 || int(n) > len(buffer) {
		return "", false
	}
	return string(buffer[:n]), true
}

// write hands two strings to f.
func write(f func(*byte, uint32, *byte, uint32) int32, a, b string) int32 {
	return f(unsafe.StringData(a), uint32(len(a)), unsafe.StringData(b), uint32(len(b)))
}

//go:wasmexport rmds_init
func start() int32 {
	if _, ok := read(cfgGet, "limit"); !ok {
		write(note, "reason", "no limit configured")
		return 1
	}
	return 0
}

//go:wasmexport rmds_handle
func handle() int32 {
	content, _ := read(msgGet, "content")
	switch content {
	case "!panic":
		panic("on purpose")
	case "!exit":
		os.Exit(3)
	case "!loop":
		for {
		}
	case "!sleep":
		time.Sleep(time.Hour)
	case "!reject":
		write(note, "reason", "not a reading")
		return 65
	}
	unit, _ := read(msgGet, "head.unit")
	old, _ := read(kvGet, "count."+unit)
	n, _ := strconv.Atoi(old)
	write(kvSet, "count."+unit, strconv.Itoa(n+1))
	limit, _ := read(cfgGet, "limit")
	fmt.Println("reading", content)
	if content > limit {
		write(send, "alarms", "high: "+content)
	}
	answer := strings.ToUpper(content)
	return reply(unsafe.StringData(answer), uint32(len(answer)))
}

func main() {}
