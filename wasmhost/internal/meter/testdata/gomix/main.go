//go:build wasip1

// Command gomix is a reactor that computes with much of what Go compiles to: integers, floats, strings, maps, closures,
// interfaces, defer, recover, goroutines and a garbage collector at work.
package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"runtime"
	"sort"
	"strings"
)

//go:wasmexport mix
func mix(seed int64) int64 {
	h := sha256.New()
	put := func(v any) { fmt.Fprintln(h, v) }
	put(integers(seed))
	put(floats(seed))
	put(text(seed))
	put(recovered(seed))
	put(concurrent(seed))
	runtime.GC()
	return int64(binary.LittleEndian.Uint64(h.Sum(nil)))
}

func integers(n int64) []int64 {
	out := []int64{n, n % 7, n / 3, int64(uint32(n) % 11), int64(uint64(n) % 13), n << (uint(n) % 65), n >> 3}
	for i := int64(1); i < 50; i++ {
		n = n*6364136223846793005 + 1442695040888963407
		out = append(out, n%i, int64(int32(n)%int32(i)), int64(uint8(n)), int64(int16(n)))
	}
	sort.Slice(out, func(i, j int) bool { return out[i] < out[j] })
	return out
}

func floats(n int64) (sum float64) {
	for i := range 100 {
		x := float64(n%1000) + float64(i)
		sum += math.Sqrt(math.Abs(x))*math.Floor(x/3) + float64(float32(x)) + math.Copysign(1, -x)
		sum += float64(int64(sum)) / 2
	}
	return sum
}

func text(n int64) string {
	m := map[string]any{}
	for i := range 40 {
		m[fmt.Sprintf("k%d", (n+int64(i))%97)] = []any{i, strings.Repeat("é", i), float64(i) / 7}
	}
	b, err := json.Marshal(m)
	if err != nil {
		return err.Error()
	}
	var back map[string]any
	if err := json.Unmarshal(b, &back); err != nil {
		return err.Error()
	}
	b, _ = json.Marshal(back)
	return string(b)
}

func recovered(n int64) (s string) {
	defer func() { s = fmt.Sprint(recover()) }()
	return fmt.Sprint([]int{1, 2, 3}[n&3|4])
}

func concurrent(n int64) (sum int64) {
	c := make(chan int64)
	for i := range 8 {
		go func() { c <- n * int64(i) }()
	}
	for range 8 {
		sum += <-c
	}
	return sum
}

func main() {}
