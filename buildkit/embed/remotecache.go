//go:build linux

package embed

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/moby/buildkit/cache/remotecache"
	"github.com/moby/buildkit/cache/remotecache/gha"
	inline "github.com/moby/buildkit/cache/remotecache/inline"
	folder "github.com/moby/buildkit/cache/remotecache/local"
	registry "github.com/moby/buildkit/cache/remotecache/registry"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/worker"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/slipway-ci/slipway/buildkit"
)

// cacheExporters are the places where steps can be kept for other machines.
func cacheExporters(sessions *session.Manager, hosts docker.RegistryHosts, patience time.Duration) map[string]remotecache.ResolveCacheExporterFunc {
	return map[string]remotecache.ResolveCacheExporterFunc{
		"registry": registry.ResolveCacheExporterFunc(sessions, hosts),
		"local":    folder.ResolveCacheExporterFunc(sessions),
		"inline":   inline.ResolveCacheExporterFunc(),
		"gha":      writesFor(gha.ResolveCacheExporterFunc(nil, nil), patience),
	}
}

// cacheImporters are the places where steps can be had from.
func cacheImporters(sessions *session.Manager, blobs content.Store, hosts docker.RegistryHosts, patience time.Duration) map[string]remotecache.ResolveCacheImporterFunc {
	return map[string]remotecache.ResolveCacheImporterFunc{
		"registry": registry.ResolveCacheImporterFunc(sessions, blobs, hosts),
		"local":    folder.ResolveCacheImporterFunc(sessions),
		"gha":      readsFor(gha.ResolveCacheImporterFunc(nil, nil), patience),
	}
}

// writesFor bounds how long a cache is written. What speaks with GitHub's storage
// asks one that breaks off for a quarter of an hour, and the build would wait.
func writesFor(resolve remotecache.ResolveCacheExporterFunc, limit time.Duration) remotecache.ResolveCacheExporterFunc {
	return func(ctx context.Context, g session.Group, attrs map[string]string) (remotecache.Exporter, error) {
		e, err := resolve(ctx, g, attrs)
		if err != nil {
			return nil, err
		}
		return &boundExporter{e, cmp.Or(limit, buildkit.Patience)}, nil
	}
}

// readsFor bounds how long it takes to find out what a cache has, and how long it may
// be silent while a layer is had from it.
func readsFor(resolve remotecache.ResolveCacheImporterFunc, limit time.Duration) remotecache.ResolveCacheImporterFunc {
	return func(ctx context.Context, g session.Group, attrs map[string]string) (remotecache.Importer, ocispecs.Descriptor, error) {
		i, desc, err := resolve(ctx, g, attrs)
		if err != nil {
			return nil, desc, err
		}
		return &boundImporter{i, cmp.Or(limit, buildkit.Patience)}, desc, nil
	}
}

type boundExporter struct {
	remotecache.Exporter
	limit time.Duration
}

// Finalize implements [remotecache.Exporter]. The one of GitHub says nothing of an
// index that it could not store.
func (e *boundExporter) Finalize(ctx context.Context) (map[string]string, error) {
	ctx, cancel := bound(ctx, e.limit)
	defer cancel()
	written, err := e.Exporter.Finalize(ctx)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return written, err
}

type boundImporter struct {
	remotecache.Importer
	limit time.Duration
}

// Resolve implements [remotecache.Importer].
func (i *boundImporter) Resolve(ctx context.Context, desc ocispecs.Descriptor, id string, w worker.Worker) (solver.CacheManager, error) {
	ctx, cancel := bound(ctx, i.limit)
	defer cancel()
	m, err := i.Importer.Resolve(ctx, desc, id, boundWorker{w, i.limit})
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return m, err
}

func bound(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, limit, fmt.Errorf("it took more than %v", limit))
}
