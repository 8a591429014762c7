package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// podCgroups returns the folders, one per hierarchy, in which a kubelet keeps its pods.
func podCgroups() ([]string, error) {
	v1, err := filepath.Glob("/sys/fs/cgroup/*/kubepods")
	if err != nil {
		return nil, err
	}
	v2, err := filepath.Glob("/sys/fs/cgroup/kubepods")
	return append(v1, v2...), err
}

// thawPods lets pods that a crash left frozen receive their kill; only cgroup v1 holds it back.
func thawPods() error {
	return filepath.WalkDir("/sys/fs/cgroup/freezer/kubepods", func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && d.Name() == "freezer.state" {
			err = os.WriteFile(path, []byte("THAWED"), 0)
		}
		return err
	})
}

// removePodCgroups removes them, deepest first. A cgroup stays busy for a moment after its last
// process.
func removePodCgroups(ctx context.Context) error {
	return poll(ctx, 20*time.Millisecond, "the pods' cgroups to empty", func(context.Context) (bool, error) {
		roots, err := podCgroups()
		if err != nil {
			return false, err
		}
		for _, root := range roots {
			var dirs []string
			err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					dirs = append(dirs, path)
				}
				return err
			})
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return false, err
			}
			for _, dir := range slices.Backward(dirs) {
				_ = os.Remove(dir) // busy: the next round tries again
			}
		}
		left, err := podCgroups()
		return len(left) == 0, err
	})
}

// refuseForeignPods returns an error if another kubelet keeps pods on this machine.
func refuseForeignPods() error {
	found, err := podCgroups()
	if err == nil && len(found) > 0 {
		err = fmt.Errorf("%s exists: another kubelet runs on this machine, or left its pods' cgroups behind", found[0])
	}
	return err
}
