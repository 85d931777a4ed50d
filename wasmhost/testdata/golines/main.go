//go:build wasip1

// Command golines is a handler in lines mode: it counts messages in the store and replies with all its keys.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
)

func main() {
	in, out := json.NewDecoder(bufio.NewReader(os.Stdin)), json.NewEncoder(os.Stdout)
	fmt.Println("before the first message stdout is log")
	ask := func(question map[string]any, answer any) {
		must(out.Encode(question))
		must(in.Decode(answer))
	}
	for {
		var m struct {
			Content string
			Headers map[string]string
		}
		must(in.Decode(&m))
		var count struct{ Value *string }
		ask(map[string]any{"get": "count"}, &count)
		n := 1
		if count.Value != nil {
			n, _ = strconv.Atoi(*count.Value)
			n++
		}
		keys := ""
		for after := ""; ; {
			var next struct{ Key *string }
			ask(map[string]any{"next": after}, &next)
			if next.Key == nil {
				break
			}
			after = *next.Key
			keys += after + " "
		}
		must(out.Encode(map[string]any{"status": 0, "reply": fmt.Sprintf("%s %s%d", m.Content, keys, n), "kv": map[string]string{"count": strconv.Itoa(n)}}))
	}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
