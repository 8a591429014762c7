package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
)

// disk makes a folder that is an ext4 of its own, and returns what takes it away again.
// Where files are made after many were removed, ext4 takes ten times as long for
// minutes (recently_deleted), and what one tool has removed another would pay for. A sync
// does not wait for the machine's disk there, which favours those who sync often: others
// than slipway. Where nothing can be mounted, it is a folder like others.
func (b *Bench) disk(ctx context.Context, dir string) (remove func(), err error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	image := dir + ".ext4"
	remove = func() {
		_ = exec.Command("umount", "-l", dir).Run() // of what was not mounted, there is nothing to say
		_ = os.RemoveAll(dir)
		_ = os.Remove(image)
	}
	file, err := os.Create(image)
	if err != nil {
		return remove, err
	}
	defer file.Close()
	if err := file.Truncate(24 << 30); err != nil { // it takes what is written
		return remove, err
	}
	for _, args := range [][]string{
		{"mkfs.ext4", "-q", "-F", "-N", "4000000", "-E", "nodiscard,lazy_itable_init=1", image},
		{"mount", "-o", "loop,discard,noinit_itable,barrier=0", image, dir},
	} {
		if b.do(ctx, filepath.Dir(dir), args...) != nil {
			return remove, nil
		}
	}
	return remove, nil
}
