package engine

import (
	"slices"
	"time"
)

// trouble is something that is wrong now. It ends when whoever noted it says so, or, if nobody could notice that it is
// over, when it was not noted again for a while.
type trouble struct {
	text  string
	until time.Time // zero: until it is said to be over
}

func (t trouble) over(now time.Time) bool { return !t.until.IsZero() && now.After(t.until) }

// setTrouble notes what is wrong, for Status; an empty text ends it.
func (c *Connection) setTrouble(kind, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if text == "" {
		delete(c.trouble, kind)
	} else {
		c.trouble[kind] = trouble{text: text}
	}
}

// identityConflict notes that a name is used twice. It is told once, and lasts as long as it is noticed again and again.
func (c *Connection) identityConflict(node, text string) {
	now := time.Now()
	c.mu.Lock()
	old, known := c.trouble["identity_conflict"]
	c.trouble["identity_conflict"] = trouble{text: text, until: now.Add(3 * c.cfg.NodeOfflineTimeout)}
	c.mu.Unlock()
	if !known || old.over(now) || old.text != text {
		c.emit(Event{Kind: "identity_conflict", Node: node, Text: text})
	}
}

func (c *Connection) storageTrouble(err error, again bool) {
	if again {
		c.setTrouble("storage", "")
		c.emit(Event{Kind: "storage_ok", Text: "storage works again"})
		return
	}
	c.setTrouble("storage", err.Error())
	c.emit(Event{Kind: "storage_failed", Text: err.Error()})
}

// troubles lists what is wrong, each as "kind: text".
func (c *Connection) troubles() []string {
	now := time.Now()
	c.mu.RLock()
	defer c.mu.RUnlock()
	list := make([]string, 0, len(c.trouble))
	for kind, t := range c.trouble {
		if !t.over(now) {
			list = append(list, kind+": "+t.text)
		}
	}
	slices.Sort(list)
	return list
}

// health is what presence says of this node: "ok" or the kind of trouble.
func (c *Connection) health() string {
	now := time.Now()
	c.mu.RLock()
	defer c.mu.RUnlock()
	kinds := []string{}
	for kind, t := range c.trouble {
		if !t.over(now) {
			kinds = append(kinds, kind)
		}
	}
	if len(kinds) == 0 {
		return "ok"
	}
	return slices.Min(kinds)
}
