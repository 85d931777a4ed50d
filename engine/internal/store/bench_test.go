package store

import (
	"crypto/rand"
	"fmt"
	"path/filepath"
	"testing"
)

// BenchmarkCommit stores batches of 256-byte records, packed into blocks of 48 KiB, with one advance each, as a node does
// that handles one message for each that it sends. The log is trimmed on the way, as in a node whose readers keep up.
func BenchmarkCommit(b *testing.B) {
	const recordBytes, blockRecords, keep = 256, 192, 1 << 16
	body := make([]byte, recordBytes*blockRecords)
	_, _ = rand.Read(body)
	for _, sync := range []string{"FULL", "OFF"} {
		for _, records := range []int64{1, 64, 1024} {
			b.Run(fmt.Sprintf("sync=%s/records=%d", sync, records), func(b *testing.B) {
				s, err := Open(filepath.Join(b.TempDir(), "node.db"), Options{Sync: sync})
				check(b, err)
				defer func() { check(b, s.Close()) }()
				lineage := []Run{{1, 1}}
				var next, trimmed int64 = 1, 0
				b.ReportAllocs()
				b.SetBytes(records * recordBytes)
				for b.Loop() {
					batch := Batch{Now: testNow, Advances: []Advance{{Sender: "s", Lineage: lineage, Membership: 7,
						Segments: []Segment{{1, next - 1, next + records - 1}}}}}
					for left := records; left > 0; {
						n := min(left, blockRecords)
						batch.Blocks = append(batch.Blocks, Block{First: next, Last: next + n - 1, Count: int(n), Body: body[:n*recordBytes],
							Streams: []StreamPart{{Channel: "a", Count: int(n), Bytes: n * recordBytes, First: next, Last: next + n - 1}}})
						next, left = next+n, left-n
					}
					_, err := s.Commit(&batch)
					check(b, err)
					if next-trimmed > 2*keep {
						trimmed = next - keep
						_, err := s.DeleteLog(trimmed, nil, nil)
						check(b, err)
					}
				}
				b.ReportMetric(float64(records)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
			})
		}
	}
}
