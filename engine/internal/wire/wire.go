// Package wire is the codec of RMDS: what nodes say to each other, and how records lie on disk. It is pure: no clock, no
// state, no I/O, and it imports nothing of the project. docs/protocol.md is its normative description.
//
// Two layers:
//
//	block   record record record …      what one group commit appended: delta coded, packed (plain or snappy) into a Body,
//	                                    stored once and sent as it lies
//	frame   header, fields, CRC32C      one NATS message: a body or a piece of one, an ack, a presence …
//
// Both encodings are canonical: what Decode or DecodeBlock accepts is exactly what Encode or AppendBlock would have
// written, so two implementations cannot disagree about equal bytes. Decoders expect hostile input: they never panic, and
// what they allocate is bounded by a small multiple of the input's length.
package wire

import "errors"

// The first bytes of every frame.
const (
	Magic   = 0xB5 // tells a frame from stray traffic on the subject
	Version = 1    // the version that this package writes, and the highest that it reads
)

// headerSize is the least size of a frame's header: magic, version, type, feature bits.
const headerSize = 4

// crcSize is the size of the CRC32C at the end of a frame.
const crcSize = 4

var (
	// ErrCorrupt is wrapped by every error about bytes that no correct sender of this version writes: a checksum that
	// does not match, a truncated or malformed field, a number not in its shortest form, bytes left over.
	ErrCorrupt = errors.New("wire: corrupt")

	// ErrVersion is wrapped by every error about an intact frame that a later version must have written: its version,
	// type, or one of its feature bits is unknown here.
	ErrVersion = errors.New("wire: unknown version")
)
