package wire_test

import (
	"bytes"
	"testing"

	"github.com/getevo/rmds/engine/internal/wire"
)

// TestSignedTexts changes each thing that a signature must cover, and what it must not.
func TestSignedTexts(t *testing.T) {
	kick := wire.Kick{Node: "a", Channel: "c", Stamp: 1, By: "b"}
	command := func() *wire.Command {
		return &wire.Command{ID: 1, Target: 2, Nonce: 3, Action: wire.ActionKick, Kicks: []wire.Kick{kick}}
	}
	base := wire.CommandText("x.management.a.b", command())
	for name, change := range map[string]func(*wire.Command){
		"id":             func(c *wire.Command) { c.ID++ },
		"target":         func(c *wire.Command) { c.Target++ },
		"nonce":          func(c *wire.Command) { c.Nonce++ },
		"action":         func(c *wire.Command) { c.Action = wire.ActionPurgeAll },
		"kicks":          func(c *wire.Command) { c.Kicks = append(c.Kicks, kick) },
		"kick signature": func(c *wire.Command) { c.Kicks[0].Signature = []byte{1} },
	} {
		c := command()
		if change(c); bytes.Equal(wire.CommandText("x.management.a.b", c), base) {
			t.Errorf("command: the %s is not covered", name)
		}
	}
	if bytes.Equal(wire.CommandText("x.management.a.c", command()), base) {
		t.Error("command: the subject is not covered")
	}
	signed := command()
	signed.Key, signed.Signature = "U", []byte{1}
	if !bytes.Equal(wire.CommandText("x.management.a.b", signed), base) {
		t.Error("command: key or signature is covered by itself")
	}

	base = wire.KickText("rmds.", &kick)
	for name, change := range map[string]func(*wire.Kick){
		"node":    func(k *wire.Kick) { k.Node = "z" },
		"channel": func(k *wire.Kick) { k.Channel = "z" },
		"lifted":  func(k *wire.Kick) { k.Lifted = true },
		"stamp":   func(k *wire.Kick) { k.Stamp++ },
		"by":      func(k *wire.Kick) { k.By = "z" },
		"split":   func(k *wire.Kick) { k.Node, k.Channel = "ac", "" },
	} {
		k := kick
		if change(&k); bytes.Equal(wire.KickText("rmds.", &k), base) {
			t.Errorf("kick: the %s is not covered", name)
		}
	}
	if bytes.Equal(wire.KickText("other.", &kick), base) {
		t.Error("kick: the prefix is not covered")
	}
}

func TestKickDigest(t *testing.T) {
	a, b := wire.Kick{Node: "a", Stamp: 1}, wire.Kick{Node: "b", Stamp: 1}
	if wire.KickDigest(nil) != 0 {
		t.Error("the digest of nothing is not 0")
	}
	if wire.KickDigest([]wire.Kick{a, b}) != wire.KickDigest([]wire.Kick{b, a}) {
		t.Error("the digest depends on the sequence")
	}
	signed := a
	signed.Key, signed.Signature = "U", []byte{1}
	if wire.KickDigest([]wire.Kick{a}) != wire.KickDigest([]wire.Kick{signed}) {
		t.Error("the digest depends on the signature")
	}
	newer := a
	newer.Stamp++
	if wire.KickDigest([]wire.Kick{a}) == wire.KickDigest([]wire.Kick{newer}) {
		t.Error("the digest does not depend on the stamp")
	}
}
