package store

import "fmt"

// invariants are queries that return one line for each breach.
var invariants = []struct{ name, query string }{
	{"a block's numbers", `SELECT printf('seq %d to %d: %d records', first, last, count) FROM block
		WHERE first < 1 OR last < first OR count < 1 OR count > last - first + 1`},
	{"blocks rise", `SELECT printf('seq %d to %d after %d, newest creation %d after %d', first, last, before, created_hi, created_before) FROM
		(SELECT first, last, created_hi, lag(last, 1, 0) OVER w AS before, lag(created_hi, 1, created_hi) OVER w AS created_before
			FROM block WINDOW w AS (ORDER BY last))
		WHERE first <= before OR created_hi < created_before`},
	{"a part has its block", `SELECT printf('stream %d, block %d, seq %d to %d', stream, block, p.first, p.last)
		FROM part p LEFT JOIN block b ON b.last = p.block
		WHERE b.last IS NULL OR p.first < b.first OR p.last > b.last OR p.last < p.first`},
	{"a part has its stream", `SELECT printf('stream %d, block %d', stream, block) FROM part WHERE stream NOT IN (SELECT id FROM stream)`},
	{"blocks are the sum of their parts", `SELECT printf('block %d: %d records, %d in its parts', b.last, b.count, coalesce(n, 0))
		FROM block b LEFT JOIN (SELECT block, sum(n) AS n FROM
			(SELECT block, count_hi - lag(count_hi, 1, s.deleted_count) OVER (PARTITION BY stream ORDER BY block) AS n
				FROM part JOIN stream s ON s.id = part.stream) GROUP BY block) p ON p.block = b.last
		WHERE b.count <> coalesce(n, 0)`},
	{"what was deleted lies below", `SELECT printf('stream %d: deleted through %d', id, deleted_seq) FROM stream
		WHERE deleted_seq >= (SELECT first FROM part WHERE stream = id ORDER BY block LIMIT 1)
			OR deleted_seq >= (SELECT max(m.value, coalesce((SELECT max(last) + 1 FROM block), 0)) FROM meta m WHERE m.key = 'seq_floor')`},
	{"runs rise", `SELECT printf('run %016x: first %d, before it %d', run, first, before) FROM
		(SELECT run, first, lag(first, 1, 0) OVER (ORDER BY ordinal) AS before FROM run)
		WHERE first < before OR first > (SELECT max(m.value, coalesce((SELECT max(last) + 1 FROM block), 0)) FROM meta m WHERE m.key = 'seq_floor')`},
	{"identities", `SELECT 'no ' || k FROM (SELECT 'store_id' AS k UNION SELECT 'addressed_membership')
		WHERE coalesce((SELECT value FROM meta WHERE key = k), 0) = 0
		UNION ALL SELECT 'membership of ' || channel FROM membership WHERE id = 0`},
	{"positions", `SELECT printf('%s, membership %016x, run %016x: %d', sender, membership, run, seq) FROM position WHERE seq < 1 OR membership = 0`},
	{"cursors", `SELECT printf('%s, membership %016x: acknowledged %d, scanned %d, %d records', node, membership, acked, scanned, count)
		FROM member WHERE acked < 0 OR scanned < 0 OR count < 0
			OR max(acked, scanned) >= (SELECT max(m.value, coalesce((SELECT max(last) + 1 FROM block), 0)) FROM meta m WHERE m.key = 'seq_floor')`},
	{"skips", `SELECT printf('%s, membership %016x: %d to %d, %d records', node, membership, prev, upto, count) FROM skip
		WHERE upto <= prev OR count < 0 OR (node, membership) NOT IN (SELECT node, membership FROM member)`},
	{"dead letters are counted", `SELECT printf('%d counted, %d there', value, n) FROM meta, (SELECT count(*) AS n FROM dead)
		WHERE key = 'dead_count' AND value <> n`},
}

// Check looks for damage: SQLite's own check of every page, then what must hold between the rows. It returns what it
// found; nil means sound. It reads the whole database, beside the work that goes on.
func (s *Store) Check() []error {
	var found []error
	report := func(name, query, sound string) func(*snapshot) error {
		return func(q *snapshot) error {
			return q.rows(query, nil, func(scan func(...any) error) (bool, error) {
				var text string
				if err := scan(&text); err != nil {
					return false, err
				}
				if text != sound {
					found = append(found, fmt.Errorf("store: %s: %s", name, text))
				}
				return true, nil
			})
		}
	}
	err := s.readSnapshot("Check", func(q *snapshot) error {
		if err := report("integrity", `PRAGMA integrity_check`, "ok")(q); err != nil {
			return err
		}
		for _, v := range invariants {
			if err := report(v.name, v.query, "")(q); err != nil {
				return fmt.Errorf("%s: %w", v.name, err)
			}
		}
		return nil
	})
	if err != nil {
		found = append(found, err)
	}
	return found
}
