package bus

// EventKind says what an Event is about.
type EventKind uint8

const (
	// Connected: the bus has a server, for the first time or again. All subscriptions are in force.
	Connected EventKind = iota + 1

	// Disconnected: the server is gone. The bus keeps trying to reach one.
	Disconnected

	// AuthDenied: the server refused the credentials (Subject is empty), or the right to publish or to
	// subscribe to Subject. NATS reports a refused message or subscription after the fact. A refused
	// subscription stays refused until the next connection or a new Subscribe, even if the server's
	// permissions change meanwhile.
	AuthDenied

	// Error: any other trouble, such as an unreachable server or a handler that is too slow, so that
	// messages to it were dropped. While the bus is down, one cause is reported once.
	Error
)

// String returns the kind's name in lower case, with an underscore between words.
func (k EventKind) String() string {
	switch k {
	case Connected:
		return "connected"
	case Disconnected:
		return "disconnected"
	case AuthDenied:
		return "auth_denied"
	case Error:
		return "error"
	}
	return "unknown"
}

// Event is a change in the state of a bus, or a fault that nobody waits for as a return value.
type Event struct {
	Kind    EventKind
	Subject string // the subject concerned; "" if it is about the whole connection
	Text    string // for people: the server or the cause
}
