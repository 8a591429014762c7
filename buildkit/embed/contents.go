//go:build linux

package embed

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/pkg/archive"
	"github.com/moby/buildkit/cache"
	cacheconfig "github.com/moby/buildkit/cache/config"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/util/compression"
	"github.com/moby/buildkit/util/converter/tarconverter"
	"github.com/moby/buildkit/util/overlay"
)

// contents writes the archive of a layer: its files as the overlay has them, if they
// were never packed; else what BuildKit has packed. Times are those of the epoch in place
// of later ones, as BuildKit's rewrite-timestamp has them.
func (l *layers) contents(ctx context.Context, layer cache.ImmutableRef, epoch time.Time, s session.Group, w io.Writer) error {
	if layer.GetString("cache.blob") == "" {
		if err := layer.Finalize(ctx); err != nil {
			return err
		}
		if done, err := upper(ctx, layer, epoch, s, w); done || err != nil {
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
	return date(w, epoch, r)
}

// date copies an archive to w.
func date(w io.Writer, epoch time.Time, r io.Reader) error {
	dated := tarconverter.NewReader(r, func(h *tar.Header) {
		for _, t := range []*time.Time{&h.ModTime, &h.AccessTime, &h.ChangeTime} {
			if t.After(epoch) {
				*t = epoch
			}
		}
	})
	defer dated.Close()
	_, err := io.Copy(w, dated)
	return err
}

// upper writes the difference between a snapshot and those below it, unless that isn't
// one folder of an overlay.
func upper(ctx context.Context, layer cache.ImmutableRef, epoch time.Time, s session.Group, w io.Writer) (done bool, err error) {
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
	return true, writeUpper(ctx, w, dir, below, epoch)
}

// writeUpper is BuildKit's overlay.WriteUpperdir, with times of the epoch in place of
// later ones.
func writeUpper(ctx context.Context, w io.Writer, dir string, below []mount.Mount, epoch time.Time) error {
	empty, err := os.MkdirTemp("", "buildkit") // an overlay has two folders at least
	if err != nil {
		return err
	}
	defer os.Remove(empty)
	view := []mount.Mount{{Type: "overlay", Source: "overlay", Options: []string{"lowerdir=" + dir + ":" + empty}}}
	return mount.WithTempMount(ctx, below, func(lower string) error {
		return mount.WithTempMount(ctx, view, func(upper string) error {
			out := archive.NewChangeWriter(untilDone{ctx, w}, upper, archive.WithModTimeUpperBound(epoch))
			err := overlay.Changes(ctx, out.HandleChange, dir, upper, lower)
			return errors.Join(err, out.Close())
		})
	})
}

// untilDone is a writer that fails when its context is done.
type untilDone struct {
	ctx context.Context
	io.Writer
}

func (w untilDone) Write(p []byte) (int, error) {
	if w.ctx.Err() != nil {
		return 0, context.Cause(w.ctx)
	}
	return w.Writer.Write(p)
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
