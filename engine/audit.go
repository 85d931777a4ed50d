package engine

import (
	"time"
)

// auditBegun is the outcome of a command that is under way, or during which the node ended.
const auditBegun = "begun"

// AuditEntry is a management command that this node obeyed or refused.
type AuditEntry struct {
	ID      int64     `json:"id"` // rising
	At      time.Time `json:"at"`
	Who     string    `json:"who"`           // the node that it came from; this node's own id for its own program
	Key     string    `json:"key,omitempty"` // the operator's public nkey; "" unsigned
	Action  string    `json:"action"`        // kick, purge_all, purge_sent or purge_queue
	Args    string    `json:"args,omitempty"`
	Outcome string    `json:"outcome"` // done, refused, failed, or begun: the node ended before the command did
	Text    string    `json:"text,omitempty"`
}

// Audit returns up to n commands with ids above after, oldest first. The newest 10,000 that
// were refused and the newest 10,000 others are kept.
func (m *Mgmt) Audit(after int64, n int) ([]AuditEntry, error) {
	list, err := m.c.st.Audits(after, n)
	if err != nil {
		return nil, err
	}
	out := make([]AuditEntry, len(list))
	for i, a := range list {
		out[i] = AuditEntry{ID: a.ID, At: time.Unix(0, a.At), Who: a.Who, Key: a.Key, Action: a.Action, Args: a.Args, Outcome: a.Outcome, Text: a.Text}
	}
	return out, nil
}
