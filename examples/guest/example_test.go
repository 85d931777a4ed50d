package guest_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/getevo/rmds/engine"
	"github.com/getevo/rmds/examples/guest"
	stats "github.com/getevo/rmds/handlers/stats-wat"
	"github.com/getevo/rmds/wasmhost"
)

// A node hosts a guest that keeps the rolling mean of the readings it gets and replies with it.
func Example() {
	url, dir, stop := startNATS()
	defer stop()
	ctx := context.Background()

	// The node with the guest.
	host, err := wasmhost.New(ctx, wasmhost.Options{})
	must(err)
	defer host.Close(ctx)
	module, err := host.Load(ctx, stats.Module, wasmhost.DefaultLimits(), wasmhost.Settings{Name: "stats", Sends: []string{"alerts"}})
	must(err)
	defer module.Close(ctx)
	edge := connect("edge", url, dir)
	defer edge.Close()
	edge.Join("alerts", engine.WriteOnly)
	must(edge.Join("readings", engine.ReadOnly).Handle(guest.Handler("stats", module)))

	// The node with the sensor.
	sensor := connect("sensor", url, dir)
	defer sensor.Close()
	readings := sensor.Join("readings", engine.WriteOnly)
	for n, value := range []float64{20, 21, 22.5} {
		reading := fmt.Sprintf(`{"n":%d,"metric":"celsius","value":%g}`, n+1, value)
		reply, err := readings.Request(ctx, "edge", reading)
		must(err)
		fmt.Printf("reply: %s\n", reply.Data)
	}

	// What the guest has stored.
	count, _, err := edge.KV("stats").Get("count")
	must(err)
	fmt.Printf("count %s\n", count)
	// Output:
	// reply: 1 20.000
	// reply: 2 20.500
	// reply: 3 21.167
	// count 3
}

func connect(id, url, dir string) *engine.Connection {
	config := engine.DefaultConfig()
	config.NATSServers = []string{url}
	config.StoragePath = filepath.Join(dir, "{nodeID}.db")
	config.Logger = slog.New(slog.DiscardHandler)
	c, err := engine.New(config, engine.SetID(id))
	must(err)
	return c
}

// startNATS starts a NATS server in this process, and makes a directory for databases.
func startNATS() (url, dir string, stop func()) {
	dir, err := os.MkdirTemp("", "rmds-example")
	must(err)
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true})
	must(err)
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		panic("the NATS server does not listen")
	}
	return s.ClientURL(), dir, func() {
		s.Shutdown()
		must(os.RemoveAll(dir))
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
