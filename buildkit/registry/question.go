package registry

import (
	"cmp"
	"context"
	"sync"
	"time"
)

// questions is how many manifests a Client asks for at the same time: enough that it does
// not wait for a registry that is far, and few enough that connections of HTTP/1.1, which
// carry one request each, are used again.
const questions = 32

// slow is when a question no longer counts: a registry that says nothing, which is waited
// for for minutes, does not keep a thousand others from being asked.
const slow = time.Second

// question waits until it may be asked, and returns what to call when it is answered.
func (c *Client) question(ctx context.Context) (answered func(), err error) {
	select {
	case c.questions <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	leave := sync.OnceFunc(func() { <-c.questions })
	late := time.AfterFunc(cmp.Or(c.slow, slow), leave)
	return func() { late.Stop(); leave() }, nil
}
