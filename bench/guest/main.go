// Command guest is the WASM handler that is measured: it reads its message and counts it in its store, as the plain Go
// handler beside it does. Built with GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared.
package main

import (
	"encoding/binary"

	"github.com/getevo/rmds/handlers/guest"
)

func init() {
	guest.Handle(func(m *guest.Msg) error {
		if len(m.Content()) == 0 {
			return guest.Reject("empty")
		}
		v, _, err := guest.Get("count")
		if err != nil {
			return err
		}
		n := uint64(0)
		if len(v) == 8 {
			n = binary.LittleEndian.Uint64(v)
		}
		return guest.Set("count", binary.LittleEndian.AppendUint64(nil, n+1))
	})
}

func main() {}
