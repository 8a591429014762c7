//go:build linux

package embed

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// deleteTime is how long runc may take to kill what a container left.
const deleteTime = 10 * time.Second

// sweep removes what a killed predecessor left on a state folder: containers
// that still run, mounts, bundles. We hold the lock, so nobody uses them.
func sweep(ctx context.Context, cfg config) error {
	bundles, err := filepath.Glob(filepath.Join(cfg.Root, "runc-*", "executor", "*", "config.json"))
	if err != nil {
		return err
	}
	if len(bundles) > 0 {
		runc, err := cfg.runc()
		if err != nil {
			return err
		}
		for _, bundle := range bundles {
			deleteContainer(ctx, runc, filepath.Base(filepath.Dir(bundle)))
		}
	}
	if err := unmountAll(cfg.Root); err != nil {
		return err
	}
	sweepTemp(os.TempDir())
	dirs, err := filepath.Glob(filepath.Join(cfg.Root, "runc-*", "executor", "*", "rootfs"))
	if err != nil {
		return err
	}
	for _, rootfs := range dirs {
		// Rmdir fails on what is still mounted, and we must not delete into that.
		if err := os.Remove(rootfs); err != nil && !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := os.RemoveAll(filepath.Dir(rootfs)); err != nil {
			return err
		}
	}
	return nil
}

// tempAge is how old a folder for a mount is that nobody is about to use.
const tempAge = time.Hour

// sweepTemp removes the empty folders that BuildKit made to mount something on, and
// did not come to remove: of whom they are cannot be told, but that nobody uses
// them can. A folder that something is mounted on, or lies in, stays.
func sweepTemp(dir string) {
	found, _ := filepath.Glob(filepath.Join(dir, "buildkit-mount*")) // fails on patterns alone
	for _, path := range found {
		if info, err := os.Lstat(path); err == nil && info.IsDir() && time.Since(info.ModTime()) > tempAge {
			_ = os.Remove(path)
		}
	}
}

// deleteContainer kills a container and removes its state and cgroup. One that
// is gone already is no error worth a word.
func deleteContainer(ctx context.Context, runc, id string) {
	ctx, cancel := context.WithTimeoutCause(ctx, deleteTime, errors.New("runc took too long"))
	defer cancel()
	_ = exec.CommandContext(ctx, runc, "delete", "--force", id).Run()
}

// unmountAll unmounts what lies in root, and the mounts that BuildKit made of
// root's content in the folder for temporary files.
func unmountAll(root string) error {
	all, err := mountinfo.GetMounts(nil)
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b *mountinfo.Info) int { return cmp.Compare(b.ID, a.ID) }) // the last first
	inside := insideRoot(all, root)
	for _, m := range all {
		ours := strings.HasPrefix(m.Mountpoint, root+"/")
		if strings.HasPrefix(m.Mountpoint, filepath.Join(os.TempDir(), "buildkit-mount")) && inside(m) {
			ours = true
		}
		if !ours {
			continue
		}
		if err := unix.Unmount(m.Mountpoint, unix.MNT_DETACH); err != nil && err != unix.EINVAL {
			return &fs.PathError{Op: "unmount", Path: m.Mountpoint, Err: err}
		}
		if !strings.HasPrefix(m.Mountpoint, root+"/") {
			_ = os.Remove(m.Mountpoint)
		}
	}
	return nil
}

// insideRoot returns a test of whether a mount shows something that lies in root:
// an overlay of its folders, or a bind of one.
func insideRoot(all []*mountinfo.Info, root string) func(*mountinfo.Info) bool {
	var under *mountinfo.Info // the mount that root lies on
	for _, m := range all {
		prefix := strings.TrimSuffix(m.Mountpoint, "/") + "/"
		if strings.HasPrefix(root, prefix) && (under == nil || len(m.Mountpoint) > len(under.Mountpoint)) {
			under = m
		}
	}
	return func(m *mountinfo.Info) bool {
		if strings.Contains(m.VFSOptions, "="+root+"/") || strings.Contains(m.VFSOptions, ":"+root+"/") {
			return true
		}
		if under == nil || m.Major != under.Major || m.Minor != under.Minor {
			return false
		}
		within := filepath.Join(under.Root, strings.TrimPrefix(root, under.Mountpoint))
		return strings.HasPrefix(m.Root, within+"/")
	}
}
