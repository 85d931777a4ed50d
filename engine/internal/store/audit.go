package store

// Audit is a management command and what became of it.
type Audit struct {
	ID      int64 // given by AddAudit, rising
	At      int64 // unix ns
	Who     string
	Key     string // the operator's public key; "" unsigned
	Action  string
	Args    string
	Outcome string
	Text    string
}

// Of refused commands and of all others each the newest maxAudits are kept, or a few more: whoever floods a node with what it
// refuses does not drive out what it obeyed.
const (
	maxAudits  = 10_000
	auditPrune = 100 // every how many commands the others go
	refused    = "refused"
)

// AddAudit keeps a command and returns its id.
func (s *Store) AddAudit(a Audit) (id int64, err error) {
	err = s.write("AddAudit", func(t *tx) error {
		id, err = t.insert(`INSERT INTO audit (at, who, key, action, args, outcome, text) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			a.At, a.Who, a.Key, a.Action, a.Args, a.Outcome, a.Text)
		if err != nil || id%auditPrune != 0 {
			return err
		}
		for _, class := range []bool{true, false} {
			if _, err := t.run(`DELETE FROM audit WHERE (outcome = ?1) = ?2 AND id <=
					(SELECT id FROM audit WHERE (outcome = ?1) = ?2 ORDER BY id DESC LIMIT 1 OFFSET ?3)`, refused, class, maxAudits); err != nil {
				return err
			}
		}
		return nil
	})
	return id, err
}

// FinishAudit notes what became of a command.
func (s *Store) FinishAudit(id int64, outcome, text string) error {
	return s.write("FinishAudit", func(t *tx) error {
		_, err := t.run(`UPDATE audit SET outcome = ?, text = ? WHERE id = ?`, outcome, text, id)
		return err
	})
}

// Audits returns up to n commands with ids above after, oldest first.
func (s *Store) Audits(after int64, n int) ([]Audit, error) {
	return list(s, "Audits", `SELECT id, at, who, key, action, args, outcome, text FROM audit WHERE id > ? ORDER BY id LIMIT ?`, []any{after, n},
		func(scan func(...any) error, a *Audit) error {
			return scan(&a.ID, &a.At, &a.Who, &a.Key, &a.Action, &a.Args, &a.Outcome, &a.Text)
		})
}
