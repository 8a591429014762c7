package main

import (
	"context"
	"fmt"
	"time"
)

// poll calls done until it says true, returns an error, or ctx ends.
func poll(ctx context.Context, every time.Duration, what string, done func(context.Context) (bool, error)) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if ok, err := done(ctx); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, context.Cause(ctx))
		case <-tick.C:
		}
	}
}
