package store

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// crashDB tells the test binary to be TestKill9's child, and on which database.
const crashDB = "RMDS_STORE_TEST_DB"

func TestMain(m *testing.M) {
	if path := os.Getenv(crashDB); path != "" {
		if err := commitForEver(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1) // only a kill ends it in order
	}
	os.Exit(m.Run())
}

// commitForEver commits batches whose parts all say the same number, and prints it after each acknowledgement. Now and
// then it deletes the older half of the log, so that kills also hit deletions.
func commitForEver(path string) error {
	s, err := Open(path, Options{})
	if err != nil {
		return err
	}
	lineage, _, err := s.StartRun(randomID(), testNow)
	if err != nil {
		return err
	}
	source := []Run{{1, 1}} // the log whose messages it handles
	rows, err := s.Positions("s")
	if err != nil {
		return err
	}
	at, _ := Resolve(rows, 7, source)
	for n := lineage[len(lineage)-1].First; ; n++ {
		b := block(n, n, "a")
		b.Body = bytes.Repeat(binary.BigEndian.AppendUint64(nil, uint64(n)), int(n%700)*10) // up to 56 KB
		_, err := s.Commit(&Batch{Now: testNow, Blocks: []Block{b}, KV: []KVWrite{{Store: "h", Key: "n", Value: []byte(strconv.FormatInt(n, 10))}},
			Advances: []Advance{{Sender: "s", Lineage: source, Membership: 7, Segments: []Segment{{1, at, n}}}}})
		if err != nil {
			return err
		}
		at = n
		fmt.Println(n)
		if n%500 == 0 {
			if _, err := s.DeleteLog(n/2, nil, nil); err != nil {
				return err
			}
		}
	}
}

// A process killed at any instant loses nothing that it acknowledged, and leaves no transaction half done (G4).
func TestKill9(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.db")
	kills := 10
	if testing.Short() {
		kills = 3
	}
	acked := int64(0)
	for range kills {
		acked = max(acked, killAfter(t, path, 1+rand.IntN(400)))
		s := got(Open(path, Options{}))(t)
		if errs := s.Check(); errs != nil {
			t.Fatalf("after %d: %v", acked, errors.Join(errs...))
		}
		last := got(s.NextSeq())(t) - 1
		if last < acked || last > acked+1 {
			t.Errorf("acknowledged up to %d, the log ends at %d", acked, last)
		}
		value, _, err := s.KVGet("h", "n")
		check(t, err)
		at, _ := Resolve(got(s.Positions("s"))(t), 7, []Run{{1, 1}})
		if string(value) != fmt.Sprint(last) || at != last {
			t.Errorf("the log ends at %d, the handler's value is %s, the position %d", last, value, at)
		}
		intact(t, s, last)
		check(t, s.Close())
	}
}

// intact checks that the log has every seq from its first to last, each with its own body.
func intact(t *testing.T, s *Store, last int64) {
	t.Helper()
	var seq int64
	for {
		blocks := got(s.ReadLog(seq, 1<<20))(t)
		if len(blocks) == 0 {
			break
		}
		for _, b := range blocks {
			if seq != 0 && b.First != seq+1 {
				t.Fatalf("seq %d after %d", b.First, seq)
			}
			seq = b.Last
			if want := bytes.Repeat(binary.BigEndian.AppendUint64(nil, uint64(seq)), int(seq%700)*10); !bytes.Equal(b.Body, want) {
				t.Fatalf("seq %d has another body", seq)
			}
		}
	}
	if seq != last {
		t.Fatalf("the log ends at %d, not %d", seq, last)
	}
}

// killAfter runs the child, kills it after so many acknowledgements, and returns the last one that it gave.
func killAfter(t *testing.T, path string, acknowledgements int) (acked int64) {
	t.Helper()
	cmd := exec.Command(got(os.Executable())(t), "-test.run=^$")
	cmd.Env = append(os.Environ(), crashDB+"="+path)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out := got(cmd.StdoutPipe())(t)
	check(t, cmd.Start())
	lines := bufio.NewScanner(out)
	for lines.Scan() { // to the end of the pipe: what was written before the kill counts
		n, err := strconv.ParseInt(lines.Text(), 10, 64)
		check(t, err)
		acked = n
		if acknowledgements--; acknowledgements == 0 {
			check(t, cmd.Process.Kill())
		}
	}
	check(t, lines.Err())
	if err := cmd.Wait(); acknowledgements > 0 {
		t.Fatalf("the child ended by itself: %v: %s", err, stderr.String())
	}
	return acked
}
