package registry

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

const (
	attempts    = 5
	longestWait = time.Minute // a registry that wants more is an error
)

// retry does op until it succeeds, fails for good, or failed five times. It
// waits as long as the registry asked to, and twice as long each time otherwise.
func (c *Client) retry(ctx context.Context, op func() error) error {
	wait := cmp.Or(c.backoff, 250*time.Millisecond)
	for attempt := 1; ; attempt++ {
		err := op()
		if err == nil || attempt == attempts || !temporary(err) || ctx.Err() != nil {
			return err
		}
		pause := wait + rand.N(wait)
		if a, ok := errors.AsType[*answer](err); ok && a.after > 0 {
			pause = a.after
		}
		if pause > longestWait {
			return err
		}
		c.log().DebugContext(ctx, "registry: once more", "attempt", attempt, "in", pause, "after", err)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
		wait *= 2
	}
}
