// Quickstart is the Quick Start of the original description, with the import line changed and an import of time, which it
// never used, left out: a node that reads and writes a channel. It needs a NATS server on localhost:4222. A node does not
// receive its own messages, so start a second one, with another id, to see something.
package main

import (
	"fmt"

	rmds "github.com/getevo/rmds/engine"
)

func main() {
	// Create configuration
	config := rmds.DefaultConfig()
	config.NodeID = "node-1"
	config.NATSServers = []string{"nats://localhost:4222"}

	// Create connection
	connection, err := rmds.New(config)
	if err != nil {
		panic(err)
	}
	defer connection.Unsubscribe()

	// Join a channel
	channel := connection.Join("my-channel", rmds.RW)

	// Set up message handler
	channel.OnMessage(func(message *rmds.Message) {
		fmt.Printf("Received: %s from %s\n", string(message.Data), message.Sender)
		// Manually acknowledge the message
		message.Ack()
	})

	// Send a message
	err = channel.SendMessage([]byte("Hello, World!"))
	if err != nil {
		fmt.Printf("Error sending message: %v\n", err)
	}

	// Keep the program running
	select {}
}
