package store

import (
	"slices"
	"testing"
)

func TestPutKicks(t *testing.T) {
	d := newDB(t)
	joined := got(d.Join("temp", 0, "s", testNow))(t)
	got(d.Join("log", 0, "s", testNow))(t)
	before := got(d.Version())(t)
	order := Kick{Node: "a", Channel: "temp", Stamp: 5, By: "desk", Key: "U", Signature: []byte{1}}
	check(t, d.PutKicks([]Kick{order, {Node: "b", Stamp: 1, By: "desk", Signature: []byte{}}}, []string{"temp", "unknown"}))
	order.Lifted, order.Stamp = true, 6
	check(t, d.PutKicks([]Kick{order}, nil))
	d.reopen()
	kicks := got(d.Kicks())(t)
	if len(kicks) != 2 || !kicks[0].Lifted || kicks[0].Stamp != 6 || string(kicks[0].Signature) != "\x01" || kicks[1].Node != "b" {
		t.Errorf("kicks are %+v", kicks)
	}
	if list := got(d.Memberships())(t); len(list) != 1 || list[0].Channel != "log" {
		t.Errorf("memberships are %+v", list)
	}
	if v := got(d.Version())(t); v <= before {
		t.Errorf("version %d, before the leave %d", v, before)
	}
	if again := got(d.Join("temp", 0, "s", testNow))(t); again.ID == joined.ID {
		t.Error("joining again gave the same membership")
	}
}

func TestAudits(t *testing.T) {
	d := newDB(t)
	id := got(d.AddAudit(Audit{At: 1, Who: "desk", Key: "U", Action: "kick", Args: "a", Outcome: "begun"}))(t)
	got(d.AddAudit(Audit{At: 2, Who: "evil", Action: "kick", Outcome: "refused", Text: "unsigned"}))(t)
	check(t, d.FinishAudit(id, "done", "1 order"))
	d.reopen()
	list := got(d.Audits(0, 10))(t)
	if len(list) != 2 || list[0].Outcome != "done" || list[0].Text != "1 order" || list[0].Key != "U" || list[1].Who != "evil" {
		t.Errorf("audits are %+v", list)
	}
	if list := got(d.Audits(id, 10))(t); len(list) != 1 {
		t.Errorf("after the first: %+v", list)
	}
}

// TestAuditsAreBounded floods a node with refused commands: what it obeyed stays.
func TestAuditsAreBounded(t *testing.T) {
	d := newDB(t)
	obeyed := got(d.AddAudit(Audit{Action: "kick", Outcome: "done"}))(t)
	for range maxAudits + 2*auditPrune {
		got(d.AddAudit(Audit{Action: "kick", Outcome: "refused"}))(t)
	}
	list := got(d.Audits(0, 2*maxAudits))(t)
	if list[0].ID != obeyed || len(list) > maxAudits+auditPrune+1 || len(list) < maxAudits+1 {
		t.Errorf("%d commands are kept, the first is %+v", len(list), list[0])
	}
}

// deadSeqs returns the seqs of the dead letters for a reader.
func deadSeqs(t *testing.T, d *testDB, reader string) (seqs []int64) {
	for _, l := range got(d.DeadList(0, 1000))(t) {
		if l.Reader == reader {
			seqs = append(seqs, l.Seq)
		}
	}
	return seqs
}

// TestConfirm sets a stretch aside in two pieces and lets the reader turn out to be at each possible place.
func TestConfirm(t *testing.T) {
	for _, c := range []struct {
		name string
		at   int64
		rest int64
		skip []Skip
		dead []int64
	}{
		{"at the cursor", 2, 3, []Skip{{Node: "r", Membership: 7, Prev: 2, To: 5, Reason: "purged", Count: 3}}, []int64{3, 4, 5}},
		{"behind the cursor", 1, 3, []Skip{{Node: "r", Membership: 7, Prev: 2, To: 5, Reason: "purged", Count: 3}}, []int64{3, 4, 5}},
		{"inside", 4, 1, []Skip{{Node: "r", Membership: 7, Prev: 4, To: 5, Reason: "purged", Count: 1}}, []int64{5}},
		{"behind it all", 5, 0, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDB(t)
			letter := func(reader string, seq int64) Dead {
				return Dead{Side: "sender", Sender: "s", Seq: seq, Channel: "temp", Reader: reader, Reason: "purged"}
			}
			check(t, d.PutMember(Member{Node: "r", Membership: 7, Channel: "temp", Acked: 0}))
			check(t, d.SetAside(Skip{Node: "r", Membership: 7, Prev: 2, To: 4, Reason: "purged", Count: 2}, []Dead{letter("r", 3), letter("r", 4), letter("other", 3)}))
			check(t, d.SetAside(Skip{Node: "r", Membership: 7, Prev: 2, To: 5, Reason: "purged", Count: 3}, []Dead{letter("r", 5)}))
			d.reopen()
			if n := len(got(d.Doubts("r", 7))(t)); n != 1 {
				t.Fatalf("%d skips in doubt", n)
			}
			withdrawn := got(d.Confirm("r", 7, "temp", c.at, c.rest))(t)
			if want := int64(3 - len(c.dead)); withdrawn != want {
				t.Errorf("%d withdrawn, want %d", withdrawn, want)
			}
			if skips := got(d.Skips("r", 7))(t); !slices.Equal(skips, c.skip) {
				t.Errorf("skips are %+v, want %+v", skips, c.skip)
			}
			if seqs := deadSeqs(t, d, "r"); !slices.Equal(seqs, c.dead) {
				t.Errorf("dead letters are %v, want %v", seqs, c.dead)
			}
			if n := len(deadSeqs(t, d, "other")); n != 1 {
				t.Errorf("another reader has %d dead letters, want 1", n)
			}
			if n := len(got(d.Doubts("r", 7))(t)); n != 0 {
				t.Errorf("%d skips still in doubt", n)
			}
			got(d.Confirm("r", 7, "temp", 100, 0))(t) // no doubt, nothing to withdraw
			if seqs := deadSeqs(t, d, "r"); !slices.Equal(seqs, c.dead) {
				t.Errorf("dead letters are %v after the doubt had ended", seqs)
			}
		})
	}
}

func TestReviveMember(t *testing.T) {
	d := newDB(t)
	m := Member{Node: "r", Membership: 7, Channel: "temp", Ended: true, EndReason: "kicked"}
	check(t, d.PutMember(m))
	check(t, d.SetAside(Skip{Node: "r", Membership: 7, Prev: 0, To: 3, Reason: "kicked", Count: 3}, nil))
	check(t, d.SetAside(Skip{Node: "r", Membership: 7, Prev: 4, To: 5, Reason: "kicked", Count: 1}, nil))
	m.Ended, m.EndReason = false, ""
	whole := Skip{Node: "r", Membership: 7, Prev: 0, To: 9, Reason: "kicked", Count: 8}
	check(t, d.ReviveMember(m, whole))
	if list, skips := got(d.Members())(t), got(d.Skips("r", 7))(t); len(list) != 1 || list[0] != m || !slices.Equal(skips, []Skip{whole}) {
		t.Errorf("members are %+v, skips %+v", list, skips)
	}
	check(t, d.ReviveMember(m, Skip{Node: "r", Membership: 7}))
	if skips, doubts := got(d.Skips("r", 7))(t), got(d.Doubts("r", 7))(t); len(skips)+len(doubts) != 0 {
		t.Errorf("skips are %+v, doubts %+v", skips, doubts)
	}
}

func TestDiscardLog(t *testing.T) {
	d := newDB(t)
	d.commit(Batch{Blocks: []Block{block(1, 1, "a", "a")}})
	d.commit(Batch{Blocks: []Block{block(3, 1, "b", "b")}})
	if seq, found, err := d.FirstSeq("b", ""); err != nil || !found || seq != 3 {
		t.Errorf("first of b: %d, %v, %v", seq, found, err)
	}
	if n := got(d.DiscardLog(2, []Dead{{Side: "sender", Seq: 1, Channel: "a"}}))(t); n != 2 {
		t.Errorf("%d records deleted, want 2", n)
	}
	if _, found, err := d.FirstSeq("a", ""); err != nil || found {
		t.Errorf("a still has records: %v, %v", found, err)
	}
	if n := got(d.DeadCount())(t); n != 1 {
		t.Errorf("%d dead letters", n)
	}
	d.sound()
}
