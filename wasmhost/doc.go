// Package wasmhost runs message handlers that were compiled to WebAssembly, and keeps them within limits.
//
// A Host holds the compiler and the host functions, a Module one handler, and a pool of instances each module's
// memories. Call runs one message through one instance; Outcome says how it ended. The contract with the guest is
// rmds_v1, described in docs/handler-abi.md.
//
//	          Load                       Call                            outcome
//	bytes ──► check imports, exports ──► take an instance (or make one)
//	          meter (internal/meter)     rmds_handle() ── host functions ──► Effects of the caller
//	          compile, cache on disk     returned 0, 65, 75: ───────────────► Ack, Reject, Retry; instance kept
//	          one instance: _initialize, anything else, trap, a limit: ─────► Failed; instance thrown away
//	          rmds_init
//
// A Slot holds the module of one handler and replaces it while calls go on. It owns the package's only goroutines, which
// close replaced modules after their last call; Slot.Close waits for them. A guest runs on its caller's goroutine. A
// call ends at its deadline or at its CPU limit because the module was made to count its own work and asks the host every
// million instructions or so whether to go on; the same keeps a computing guest from delaying the garbage collector.
// Nothing is durable here but the compiler's cache, which a crash can leave incomplete but not wrong.
//
// The package knows nothing of queues, databases or networks. What a guest sets or sends goes to an Effects, whose owner
// decides whether it takes place.
package wasmhost
