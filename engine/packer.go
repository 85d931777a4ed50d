package engine

import (
	"slices"

	"github.com/getevo/rmds/engine/internal/wire"
)

// maxScratch is the largest buffer that a packer keeps: some blocks' worth, but not a large message's.
const maxScratch = 1 << 20

// packer makes bodies of records in buffers that it uses again. What it returns has its own memory, no more than it
// needs: the tail keeps bodies for long. Used by one goroutine.
type packer struct {
	compress    bool
	raw, packed []byte
}

func (p *packer) pack(recs []wire.Record) wire.Body {
	p.raw = wire.AppendBlock(p.raw[:0], recs)
	body := wire.Pack(p.packed, p.raw, p.compress)
	if body.Enc == wire.EncSnappy {
		p.packed = body.Data[:0]
	}
	body.Data = slices.Clone(body.Data)
	if cap(p.raw) > maxScratch {
		p.raw, p.packed = nil, nil
	}
	return body
}
