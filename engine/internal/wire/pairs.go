package wire

// pair is what a record is addressed to.
type pair struct{ channel, to string }

// pairs is the dictionary of a block: the pairs met so far in order of their first use, and the one in use.
type pairs struct {
	list  []pair
	at    int // the pair of the last record
	index map[pair]int
}

// scanPairs is up to how many pairs a look along the list is quicker than a map.
const scanPairs = 8

// use makes a pair the one in use. met says whether the block had it before; if so, index is its place in the list, or
// -1 if it was in use already.
func (d *pairs) use(channel, to string) (index int, met bool) {
	if len(d.list) > 0 && d.list[d.at].channel == channel && d.list[d.at].to == to {
		return -1, true
	}
	p := pair{channel, to}
	if i := d.find(p); i >= 0 {
		d.at = i
		return i, true
	}
	d.at = len(d.list)
	d.list = append(d.list, p)
	switch {
	case d.index != nil:
		d.index[p] = d.at
	case len(d.list) > scanPairs:
		d.index = make(map[pair]int, 4*scanPairs)
		for i, p := range d.list {
			d.index[p] = i
		}
	}
	return -1, false
}

func (d *pairs) find(p pair) int {
	if d.index != nil {
		if i, ok := d.index[p]; ok {
			return i
		}
		return -1
	}
	for i := range d.list {
		if d.list[i] == p {
			return i
		}
	}
	return -1
}
