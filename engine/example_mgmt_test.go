package engine_test

import (
	"fmt"
	"time"

	"github.com/nats-io/nkeys"

	rmds "github.com/getevo/rmds/engine"
)

// The snippet of the original description, unchanged.
func ExampleMgmt() {
	network := startNetwork()
	defer network.stop()
	connection := network.connect("node-1")
	connection.Join("chat", rmds.RW)

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

	// Kick a node
	connection.Mgmt.Kick("node-4")

	// Kick from channel
	connection.Mgmt.KickChannel("node-4")

	// Purge messages
	connection.Mgmt.PurgeAll()   // All messages for all nodes
	connection.Mgmt.PurgeSent()  // Sent messages for all nodes
	connection.Mgmt.PurgeQueue() // Queued messages for all nodes

	connection.Mgmt.PurgeAll(rmds.Self)   // All messages for current node
	connection.Mgmt.PurgeSent(rmds.Self)  // Sent messages for current node
	connection.Mgmt.PurgeQueue(rmds.Self) // Queued messages for current node

	fmt.Println(len(topology.Nodes), nodes[0].ID, channels, subscribers)
	// Output:
	// Delivered: 0
	// Queued: 0
	// Dropped: 0
	// 1 node-1 [chat] [node-1]
}

// Nodes that list operators obey those alone, and every node keeps what it was told.
func ExampleMgmt_Kick() {
	network := startNetwork()
	defer network.stop()
	operator, err := nkeys.CreateUser()
	must(err)
	public, err := operator.PublicKey()
	must(err)
	start := func(id string, key nkeys.KeyPair) *rmds.Connection {
		config := network.config()
		config.Operators, config.Operator = []string{public}, key
		c, err := rmds.New(config, rmds.SetID(id))
		must(err)
		network.nodes = append(network.nodes, c)
		return c
	}
	till, desk := start("till-4", nil), start("desk", operator)
	for len(desk.Mgmt.Nodes()) < 2 || len(till.Mgmt.Nodes()) < 2 {
		time.Sleep(10 * time.Millisecond)
	}

	_, err = till.Mgmt.Kick("desk")
	fmt.Println(err)
	answers, err := desk.Mgmt.Kick("till-4")
	fmt.Println(answers, err)

	audit, err := till.Mgmt.Audit(0, 10)
	must(err)
	for _, entry := range audit {
		fmt.Println(entry.Who, entry.Args, entry.Outcome)
	}
	// Output:
	// rmds: command refused: till-4 (order to kick desk: not signed)
	// [{desk done  1} {till-4 done  1}] <nil>
	// till-4 kick desk failed
	// desk kick till-4 done
}
