package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

func main() {
	if len(os.Args) > 2 && os.Args[1] == "worker" {
		if err := runWorker(os.Args[2], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	t := tools{natsServer: "/tmp/bn/nats-server", mosquitto: "/usr/sbin/mosquitto", guest: "/tmp/bn/g.wasm"}
	n, _ := strconv.Atoi(os.Args[3])
	for _, sys := range systems {
		if !strings.Contains(sys.name, os.Args[2]) {
			continue
		}
		switch os.Args[1] {
		case "rate":
			fmt.Println(sys.name)
			fmt.Println(measureRates(t, sys, n))
		case "rec":
			if sys.edge {
				fmt.Println(sys.name)
				fmt.Println(measureRecovery(t, sys, n, 6e9))
			}
		case "fan":
			if sys.readers {
				fmt.Println(sys.name)
				fmt.Println(measureFanOut(t, sys, 1, n))
				fmt.Println(measureFanOut(t, sys, 10, n))
			}
		case "tra":
			fmt.Println(sys.name)
			fmt.Println(measureTraffic(t, sys, n))
		}
	}
}

const messageSize = 256
