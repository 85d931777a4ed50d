package bus

import "time"

// delivery is one copy of a message on its way to one subscription.
type delivery struct {
	due     time.Time
	order   uint64 // rising with the time of sending
	to      *memSubscription
	subject string
	data    []byte
}

// deliveryQueue is a heap (container/heap) with the delivery due first in front, and of those due together the
// one sent first.
type deliveryQueue []delivery

func (q deliveryQueue) Len() int      { return len(q) }
func (q deliveryQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *deliveryQueue) Push(x any)   { *q = append(*q, x.(delivery)) }

func (q deliveryQueue) Less(i, j int) bool {
	if !q[i].due.Equal(q[j].due) {
		return q[i].due.Before(q[j].due)
	}
	return q[i].order < q[j].order
}

func (q *deliveryQueue) Pop() any {
	last := len(*q) - 1
	d := (*q)[last]
	(*q)[last] = delivery{} // lets go of the data
	*q = (*q)[:last]
	return d
}
