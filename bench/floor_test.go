package main

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/golang/snappy"
	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	_ "modernc.org/sqlite"
)

// BenchmarkSQLiteCommit is the floor of storing: a transaction with synchronous=FULL that inserts one row, which holds so
// many messages, compressed. Times are per message.
func BenchmarkSQLiteCommit(b *testing.B) {
	for _, perRow := range []int{1, 16, 170, 1360} {
		b.Run(fmt.Sprintf("messages=%d", perRow), func(b *testing.B) {
			db, err := sql.Open("sqlite", filepath.Join(b.TempDir(), "db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			db.SetMaxOpenConns(1)
			if _, err := db.Exec(`CREATE TABLE block (last INTEGER PRIMARY KEY, body BLOB)`); err != nil {
				b.Fatal(err)
			}
			r := newReadings(messageSize)
			var raw []byte
			for range perRow {
				raw = append(raw, r.next()...)
			}
			b.ResetTimer()
			for i := 0; i < b.N; i += perRow {
				if _, err := db.Exec(`INSERT INTO block (body) VALUES (?)`, snappy.Encode(nil, raw)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkNATSPublish is the floor of carrying: messages of 256 bytes each alone, and 170 in a frame, over loopback, until
// they have arrived. Times are per message.
func BenchmarkNATSPublish(b *testing.B) {
	s, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: -1, NoSigs: true})
	if err != nil {
		b.Fatal(err)
	}
	s.Start()
	defer s.Shutdown()
	for _, perFrame := range []int{1, 170} {
		b.Run(fmt.Sprintf("messages=%d", perFrame), func(b *testing.B) {
			from, err1 := nats.Connect(s.ClientURL())
			to, err2 := nats.Connect(s.ClientURL())
			if err1 != nil || err2 != nil {
				b.Fatal(err1, err2)
			}
			defer from.Close()
			defer to.Close()
			frames := (b.N + perFrame - 1) / perFrame
			got, done := 0, make(chan struct{})
			sub, err := to.Subscribe("x", func(*nats.Msg) {
				if got++; got == frames {
					close(done)
				}
			})
			if err == nil {
				err = errors.Join(sub.SetPendingLimits(-1, -1), to.Flush())
			}
			if err != nil {
				b.Fatal(err)
			}
			data := make([]byte, perFrame*messageSize)
			b.ResetTimer()
			for range frames {
				if err := from.Publish("x", data); err != nil {
					b.Fatal(err)
				}
			}
			<-done
		})
	}
}
