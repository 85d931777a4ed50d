package demo

import (
	"fmt"
	"strconv"
	"time"

	"github.com/getevo/rmds/engine"
)

// Account is what the demo found at its end. Duplicates, losses and order are counted from what the handler left in its
// key-value store and from the replies, not from the engine's counters.
type Account struct {
	Sent        int   `json:"sent"`       // readings that SendMessage accepted
	Handled     int   `json:"handled"`    // different readings in the handler's store
	Replied     int   `json:"replied"`    // different readings that a reply came for
	Alerts      int   `json:"alerts"`     // different alerts that arrived at the sensor
	Duplicates  int   `json:"duplicates"` // readings handled again, replies and alerts that came again
	Lost        int   `json:"lost"`       // readings accepted that were not handled, or not replied to
	OutOfOrder  int   `json:"out_of_order"`
	LongestWait int64 `json:"longest_wait_ms"` // from SendMessage to the reply
	Seed        int64 `json:"seed"`            // repeats the moments of the outage and of the kill
}

// Good reports whether the promise held.
func (a *Account) Good() bool {
	return a.Lost == 0 && a.Duplicates == 0 && a.OutOfOrder == 0 && a.Sent > 0
}

// String is the account for people.
func (a *Account) String() string {
	verdict := "nothing lost, nothing twice, in order"
	if !a.Good() {
		verdict = "THE PROMISE IS BROKEN"
	}
	return fmt.Sprintf(`
  sent          %8d   readings accepted by the sensor's log
  handled       %8d   by the WebAssembly handler, counted in its key-value store
  replied       %8d
  alerts        %8d
  duplicates    %8d
  lost          %8d
  out of order  %8d
  longest wait  %8s   from accepted to answered
  %s (seed %d)
`, a.Sent, a.Handled, a.Replied, a.Alerts, a.Duplicates, a.Lost, a.OutOfOrder,
		(time.Duration(a.LongestWait) * time.Millisecond).Round(10*time.Millisecond), verdict, a.Seed)
}

// edgeReport is what the edge found in its handler's store.
type edgeReport struct {
	Handled    int   `json:"handled"`
	Repeated   int   `json:"repeated"`
	Missing    []int `json:"missing"`
	OutOfOrder int   `json:"out_of_order"`
}

// readEdge counts the readings 1 to sent in the handler's store.
func readEdge(kv *engine.KV, sent int) (edgeReport, error) {
	r := edgeReport{Missing: []int{}}
	for n := 1; n <= sent; n++ {
		times, err := number(kv, "seen/"+strconv.Itoa(n))
		switch {
		case err != nil:
			return r, err
		case times == 0:
			r.Missing = append(r.Missing, n)
		default:
			r.Handled++
			r.Repeated += times - 1
		}
	}
	var err error
	r.OutOfOrder, err = number(kv, "out_of_order")
	return r, err
}

// number reads a counter; one that was never written is 0.
func number(kv *engine.KV, key string) (int, error) {
	v, ok, err := kv.Get(key)
	if err != nil || !ok {
		return 0, err
	}
	n, err := strconv.Atoi(string(v))
	if err != nil {
		return 0, fmt.Errorf("key %s holds %q, which is no number", key, v)
	}
	return n, nil
}
