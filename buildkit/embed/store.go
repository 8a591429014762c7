//go:build linux

package embed

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/core/snapshots/storage"
	contentlocal "github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/containerd/v2/plugins/snapshots/native"
	"github.com/containerd/containerd/v2/plugins/snapshots/overlay"
	"github.com/containerd/containerd/v2/plugins/snapshots/overlay/overlayutils"
	bolt "go.etcd.io/bbolt"
)

// namespace is buildkitd's, in containerd's stores.
const namespace = "buildkit"

// openTime is how long a database may be held by a process that gave up the
// lock and is still about to end.
const openTime = 10 * time.Second

// A store is where layers, blobs and the records of both lie on the disk.
type store struct {
	dir      string // of this snapshotter
	name     string // of this snapshotter
	unsynced bool   // databases are synced when all are closed
	snaps    *snapshotter
	blobs    content.Store
	db       *bolt.DB
	records  *metadata.DB
}

// openStore opens what runc.NewWorkerOpt would, which keeps the databases to
// itself: they could never be closed, and another process could not have them.
func openStore(ctx context.Context, root string, unsynced bool) (_ *store, err error) {
	s := &store{name: "native", unsynced: unsynced}
	open := native.NewSnapshotter
	if overlayutils.Supported(root) == nil {
		s.name, open = "overlayfs", func(dir string) (snapshots.Snapshotter, error) {
			ms, err := storage.NewMetaStore(filepath.Join(dir, "metadata.db"), func(o *bolt.Options) error {
				o.NoSync = unsynced
				return nil
			})
			if err != nil {
				return nil, err
			}
			return overlay.NewSnapshotter(dir, overlay.AsynchronousRemove, overlay.WithMetaStore(ms))
		}
	}
	s.dir = filepath.Join(root, "runc-"+s.name)
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, err
	}
	inner, err := open(filepath.Join(s.dir, "snapshots"))
	if err != nil {
		return nil, err
	}
	s.snaps = &snapshotter{inner}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.blobs, err = contentlocal.NewStore(filepath.Join(s.dir, "content")); err != nil {
		return nil, err
	}
	s.db, err = bolt.Open(filepath.Join(s.dir, "containerdmeta.db"), 0o644,
		&bolt.Options{FreelistType: bolt.FreelistMapType, Timeout: openTime, NoSync: unsynced})
	if err != nil {
		return nil, err
	}
	s.records = metadata.NewDB(s.db, s.blobs, map[string]snapshots.Snapshotter{s.name: s.snaps})
	return s, s.records.Init(ctx)
}

func (s *store) close() error {
	err := s.snaps.Close()
	if s.db != nil {
		err = errors.Join(err, s.db.Close())
	}
	return err
}
