//go:build linux

package embed

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/moby/buildkit/cache"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/worker"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// A boundWorker takes layers from a cache that fetches each of them when a build
// needs it, and bounds how long that may be silent.
type boundWorker struct {
	worker.Worker
	limit time.Duration
}

// FromRemote implements [worker.Worker].
func (w boundWorker) FromRemote(ctx context.Context, remote *solver.Remote) (cache.ImmutableRef, error) {
	return w.Worker.FromRemote(ctx, &solver.Remote{Descriptors: remote.Descriptors, Provider: boundProvider{remote.Provider, w.limit}})
}

type boundProvider struct {
	content.InfoReaderProvider
	limit time.Duration
}

// ReaderAt implements [content.Provider].
func (p boundProvider) ReaderAt(ctx context.Context, desc ocispecs.Descriptor) (content.ReaderAt, error) {
	inner, err := p.InfoReaderProvider.ReaderAt(ctx, desc)
	if err != nil {
		return nil, err
	}
	return &boundReader{inner: inner, ctx: ctx, limit: p.limit, of: desc}, nil
}

// A boundReader gives up a read that takes longer than the limit, or than its
// context. What reads GitHub's storage can do neither: it has a context of its own,
// asks again for a quarter of an hour, and waits for ever where nothing is said. So
// a read that was given up goes on in a goroutine until it ends by itself.
type boundReader struct {
	inner content.ReaderAt
	ctx   context.Context //nolint:containedctx // of all reads, as in every content.Provider
	limit time.Duration
	of    ocispecs.Descriptor
	gone  error         // why a read was given up: none can follow
	left  chan struct{} // is closed when that has ended after all
}

// Size implements [content.ReaderAt].
func (r *boundReader) Size() int64 { return r.of.Size }

// ReadAt implements [content.ReaderAt].
func (r *boundReader) ReadAt(p []byte, off int64) (int, error) {
	if r.gone != nil {
		return 0, r.gone
	}
	var n int
	var err error
	own, done := make([]byte, len(p)), make(chan struct{}) // p is the caller's again when we return
	go func() {
		defer close(done)
		n, err = r.inner.ReadAt(own, off)
	}()
	timer := time.NewTimer(r.limit)
	defer timer.Stop()
	select {
	case <-done:
		return copy(p, own[:n]), err
	case <-timer.C:
		r.gone = fmt.Errorf("layer %s: the cache says nothing for %v", r.of.Digest, r.limit)
	case <-r.ctx.Done():
		r.gone = context.Cause(r.ctx)
	}
	r.left = done
	return 0, r.gone
}

// Close implements [io.Closer].
func (r *boundReader) Close() error {
	if r.left == nil {
		return r.inner.Close()
	}
	go func() {
		<-r.left
		_ = r.inner.Close()
	}()
	return nil
}
