//go:build linux

package embed

import (
	"context"
	"os/exec"
	"runtime"
	"sync"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	gorunc "github.com/containerd/go-runc"
	"golang.org/x/sys/unix"
)

// BuildKit expects a process without a umask, as buildkitd is. Ours belongs to
// the user, and what slipway writes beside the user's sources follows it. So the
// few calls that make folders of an image, or start runc that does, are made in
// a thread of their own that has none: a layer must not tell who built it.
func unmasked(fn func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // without an unlock: the thread ends with this goroutine
		if unix.Unshare(unix.CLONE_FS) == nil {
			unix.Umask(0)
		}
		fn()
	}()
	<-done
}

// unmaskRunc makes go-runc start processes without a umask. It has one way to
// start them for the whole process.
var unmaskRunc = sync.OnceFunc(func() { gorunc.Monitor = &monitor{gorunc.Monitor} })

// A monitor starts runc.
type monitor struct{ gorunc.ProcessMonitor }

// StartLocked starts a process and keeps its thread until it ends, since the
// death of the thread would kill it.
func (m *monitor) StartLocked(cmd *exec.Cmd) (chan gorunc.Exit, error) {
	started := make(chan error, 1)
	exit := make(chan gorunc.Exit, 1)
	go unmasked(func() {
		ch, err := m.Start(cmd)
		started <- err
		if err == nil {
			exit <- <-ch
		}
		close(exit)
	})
	return exit, <-started
}

// A snapshotter makes the root folder of an image.
type snapshotter struct{ snapshots.Snapshotter }

var (
	_ snapshots.Snapshotter = (*snapshotter)(nil)
	_ snapshots.Cleaner     = (*snapshotter)(nil)
)

func (s *snapshotter) Prepare(ctx context.Context, key, parent string, opts ...snapshots.Opt) (mounts []mount.Mount, err error) {
	unmasked(func() { mounts, err = s.Snapshotter.Prepare(ctx, key, parent, opts...) })
	return mounts, err
}

func (s *snapshotter) View(ctx context.Context, key, parent string, opts ...snapshots.Opt) (mounts []mount.Mount, err error) {
	unmasked(func() { mounts, err = s.Snapshotter.View(ctx, key, parent, opts...) })
	return mounts, err
}

// Cleanup removes what was removed asynchronously.
func (s *snapshotter) Cleanup(ctx context.Context) error {
	if c, ok := s.Snapshotter.(snapshots.Cleaner); ok {
		return c.Cleanup(ctx)
	}
	return nil
}
