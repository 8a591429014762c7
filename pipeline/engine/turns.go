package engine

import (
	"context"
	"sync"
)

// turns are taken by those of whom only some may be at work. Nil, there is one for each.
type turns chan struct{}

// newTurns makes as many as n; zero makes one for each.
func newTurns(n int) turns {
	if n <= 0 {
		return nil
	}
	return make(turns, n)
}

// take waits for a turn, or for the end of ctx, and returns what ends the turn. That may
// be called again.
func (t turns) take(ctx context.Context) (end func()) {
	if t == nil {
		return func() {}
	}
	select {
	case t <- struct{}{}:
		return sync.OnceFunc(func() { <-t })
	case <-ctx.Done():
		return func() {}
	}
}
