package engine

import (
	"slices"
	"strings"

	"github.com/getevo/rmds/engine/internal/store"
)

// scanWrites is up to how many writes a look along the list is quicker than a map.
const scanWrites = 8

// writeSet is what a run has written so far: one write a key. Most runs write a few keys, some thousands.
type writeSet struct {
	list  []store.KVWrite
	index map[string]int // place in the list; nil while the list is short
}

// find returns the write of a key, or nil.
func (s *writeSet) find(key string) *store.KVWrite {
	if s.index != nil {
		if i, ok := s.index[key]; ok {
			return &s.list[i]
		}
		return nil
	}
	for i := range s.list {
		if s.list[i].Key == key {
			return &s.list[i]
		}
	}
	return nil
}

func (s *writeSet) put(w store.KVWrite) {
	if old := s.find(w.Key); old != nil {
		*old = w
		return
	}
	s.list = append(s.list, w)
	switch {
	case s.index != nil:
		s.index[w.Key] = len(s.list) - 1
	case len(s.list) > scanWrites:
		s.index = make(map[string]int, 4*scanWrites)
		for i := range s.list {
			s.index[s.list[i].Key] = i
		}
	}
}

// take returns the writes in key order, so that equal runs make equal transactions, and ends the use of the set.
func (s *writeSet) take() []store.KVWrite {
	list := s.list
	*s = writeSet{}
	slices.SortFunc(list, func(a, b store.KVWrite) int { return strings.Compare(a.Key, b.Key) })
	return list
}
