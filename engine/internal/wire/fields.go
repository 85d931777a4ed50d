package wire

import "math"

// The fields of each frame, in the order of docs/protocol.md. The least sizes given to readList count every variable
// field at its minimum.

func appendLink(b []byte, id LinkID, domain string) []byte {
	b = appendID(b, id.Run)
	b = appendUvarint(b, id.Number)
	b = appendID(b, id.Nonce)
	return appendString(b, domain)
}

func (r *reader) link(id *LinkID, domain *string) {
	*id = LinkID{Run: r.id(), Number: r.uvarint(), Nonce: r.id()}
	*domain = r.string()
}

func (f *Open) appendFields(b []byte) []byte {
	b = appendLink(b, f.ID, f.Domain)
	b = appendID(b, f.StoreID)
	b = appendList(b, f.Lineage, func(b []byte, s *RunStart) []byte { return appendVarint(appendID(b, s.Run), s.First) })
	b = appendVarint(b, f.Now)
	return appendVarint(b, f.LastSeq)
}

func (f *Open) readFields(r *reader) {
	r.link(&f.ID, &f.Domain)
	f.StoreID = r.id()
	f.Lineage = readList(r, 9, func(r *reader, s *RunStart) { s.Run, s.First = r.id(), r.varint() })
	f.Now = r.varint()
	f.LastSeq = r.varint()
}

// memberSize is the least size of a Member.
const memberSize = 14

func appendMember(b []byte, m *Member) []byte {
	b = appendString(b, m.Channel)
	b = appendID(b, m.ID)
	b = appendString(b, m.Domain)
	b = append(b, m.Start)
	b = appendVarint(b, m.JoinedAt)
	b = appendBool(b, m.Dormant)
	b = appendBool(b, m.HasPos)
	return appendVarint(b, m.Pos)
}

func readMember(r *reader, m *Member) {
	m.Channel = r.string()
	m.ID = r.id()
	m.Domain = r.string()
	m.Start = r.byte()
	m.JoinedAt = r.varint()
	m.Dormant = r.bool()
	m.HasPos = r.bool()
	m.Pos = r.varint()
}

func (f *Accept) appendFields(b []byte) []byte {
	b = appendLink(b, f.ID, f.Domain)
	b = appendID(b, f.StoreID)
	b = appendID(b, f.Run)
	b = appendUvarint(b, f.Version)
	b = appendVarint(b, f.Now)
	b = appendVarint(b, f.MaxMessage)
	b = appendVarint(b, f.Credit)
	b = appendID(b, f.Kicks)
	return appendList(b, f.Members, appendMember)
}

func (f *Accept) readFields(r *reader) {
	r.link(&f.ID, &f.Domain)
	f.StoreID = r.id()
	f.Run = r.id()
	f.Version = r.uvarint()
	f.Now = r.varint()
	f.MaxMessage = r.varint()
	f.Credit = r.varint()
	f.Kicks = r.id()
	f.Members = readList(r, memberSize, readMember)
}

func (f *Data) appendFields(b []byte) []byte {
	b = appendLink(b, f.ID, f.Domain)
	b = appendUvarint(b, f.Frame)
	b = appendBool(b, f.More)
	b = appendUvarint(b, f.Confirmed)
	b = appendList(b, f.Prev, func(b []byte, p *Prev) []byte { return appendVarint(appendID(b, p.Member), p.Seq) })
	b = appendUvarint(b, uint64(f.RawLen))
	b = append(b, f.Enc)
	return appendBytes(b, f.Piece)
}

func (f *Data) readFields(r *reader) {
	r.link(&f.ID, &f.Domain)
	f.Frame = r.uvarint()
	f.More = r.bool()
	f.Confirmed = r.uvarint()
	f.Prev = readList(r, 9, func(r *reader, p *Prev) { p.Member, p.Seq = r.id(), r.varint() })
	n := r.uvarint()
	if n > math.MaxInt32 {
		r.fail("body of %d bytes", n)
	}
	f.RawLen = int(n)
	f.Enc = r.byte()
	f.Piece = r.bytes()
}

func (f *Skip) appendFields(b []byte) []byte {
	b = appendLink(b, f.ID, f.Domain)
	b = appendUvarint(b, f.Frame)
	b = appendUvarint(b, f.Confirmed)
	return appendList(b, f.Skips, func(b []byte, s *SkipRec) []byte {
		b = appendVarint(appendID(b, s.Member), s.Prev)
		b = appendVarint(b, s.To)
		return appendVarint(appendString(b, s.Reason), s.Count)
	})
}

func (f *Skip) readFields(r *reader) {
	r.link(&f.ID, &f.Domain)
	f.Frame = r.uvarint()
	f.Confirmed = r.uvarint()
	f.Skips = readList(r, 12, func(r *reader, s *SkipRec) {
		s.Member, s.Prev, s.To = r.id(), r.varint(), r.varint()
		s.Reason, s.Count = r.string(), r.varint()
	})
}

func (f *Probe) appendFields(b []byte) []byte {
	b = appendLink(b, f.ID, f.Domain)
	b = appendUvarint(b, f.Frame)
	b = appendUvarint(b, f.Confirmed)
	return appendBool(b, f.Want)
}

func (f *Probe) readFields(r *reader) {
	r.link(&f.ID, &f.Domain)
	f.Frame = r.uvarint()
	f.Confirmed = r.uvarint()
	f.Want = r.bool()
}

func (f *Ack) appendFields(b []byte) []byte {
	b = appendLink(b, f.ID, f.Domain)
	b = appendUvarint(b, f.Received)
	b = appendUvarint(b, f.Processed)
	b = appendVarint(b, f.Limit)
	b = appendBool(b, f.Gap)
	return appendList(b, f.Negatives, func(b []byte, n *Negative) []byte {
		b = appendID(appendUvarint(b, n.N), n.Run)
		b = appendString(appendVarint(b, n.Seq), n.Channel)
		return appendString(appendString(b, n.Outcome), n.Reason)
	})
}

func (f *Ack) readFields(r *reader) {
	r.link(&f.ID, &f.Domain)
	f.Received = r.uvarint()
	f.Processed = r.uvarint()
	f.Limit = r.varint()
	f.Gap = r.bool()
	f.Negatives = readList(r, 13, func(r *reader, n *Negative) {
		n.N, n.Run, n.Seq = r.uvarint(), r.id(), r.varint()
		n.Channel, n.Outcome, n.Reason = r.string(), r.string(), r.string()
	})
}

func (f *Busy) appendFields(b []byte) []byte { return appendLink(b, f.ID, f.Domain) }
func (f *Busy) readFields(r *reader)         { r.link(&f.ID, &f.Domain) }

func (f *Reset) appendFields(b []byte) []byte {
	return appendString(appendLink(b, f.ID, f.Domain), f.Reason)
}

func (f *Reset) readFields(r *reader) {
	r.link(&f.ID, &f.Domain)
	f.Reason = r.string()
}

func (f *Refuse) appendFields(b []byte) []byte {
	return appendString(appendLink(b, f.ID, f.Domain), f.Reason)
}

func (f *Refuse) readFields(r *reader) {
	r.link(&f.ID, &f.Domain)
	f.Reason = r.string()
}

func appendOneString(b []byte, s *string) []byte { return appendString(b, *s) }
func readOneString(r *reader, s *string)         { *s = r.string() }

func (f *Presence) appendFields(b []byte) []byte {
	b = appendString(b, f.Node)
	b = appendID(b, f.StoreID)
	b = appendID(b, f.Run)
	b = appendUvarint(b, f.Version)
	b = appendVarint(b, f.Now)
	b = appendBool(b, f.Leaving)
	b = appendString(b, f.State)
	b = appendList(b, f.Reads, appendOneString)
	b = appendList(b, f.Writes, appendOneString)
	b = appendID(appendID(b, f.Nonce), f.Kicks)
	b = appendBool(b, f.Member != nil)
	if f.Member != nil {
		b = appendMember(b, f.Member)
	}
	return b
}

func (f *Presence) readFields(r *reader) {
	f.Node = r.string()
	f.StoreID = r.id()
	f.Run = r.id()
	f.Version = r.uvarint()
	f.Now = r.varint()
	f.Leaving = r.bool()
	f.State = r.string()
	f.Reads = readList(r, 1, readOneString)
	f.Writes = readList(r, 1, readOneString)
	f.Nonce, f.Kicks = r.id(), r.id()
	if r.bool() {
		f.Member = new(Member)
		readMember(r, f.Member)
	}
}

func (f *Discover) appendFields(b []byte) []byte { return appendList(b, f.Channels, appendOneString) }
func (f *Discover) readFields(r *reader)         { f.Channels = readList(r, 1, readOneString) }
