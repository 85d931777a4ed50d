// Package guest lets a Go program be an RMDS message handler: a WebAssembly module that a node runs once for
// each message of the channels it is configured for. It is the rmds_v1 contract in Go terms, nothing more.
//
//	package main
//
//	import "github.com/getevo/rmds/handlers/guest"
//
//	func init() {
//		guest.Handle(func(m *guest.Msg) error {
//			return guest.Reply(append([]byte("seen: "), m.Content()...))
//		})
//	}
//
//	func main() {}
//
// Build it as a reactor, a module whose instance stays alive between messages:
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -ldflags='-s -w' -o handler.wasm .
//
// In that mode package initialisation runs and main does not, so [Handle] is called in an init function.
//
// What the handler returns decides what becomes of the message:
//
//	nil      acknowledged: Set, Delete, Reply and Send take effect, together with the acknowledgement, exactly once
//	Retry    everything is discarded and the message comes again later
//	Reject   everything is discarded and the message becomes a dead letter, with the reason
//	else     failed: everything and the instance are discarded; the message comes again until its attempts are used up
//
// A panic, a timeout or an exceeded limit is a failure too. Variables of the program live as long as the instance,
// which may end after any message: they can hold a cache, and what must last belongs in the store ([Set]).
//
// One message is handled at a time. A goroutine left running when the handler returns resumes during the next
// message, where its sends would become part of that message's transaction: wait for what you start.
//
// The standard library's time and crypto/rand work as usual. There are no files and no network.
//
// On other platforms the package compiles, so that a handler's own logic can be tested natively, and every call
// of the host answers [ErrNotPermitted] or nothing.
package guest
