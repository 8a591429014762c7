package solve

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/moby/buildkit/client"
)

// A Usage is what the cache of a builder takes of its disk.
type Usage struct {
	Records     int   // layers, mounts, sources
	Bytes       int64 // of all records
	Reclaimable int64 // bytes of those that nothing uses now
	Shared      int64 // bytes that several records share
}

// Plus adds what something else takes of the same disk.
func (u Usage) Plus(more Usage) Usage {
	u.Records, u.Bytes, u.Reclaimable, u.Shared = u.Records+more.Records, u.Bytes+more.Bytes, u.Reclaimable+more.Reclaimable, u.Shared+more.Shared
	return u
}

// A Limit says what pruning leaves.
type Limit struct {
	All  bool          // also what BuildKit itself needs to be quick, such as frontends
	Keep int64         // bytes that may stay; zero with Age zero: nothing that nothing uses
	Age  time.Duration // what was used within it stays; zero: age does not matter
}

// Usage returns what the cache takes.
func (b *Builder) Usage(ctx context.Context) (Usage, error) {
	c, err := b.client(ctx)
	if err != nil {
		return Usage{}, err
	}
	records, err := c.DiskUsage(ctx)
	if err != nil {
		return Usage{}, err
	}
	u := Usage{Records: len(records)}
	for _, r := range records {
		u.Bytes += r.Size
		if !r.InUse {
			u.Reclaimable += r.Size
		}
		if r.Shared {
			u.Shared += r.Size
		}
	}
	return u, nil
}

// Prune removes from the cache what is beyond the limit, and returns how much.
func (b *Builder) Prune(ctx context.Context, limit Limit) (freed Usage, err error) {
	c, err := b.client(ctx)
	if err != nil {
		return Usage{}, err
	}
	opts := []client.PruneOption{client.WithKeepOpt(limit.Age, limit.Keep, 0, 0)}
	if limit.All {
		opts = append(opts, client.PruneAll)
	}
	removed := make(chan client.UsageInfo)
	var counted sync.WaitGroup
	counted.Go(func() {
		for r := range removed {
			freed.Records++
			freed.Bytes += r.Size
		}
	})
	err = c.Prune(ctx, removed, opts...)
	close(removed)
	counted.Wait()
	if ctx.Err() != nil {
		err = errors.Join(context.Cause(ctx))
	}
	return freed, err
}
