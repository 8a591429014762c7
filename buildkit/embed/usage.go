//go:build linux

package embed

import (
	"context"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

// packedLabel marks content that was packed here.
const packedLabel = "slipway.packed"

// sizeKey is where BuildKit keeps with a snapshot what it takes of the disk, once it
// knows. A text there is no size: it asks again.
const sizeKey = "snapshot.size"

// A weigher counts what a snapshot was packed into to what it takes of the disk.
// BuildKit counts only what it has packed itself, and its limits are about the sum.
type weigher struct {
	snapshots.Snapshotter
	blobs  content.Store
	leases leases.Manager
}

// Usage implements [snapshots.Snapshotter].
func (w *weigher) Usage(ctx context.Context, key string) (snapshots.Usage, error) {
	usage, err := w.Snapshotter.Usage(ctx, key)
	if err != nil {
		return usage, err
	}
	held, err := w.leases.ListResources(ctx, leases.Lease{ID: key}) // has the id of what it keeps
	if errdefs.IsNotFound(err) {
		return usage, nil
	}
	for _, r := range held {
		if r.Type != contentType {
			continue
		}
		if info, err := w.blobs.Info(ctx, digest.Digest(r.ID)); err == nil && info.Labels[packedLabel] != "" {
			usage.Add(snapshots.Usage{Size: info.Size})
		}
	}
	return usage, err
}
