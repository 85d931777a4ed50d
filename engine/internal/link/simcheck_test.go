package link

// check is what must hold when a run has ended, whatever the channel did.
func (s *sim) check() {
	s.t.Helper()
	fail := func(format string, args ...any) {
		s.t.Helper()
		s.t.Fatalf("seed %d: "+format, append([]any{s.w.seed}, args...)...)
	}
	if s.opened != 1 {
		fail("opened %d times", s.opened)
	}
	if s.got != len(s.log) || s.handled != len(s.log) {
		fail("%d delivered, %d handled of %d", s.got, s.handled, len(s.log))
	}
	want := map[uint64]Moved{}
	for _, it := range s.log {
		m := want[it.ref.Member]
		m.Member, m.Seq = it.ref.Member, it.ref.Seq
		if it.skip != nil {
			m.Count += it.skip.Count
		} else {
			m.Count++
		}
		want[m.Member] = m
	}
	for id, m := range want {
		if s.moved[id] != m {
			fail("sender thinks %+v, true is %+v", s.moved[id], m)
		}
	}
	if len(s.negHeard) != len(s.negGiven) {
		fail("%d negatives reported, %d given", len(s.negHeard), len(s.negGiven))
	}
	for i, n := range s.negHeard {
		if n.Seq != s.negGiven[i].Seq || n.N != uint64(i+1) {
			fail("negative %d is %+v, given %+v", i+1, n, s.negGiven[i])
		}
	}
	if !s.sndWake.IsZero() || !s.rcvWake.IsZero() {
		fail("sender waits for %v, receiver for %v with nothing left to do", s.sndWake, s.rcvWake)
	}
	if len(s.rcv.negatives) > 0 {
		fail("%d negatives never confirmed", len(s.rcv.negatives))
	}
	if f, raw := s.snd.Outstanding(); f != 0 || raw != 0 {
		fail("%d frames, %d bytes outstanding at the end", f, raw)
	}
	if most := s.rcv.cfg.Window + s.w.maxMessage + BodySlack; s.maxHeld > most {
		fail("receiver held %d, at most %d", s.maxHeld, most)
	}
}
