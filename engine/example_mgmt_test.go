package engine_test

import (
	"fmt"
	"time"

	"github.com/nats-io/nkeys"

	rmds "github.com/getevo/rmds/engine"
)

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
