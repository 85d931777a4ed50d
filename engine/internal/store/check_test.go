package store

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// Check finds each kind of damage, and nothing else, in a database that was sound.
func TestCheck(t *testing.T) {
	for _, c := range []struct{ want, damage string }{
		{"a block's numbers", `UPDATE block SET first = 9 WHERE last = 4`},
		{"blocks rise", `UPDATE block SET created_hi = 1 WHERE last = 6`},
		{"blocks rise", `UPDATE block SET first = 4, count = 2 WHERE last = 6`},
		{"a part has its block", `DELETE FROM block WHERE last = 4`},
		{"a part has its block", `UPDATE part SET last = 99 WHERE block = 4`},
		{"a part has its stream", `DELETE FROM stream WHERE channel = 'b'`},
		{"blocks are the sum of their parts", `DELETE FROM part WHERE block = 4`},
		{"blocks are the sum of their parts", `UPDATE part SET count_hi = count_hi + 1 WHERE block = 6`},
		{"what was deleted lies below", `UPDATE stream SET deleted_seq = 5 WHERE channel = 'a'`},
		{"what was deleted lies below", `INSERT INTO stream (channel, node, deleted_seq) VALUES ('z', '', 7)`},
		{"runs rise", `UPDATE run SET first = 9`},
		{"identities", `UPDATE meta SET value = 0 WHERE key = 'store_id'`},
		{"identities", `DELETE FROM meta WHERE key = 'addressed_membership'`},
		{"identities", `UPDATE membership SET id = 0`},
		{"positions", `UPDATE position SET seq = 0`},
		{"cursors", `UPDATE member SET acked = 7`},
		{"cursors", `UPDATE member SET count = -1`},
		{"skips", `UPDATE skip SET upto = prev`},
		{"skips", `DELETE FROM member`},
		{"dead letters are counted", `DELETE FROM dead`},
	} {
		t.Run(c.want, func(t *testing.T) {
			d := newDB(t)
			check(t, d.PutMember(Member{Node: "n", Membership: 1, Channel: "a"}))
			_, _, err := d.StartRun(1, testNow)
			check(t, err)
			got(d.Join("a", 0, "s", testNow))(t)
			d.commit(Batch{Blocks: []Block{block(1, 5, "a", "a")}})
			b := fullBatch()
			b.Blocks = []Block{block(3, 6, "a", "b"), block(5, 7, "a", "b")}
			d.commit(b)
			got(d.DeleteLog(2, nil, nil))(t)
			d.sound()
			_, err = d.writer.conn.ExecContext(background, c.damage)
			check(t, err)
			found := d.Check()
			for _, err := range found {
				if strings.Contains(err.Error(), c.want) {
					return
				}
			}
			t.Errorf("%s: found %v", c.damage, found)
		})
	}
}

// A damaged page is found by Check, and is ErrCorrupt to whoever meets it.
func TestDamagedPage(t *testing.T) {
	d := newDB(t)
	d.commit(fullBatch())
	var root int64
	check(t, d.writer.conn.QueryRowContext(background, `SELECT rootpage FROM sqlite_schema WHERE name = 'position'`).Scan(&root))
	check(t, d.Close())
	f := got(os.OpenFile(d.path, os.O_RDWR, 0))(t)
	got(f.WriteAt([]byte(strings.Repeat("damage! ", pageSize/8)), (root-1)*pageSize))(t)
	check(t, f.Close())
	d.open()
	if _, err := d.Positions("s"); !errors.Is(err, ErrCorrupt) || !IsIO(err) {
		t.Errorf("Positions: %v, want ErrCorrupt", err)
	}
	if errs := d.Check(); len(errs) == 0 || !strings.Contains(errs[0].Error(), "integrity") {
		t.Errorf("Check: %v", errs)
	}
}
