package engine_test

// The snippets of the original description's "API Usage", unchanged. What surrounds them makes them run. Its Quick Start,
// a whole program, is examples/quickstart.

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	rmds "github.com/getevo/rmds/engine"
)

// With its default configuration a node needs no id: one is generated, and kept in a file beside the database.
func ExampleNew() {
	defer inTempDir()()
	{
		// With default config
		connection, err := rmds.New(nil)

		must(err)
		fmt.Println(connection.NodeID() != "")
		must(connection.Unsubscribe())
	}
	{
		// With custom config
		config := rmds.DefaultConfig()
		config.NodeID = "my-node"
		connection, err := rmds.New(config)

		must(err)
		fmt.Println(connection.NodeID())
		must(connection.Unsubscribe())
	}
	// Output:
	// true
	// my-node
}

// New does not wait for NATS. The servers may be unknown so far, and sending works all the same.
func ExampleNew_options() {
	defer inTempDir()()
	config := rmds.DefaultConfig()

	// With options
	connection, err := rmds.New(config,
		rmds.SetID("my-node"),
		rmds.SetNatsPrefix("custom."),
		rmds.SetNATS("nats://server1:4222,nats://server2:4222"),
	)

	must(err)
	fmt.Println(connection.NodeID(), connection.Status().Connected, connection.Join("events", rmds.WriteOnly).SendMessage("kept"))
	must(connection.Unsubscribe())
	// Output: my-node false <nil>
}

// inTempDir makes a temporary directory the working directory, and returns what undoes it.
func inTempDir() func() {
	old, err := os.Getwd()
	must(err)
	dir, err := os.MkdirTemp("", "rmds-example")
	must(err)
	must(os.Chdir(dir))
	return func() {
		must(os.Chdir(old))
		must(os.RemoveAll(dir))
	}
}

func ExampleConnection_Join() {
	network := startNetwork()
	defer network.stop()
	connection := network.connect("node-1")

	// Join as writer only
	writeChannel := connection.Join("notifications", rmds.WriteOnly)

	// Join as reader only
	readChannel := connection.Join("events", rmds.ReadOnly)

	// Join as both reader and writer
	rwChannel := connection.Join("chat", rmds.RW)

	fmt.Println(writeChannel.Role(), readChannel.Role(), rwChannel.Role())
	fmt.Println(readChannel.SendMessage("no"))
	fmt.Println(connection.Join("no channel", rmds.RW).Err())
	// Output:
	// writer reader both
	// rmds: not a writer of the channel: channel events is joined as a reader: join it with WriteOnly or RW
	// rmds: bad name: channel "no channel": use tokens of A-Z a-z 0-9 _ - joined by dots, for example plant.temperature
}

func ExampleChannel_SendMessage() {
	network := startNetwork()
	defer network.stop()
	done := make(chan struct{}, 4)
	must(network.connect("reader").Join("chat", rmds.ReadOnly).OnMessage(func(m *rmds.Message) {
		fmt.Printf("%s\n", m.Data)
		m.Ack()
		done <- struct{}{}
	}))
	channel := network.connect("writer").Join("chat", rmds.WriteOnly)

	// Send raw bytes
	channel.SendMessage([]byte("Hello"))

	// Send string
	channel.SendMessage("Hello, World!")

	// Send struct (will be JSON encoded)
	type User struct {
		Username string `json:"username"`
		Name     string `json:"name"`
	}

	user := User{Username: "john", Name: "John Doe"}
	channel.SendMessage(user)

	// Send with timeout
	channel.SendMessage("Urgent message", rmds.Timeout(10*time.Minute))

	for range 4 {
		<-done
	}
	// Output:
	// Hello
	// Hello, World!
	// {"username":"john","name":"John Doe"}
	// Urgent message
}

func init() { time.Local = time.UTC } // so that times print the same everywhere

func ExampleChannel_OnMessage_fields() {
	network := startNetwork()
	defer network.stop()
	type User struct {
		Username string `json:"username"`
		Name     string `json:"name"`
	}
	done := make(chan struct{})
	channel := network.connect("reader").Join("chat", rmds.ReadOnly)

	channel.OnMessage(func(message *rmds.Message) {
		fmt.Printf("Channel: %s\n", message.Channel)
		fmt.Printf("Sender: %s\n", message.Sender)
		fmt.Printf("Created: %v\n", message.CreatedAt)
		fmt.Printf("Data: %s\n", string(message.Data))

		// Parse JSON if needed
		var user User
		if err := json.Unmarshal(message.Data, &user); err == nil {
			fmt.Printf("User: %+v\n", user)
		}

		// Manually acknowledge the message
		message.Ack()

		close(done)
	})

	config := network.config()
	config.Wall = func() time.Time { return time.Date(2100, 1, 2, 3, 4, 5, 0, time.UTC) } // a clock that prints the same every time
	writer, err := rmds.New(config, rmds.SetID("john"))
	must(err)
	defer writer.Unsubscribe()
	must(writer.Join("chat", rmds.WriteOnly).SendMessage(User{"john", "John Doe"}))
	<-done
	// Output:
	// Channel: chat
	// Sender: john
	// Created: 2100-01-02 03:04:05 +0000 UTC
	// Data: {"username":"john","name":"John Doe"}
	// User: {Username:john Name:John Doe}
}

// Kicks and purges act at other nodes, too; what each said is in their results.
func ExampleMgmt() {
	network := startNetwork()
	defer network.stop()
	connection := network.connect("node-1")
	chat := connection.Join("chat", rmds.RW)
	must(network.connect("node-4").Join("chat", rmds.ReadOnly).OnMessage(func(m *rmds.Message) { m.Ack() }))
	must(chat.SendMessage("hello"))
	for connection.Mgmt.Statistic()["delivered"] == 0 {
		time.Sleep(10 * time.Millisecond)
	}

	// Get network topology
	topology := connection.Mgmt.Topology()

	// Get all nodes
	nodes := connection.Mgmt.Nodes()

	// Get all channels
	channels := connection.Mgmt.Channels()

	// Get channel subscribers
	subscribers := connection.Mgmt.GetSubscribers("chat")

	// Get statistics
	stats := connection.Mgmt.Statistic()
	fmt.Printf("Delivered: %d\n", stats["delivered"])
	fmt.Printf("Queued: %d\n", stats["queued"])
	fmt.Printf("Dropped: %d\n", stats["dropped"])

	fmt.Println(len(topology.Nodes), len(nodes), channels, subscribers)

	// Kick a node
	connection.Mgmt.Kick("node-4")

	// Kick from channel
	connection.Mgmt.KickChannel("node-4")

	for _, node := range connection.Mgmt.Nodes() {
		fmt.Println(node.ID, "kicked:", node.Kicked)
	}

	// Purge messages
	connection.Mgmt.PurgeAll()   // All messages for all nodes
	connection.Mgmt.PurgeSent()  // Sent messages for all nodes
	connection.Mgmt.PurgeQueue() // Queued messages for all nodes

	connection.Mgmt.PurgeAll(rmds.Self)   // All messages for current node
	connection.Mgmt.PurgeSent(rmds.Self)  // Sent messages for current node
	connection.Mgmt.PurgeQueue(rmds.Self) // Queued messages for current node
	// Output:
	// Delivered: 1
	// Queued: 0
	// Dropped: 0
	// 2 2 [chat] [node-1 node-4]
	// node-1 kicked: false
	// node-4 kicked: true
}

// Leaving a channel is durable; disconnecting is not: what is sent meanwhile waits for the next start.
func ExampleChannel_Unsubscribe() {
	network := startNetwork()
	defer network.stop()
	connection := network.connect("node-1")
	channel := connection.Join("chat", rmds.RW)

	// Unsubscribe from a channel
	channel.Unsubscribe()

	// Disconnect and cleanup everything
	connection.Unsubscribe()

	fmt.Println(channel.Err())
	fmt.Println(connection.Join("chat", rmds.RW).Err())
	// Output:
	// rmds: closed: left channel chat
	// rmds: closed
}
