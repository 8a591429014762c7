package solve

import (
	"context"
	"errors"
	"testing"
)

func TestTurn(t *testing.T) {
	b := &Builder{AtOnce: 2}
	first, err := b.turn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.turn(t.Context()); err != nil {
		t.Fatal(err)
	}
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	if _, err := b.turn(ctx); !errors.Is(err, gone) {
		t.Errorf("a third does not wait: %v", err)
	}
	first()
	if _, err := b.turn(t.Context()); err != nil {
		t.Errorf("after one ended: %v", err)
	}
	for range 3 {
		if _, err := new(Builder).turn(ctx); err != nil {
			t.Errorf("without a limit: %v", err)
		}
	}
}
