package engine_test

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/getevo/rmds/engine"
)

// A reader that acknowledges what it has printed. If it dies between the two, or acknowledges too late, the message comes
// again, with Attempt counted.
func ExampleChannel_OnMessage() {
	network := startNetwork()
	defer network.stop()
	done := make(chan struct{}, 3)

	reader := network.connect("reader").Join("greetings", engine.ReadOnly)
	err := reader.OnMessage(func(m *engine.Message) {
		fmt.Printf("%s from %s, attempt %d\n", m.Data, m.Sender, m.Attempt)
		if string(m.Data) == "busy?" && m.Attempt == 1 {
			m.Nak(time.Millisecond) // again, a little later; what was sent after it waits
			return
		}
		m.Ack()
		done <- struct{}{}
	})
	must(err)

	writer := network.connect("writer").Join("greetings", engine.WriteOnly)
	for _, text := range []string{"hello", "busy?", "goodbye"} {
		must(writer.SendMessage(text)) // nil: it is on this node's disk, and will arrive
	}
	for range 3 {
		<-done
	}
	// Output:
	// hello from writer, attempt 1
	// busy? from writer, attempt 1
	// busy? from writer, attempt 2
	// goodbye from writer, attempt 1
}

// A handler that keeps an account. The balance, the receipt and the acknowledgement are one transaction: whatever is
// killed, and whenever, each payment counts once and gets one receipt.
func ExampleChannel_Handle() {
	network := startNetwork()
	defer network.stop()

	bank := network.connect("bank")
	err := bank.Join("payments", engine.ReadOnly).Handle(&engine.Handler{
		Name: "account",
		Func: func(_ context.Context, tx *engine.Tx, m *engine.Message) error {
			amount, err := strconv.Atoi(string(m.Data))
			if err != nil {
				return engine.Rejected("not a number") // a dead letter; the next message comes
			}
			stored, _, err := tx.Get("balance/" + m.Sender)
			if err != nil {
				return err
			}
			balance, _ := strconv.Atoi(string(stored)) // none yet is 0
			balance += amount
			if err := tx.Set("balance/"+m.Sender, []byte(strconv.Itoa(balance))); err != nil {
				return err
			}
			return tx.Reply(fmt.Appendf(nil, "paid %d, balance %d", amount, balance))
		},
	})
	must(err)

	receipts := make(chan string)
	payments := network.connect("shop").Join("payments", engine.WriteOnly)
	must(payments.OnReply(func(m *engine.Message) {
		receipts <- string(m.Data)
		m.Ack()
	}))
	for _, payment := range []string{"20", "twenty", "5"} {
		must(payments.SendMessage(payment))
	}
	fmt.Println(<-receipts)
	fmt.Println(<-receipts)
	balance, _, err := bank.KV("account").Get("balance/shop")
	must(err)
	fmt.Printf("the bank says %s, and has set %d message aside\n", balance, bank.Status().Dead)
	// Output:
	// paid 20, balance 20
	// paid 5, balance 25
	// the bank says 25, and has set 1 message aside
}

// Asking a node, and waiting for its answer for as long as the context allows.
func ExampleChannel_Request() {
	network := startNetwork()
	defer network.stop()

	must(network.connect("clock").Join("time", engine.ReadOnly).OnMessage(func(m *engine.Message) {
		if err := m.Reply("noon in " + string(m.Data)); err == nil {
			m.Ack()
		}
	}))

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	answer, err := network.connect("traveller").Join("time", engine.WriteOnly).Request(ctx, "clock", "Lisbon")
	must(err)
	fmt.Printf("%s: %s\n", answer.Sender, answer.Data)
	// Output: clock: noon in Lisbon
}

// Sending fast: messages that are waited for together share commits.
func ExampleChannel_SendAsync() {
	network := startNetwork()
	defer network.stop()
	readings := network.connect("sensor").Join("readings", engine.WriteOnly)

	var batch []*engine.Pending
	for n := range 1000 {
		batch = append(batch, readings.SendAsync(n, engine.WithHeader("unit", "mK")))
	}
	var last engine.MessageID
	for _, p := range batch {
		id, err := p.Wait(context.Background())
		must(err)
		last = id
	}
	fmt.Println("stored up to", last.Seq)
	// Output: stored up to 1000
}

// Hearing of what an operator should know. OnEvent is called from one goroutine and must not block.
func ExampleConfig_events() {
	network := startNetwork()
	defer network.stop()
	dead := make(chan engine.Event, 1)

	config := network.config()
	config.NodeID = "reader"
	config.Logger = slog.New(slog.DiscardHandler)
	config.OnEvent = func(e engine.Event) {
		if e.Kind == "dead_letter" {
			dead <- e
		}
	}
	reader, err := engine.New(config)
	must(err)
	defer reader.Close()
	must(reader.Join("orders", engine.ReadOnly).OnMessage(func(m *engine.Message) { m.Reject("unknown article") }))
	must(network.connect("shop").Join("orders", engine.WriteOnly).SendMessage("a unicorn"))

	e := <-dead
	fmt.Println(e.Kind, e.Node, e.Channel, e.Text)
	// Output: dead_letter shop orders rejected: unknown article
}
