package wire

import "fmt"

// Header is a name and a value that travel with a message.
type Header struct{ Key, Value string }

// Record is one message of a sender's log.
type Record struct {
	Seq     int64 // from 1, rising
	Channel string
	To      string // "" = broadcast on the channel; else the one node addressed
	Created int64  // unix ns, sender's clock
	TTL     int64  // ns; 0 none
	Hops    uint8  // how many messages it was derived from, one from the other
	Headers []Header
	Content []byte
}

// MaxRecords is the most records that a block may hold. It bounds what decoding a block of tiny records allocates.
const MaxRecords = 1 << 16

// A record starts with a byte of flags, which say what follows. What does not follow is as in the record before; before
// the first record: seq 0, created 0, ttl 0, and no pair.
const (
	flagSeq     = 1 << 0 // seq did not rise by 1: the rise follows
	flagIndex   = 1 << 1 // another (channel, to) that the block has met: its index follows
	flagPair    = 1 << 2 // a (channel, to) that is new to the block follows
	flagTTL     = 1 << 3
	flagHops    = 1 << 4 // hops are not 0
	flagHeaders = 1 << 5
	flagsKnown  = 1<<6 - 1
)

// minRecord is the least size of a record: flags, created, length of the content.
const minRecord = 3

// AppendBlock appends recs to dst as one block. Their seqs must rise from at least 1 and there may be at most MaxRecords;
// it panics otherwise, because nobody could ever read the block.
func AppendBlock(dst []byte, recs []Record) []byte {
	if len(recs) > MaxRecords {
		panic(fmt.Sprintf("wire: block of %d records", len(recs)))
	}
	dst = appendUvarint(dst, uint64(len(recs)))
	var d pairs
	var seq, created, ttl int64
	for i := range recs {
		r := &recs[i]
		if r.Seq <= seq {
			panic(fmt.Sprintf("wire: seq %d after %d", r.Seq, seq))
		}
		at := len(dst)
		dst = append(dst, 0)
		var flags byte
		if r.Seq-seq != 1 {
			flags |= flagSeq
			dst = appendUvarint(dst, uint64(r.Seq-seq))
		}
		switch index, met := d.use(r.Channel, r.To); {
		case !met:
			flags |= flagPair
			dst = appendString(appendString(dst, r.Channel), r.To)
		case index >= 0:
			flags |= flagIndex
			dst = appendUvarint(dst, uint64(index))
		}
		dst = appendVarint(dst, r.Created-created)
		if r.TTL != ttl {
			flags |= flagTTL
			dst = appendVarint(dst, r.TTL)
		}
		if r.Hops != 0 {
			flags |= flagHops
			dst = append(dst, r.Hops)
		}
		if len(r.Headers) > 0 {
			flags |= flagHeaders
			dst = appendUvarint(dst, uint64(len(r.Headers)))
			for j := range r.Headers {
				dst = appendString(appendString(dst, r.Headers[j].Key), r.Headers[j].Value)
			}
		}
		dst = appendBytes(dst, r.Content)
		dst[at] = flags
		seq, created, ttl = r.Seq, r.Created, r.TTL
	}
	return dst
}

// DecodeBlock returns the records of a block. Contents alias raw, which must not be changed afterwards; strings do not.
// Empty contents and headers are nil. Errors wrap ErrCorrupt.
func DecodeBlock(raw []byte) ([]Record, error) {
	r := reader{b: raw}
	n := r.count(minRecord)
	if n > MaxRecords {
		r.fail("block of %d records", n)
		n = 0
	}
	recs := make([]Record, n)
	br := blockReader{reader: r}
	for i := range recs {
		if br.record(&recs[i]); br.err != nil {
			return nil, fmt.Errorf("%w (record %d of %d)", br.err, i+1, n)
		}
	}
	if br.err == nil && len(br.b) > 0 {
		br.fail("%d bytes after the last record", len(br.b))
	}
	if br.err != nil {
		return nil, br.err
	}
	return recs, nil
}

// blockReader is a reader with what one record inherits from the one before.
type blockReader struct {
	reader
	pairs
	seq, created, ttl int64
	last              []Header // of the last record that had any
	room              []Header // allocated and not yet used
}

func (r *blockReader) record(rec *Record) {
	flags := r.byte()
	if flags > flagsKnown {
		r.fail("record flags %#x", flags)
		return
	}
	rise := uint64(1)
	if flags&flagSeq != 0 {
		if rise = r.uvarint(); rise == 1 {
			r.fail("seq not in its shortest form")
		}
	}
	rec.Seq = r.seq + int64(rise)
	if rec.Seq <= r.seq {
		r.fail("seq %d rises by %d", r.seq, rise)
	}
	r.readPair(rec, flags)
	rec.Created = r.created + r.varint()
	rec.TTL = r.ttl
	if flags&flagTTL != 0 {
		if rec.TTL = r.varint(); rec.TTL == r.ttl {
			r.fail("ttl repeated")
		}
	}
	if flags&flagHops != 0 {
		if rec.Hops = r.byte(); rec.Hops == 0 {
			r.fail("hops 0 written")
		}
	}
	if flags&flagHeaders != 0 {
		rec.Headers = r.headers()
	}
	rec.Content = r.bytes()
	r.seq, r.created, r.ttl = rec.Seq, rec.Created, rec.TTL
}

func (r *blockReader) readPair(rec *Record, flags byte) {
	switch flags & (flagIndex | flagPair) {
	case 0:
		if len(r.list) == 0 {
			r.fail("first record without a channel")
			return
		}
	case flagIndex:
		i := r.uvarint()
		if i >= uint64(len(r.list)) || int(i) == r.at {
			r.fail("channel index %d of %d", i, len(r.list))
			return
		}
		r.at = int(i)
	case flagPair:
		channel, to := r.string(), r.string()
		if _, met := r.use(channel, to); met {
			r.fail("channel %q repeated", channel)
			return
		}
	default:
		r.fail("record flags %#x", flags)
		return
	}
	rec.Channel, rec.To = r.list[r.at].channel, r.list[r.at].to
}

// headers reads a record's headers. Records of a block mostly have the same names, so names are shared with the record
// before where they are equal.
func (r *blockReader) headers() []Header {
	n := r.count(2)
	if n == 0 {
		r.fail("no headers written")
		return nil
	}
	if len(r.room) < n {
		r.room = make([]Header, max(n, min(64, len(r.b)/8)))
	}
	list := r.room[:n:n]
	r.room = r.room[n:]
	for i := range list {
		key := r.bytes()
		if i < len(r.last) && r.last[i].Key == string(key) {
			list[i].Key = r.last[i].Key
		} else {
			list[i].Key = string(key)
		}
		list[i].Value = r.string()
	}
	r.last = list
	return list
}
