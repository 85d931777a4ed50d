package engine

import (
	"context"
	"slices"
	"strings"
	"time"
)

// note keeps a message's content behind those before it; the same twice is a failure of the engine, and shows as "again".
func note(_ context.Context, tx *Tx, m *Message) error {
	v, _, err := tx.Get("all")
	if err != nil {
		return err
	}
	if slices.Contains(strings.Fields(string(v)), string(m.Data)) {
		v = append(v, " again"...)
	}
	return tx.Set("all", append(append(v, ' '), m.Data...))
}

func recordSlowly(ctx context.Context, tx *Tx, m *Message) error {
	select {
	case <-time.After(10 * time.Millisecond):
	case <-ctx.Done():
		return ctx.Err()
	}
	return note(ctx, tx, m)
}

func recordAfter(hold <-chan struct{}) func(context.Context, *Tx, *Message) error {
	return func(ctx context.Context, tx *Tx, m *Message) error {
		select {
		case <-hold:
		case <-ctx.Done():
			return ctx.Err()
		}
		return note(ctx, tx, m)
	}
}
