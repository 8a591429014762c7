//go:build linux

package embed

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// reserved is how many bytes of the disk are kept for the databases: removing
// what is stale writes to them first, which a full disk would refuse.
const reserved = 2 << 20

// reserve keeps room below root, if there is plenty of it and none is kept yet.
func reserve(root string) error {
	_, err := os.Stat(reserveOf(root))
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if free, err := freeBelow(root); err != nil || free < 4*reserved {
		return err
	}
	// Written, not only made long: a file with holes keeps no room.
	return os.WriteFile(reserveOf(root), make([]byte, reserved), 0o600)
}

// spend gives up what is kept below root, if there is next to nothing else.
func spend(root string) error {
	if free, err := freeBelow(root); err != nil || free >= reserved {
		return err
	}
	if err := os.Remove(reserveOf(root)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func reserveOf(root string) string { return filepath.Join(root, "reserve") }

// freeBelow returns how many bytes users may still write below dir.
func freeBelow(dir string) (uint64, error) {
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return disk.Bavail * uint64(disk.Bsize), nil
}
