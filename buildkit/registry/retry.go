package registry

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/slipway-ci/slipway/buildkit"
)

const (
	attempts    = 5
	silences    = 2           // attempts that wait for minutes in vain
	longestWait = time.Minute // a registry that wants more is an error
)

// retry does op until it succeeds, fails for good, or failed five times. It
// waits as long as the registry asked to, and twice as long each time otherwise. A
// registry that says nothing is asked twice.
func (c *Client) retry(ctx context.Context, op func() error) error {
	wait, silent := cmp.Or(c.backoff, 250*time.Millisecond), 0
	for attempt := 1; ; attempt++ {
		err := op()
		if err == nil || attempt == attempts || !temporary(err) || ctx.Err() != nil {
			return err
		}
		if buildkit.Silence(err) {
			if silent++; silent == silences {
				return err
			}
		}
		pause := wait + rand.N(wait)
		if a, ok := errors.AsType[*answer](err); ok && a.after > 0 {
			pause = a.after
		} else if l, ok := errors.AsType[*busyError](err); ok {
			pause = l.after
		}
		if pause > longestWait {
			return err
		}
		c.log().DebugContext(ctx, "registry: once more", "attempt", attempt, "in", pause, "after", err)
		sleep := c.pause
		if sleep == nil {
			sleep = buildkit.Sleep
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
		wait *= 2
	}
}

// A finalError is not tried again: what could help was done.
type finalError struct{ err error }

func (e *finalError) Error() string { return e.err.Error() }
func (e *finalError) Unwrap() error { return e.err }

// A busyError is a login that is to be tried again after some time.
type busyError struct {
	after time.Duration
	err   error
}

func (e *busyError) Error() string { return e.err.Error() }
func (e *busyError) Unwrap() error { return e.err }
