//go:build linux

package embed

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// isolatedPrefix is how the states of isolated runs are called.
const isolatedPrefix = "isolated-"

// isolate makes a state for one run below a state folder, and returns it.
func isolate(state string) (string, error) { return os.MkdirTemp(state, isolatedPrefix) }

// lockIsolated keeps who sweeps from a state whose lock is not yet taken.
func lockIsolated(state string) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(state, "isolated.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		lock.Close()
		return nil, err
	}
	return lock, nil
}

// sweepIsolated removes what isolated runs left that were killed. A later run
// does what this one cannot, so nothing comes of an error.
func sweepIsolated(ctx context.Context, cfg config) {
	if cfg.State == "" {
		return
	}
	roots, err := filepath.Glob(filepath.Join(cfg.State, isolatedPrefix+"*", "*", "buildkitd.lock"))
	if err != nil || len(roots) == 0 {
		return
	}
	all, err := lockIsolated(cfg.State)
	if err != nil {
		return
	}
	defer all.Close()
	for _, path := range roots {
		if root := filepath.Dir(path); root != cfg.Root {
			sweepOne(ctx, cfg, root)
		}
	}
}

func sweepOne(ctx context.Context, cfg config, root string) {
	lock, err := os.OpenFile(filepath.Join(root, "buildkitd.lock"), os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer lock.Close()
	if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return // it runs
	}
	cfg.Root = root
	if sweep(ctx, cfg) == nil {
		_ = os.RemoveAll(filepath.Dir(root))
	}
}

// empty removes what lies in a folder, but the lock: files of a user namespace
// can only be removed from within.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if e.Name() == "buildkitd.lock" || e.Name() == "holder.json" {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
