//go:build linux

package embed

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/moby/buildkit/cache"
	cacheconfig "github.com/moby/buildkit/cache/config"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/util/compression"
	"github.com/moby/buildkit/util/overlay"
)

// contents writes the archive of a layer: its files as the overlay has them, if they
// were never packed; else what BuildKit has packed.
func (l *layers) contents(ctx context.Context, layer cache.ImmutableRef, s session.Group, w io.Writer) error {
	if layer.GetString("cache.blob") == "" {
		if err := layer.Finalize(ctx); err != nil {
			return err
		}
		if done, err := upper(ctx, layer, s, w); done || err != nil {
			return err
		}
	}
	remote, err := kept(ctx, layer, cacheconfig.RefConfig{Compression: compression.New(compression.Default)}, s)
	if err != nil {
		return err
	}
	desc := remote.Descriptors[len(remote.Descriptors)-1]
	if lazy, ok := remote.Provider.(cache.Unlazier); ok {
		if err := lazy.Unlazy(ctx); err != nil {
			return err
		}
	}
	from, err := compression.FromMediaType(desc.MediaType)
	if err != nil {
		return err
	}
	r, err := from.Decompress(ctx, l.store, desc)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(w, r)
	return err
}

// upper writes the difference between a snapshot and those below it, unless that isn't
// one folder of an overlay.
func upper(ctx context.Context, layer cache.ImmutableRef, s session.Group, w io.Writer) (done bool, err error) {
	if layer.GetString("cache.lowerDiffParent") != "" || layer.GetString("cache.upperDiffParent") != "" {
		return false, nil // the difference of any two snapshots
	}
	at, err := layer.Mount(ctx, true, s)
	if err != nil {
		return false, err
	}
	mounts, release, err := at.Mount()
	if err != nil {
		return false, err
	}
	if release != nil {
		defer func() { err = errors.Join(err, release()) }()
	}
	below, ok := parents(mounts)
	if !ok {
		return false, nil
	}
	dir, err := overlay.GetUpperdir(below, mounts)
	if err != nil {
		return false, nil // options that BuildKit doesn't know either
	}
	return true, overlay.WriteUpperdir(ctx, w, dir, below)
}

// parents returns how the snapshot below the topmost is mounted.
func parents(mounts []mount.Mount) ([]mount.Mount, bool) {
	if len(mounts) != 1 {
		return nil, false
	}
	top := mounts[0]
	if top.Type == "bind" {
		return nil, true // the lowest of all
	}
	if !overlay.IsOverlayMountType(top) {
		return nil, false
	}
	const lowerdir = "lowerdir="
	i := slices.IndexFunc(top.Options, func(o string) bool { return strings.HasPrefix(o, lowerdir) })
	if i < 0 {
		return nil, false
	}
	_, rest, ok := strings.Cut(strings.TrimPrefix(top.Options[i], lowerdir), ":")
	if !ok {
		return nil, false
	}
	if !strings.Contains(rest, ":") {
		return []mount.Mount{{Type: "bind", Source: rest, Options: []string{"ro", "rbind"}}}, true
	}
	below := top
	below.Options = slices.Clone(top.Options)
	below.Options[i] = lowerdir + rest
	return []mount.Mount{below}, true
}
