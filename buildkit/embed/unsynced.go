//go:build linux

package embed

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	bkmetadata "github.com/moby/buildkit/cache/metadata"
	bolt "go.etcd.io/bbolt"
)

// BuildKit commits to its databases some two hundred times for one small build, and
// waiting for the disk each time takes longer than the build. So they are not synced
// while a solver runs. What a process wrote that was killed is seen by the next one:
// only a machine that dies loses what it had not brought to its disk. A mark beside
// the databases says on which boot of the machine they are written, from before the
// first write until all are synced. Where it is found on another boot they are not
// trusted, and the cache begins anew.

// bootID is another one after each boot (random(4)).
const bootID = "/proc/sys/kernel/random/boot_id"

func markOf(root string) string { return filepath.Join(root, "unsynced") }

// trust empties a state that another boot left unsynced, and marks it as written on
// this one. It reports whether it could: else, as where the disk is full or nobody
// says which boot this is, databases have to be synced as ever.
func trust(root string) (bool, error) {
	boot, err := os.ReadFile(bootID)
	if err != nil {
		boot = nil
	}
	mark, err := os.ReadFile(markOf(root))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return false, err
	case len(boot) > 0 && bytes.Equal(mark, boot): // of a process that was killed
		return true, nil
	default:
		if err := errors.Join(unmountAll(root), empty(root)); err != nil {
			return false, err
		}
	}
	if len(boot) == 0 {
		return false, nil
	}
	return setMark(root, boot) == nil, nil
}

// setMark brings a mark to the disk, whole or not at all.
func setMark(root string, boot []byte) (err error) {
	whole := markOf(root) + ".new"
	defer func() {
		if err != nil { // what nobody will remove may not lie there
			_, _ = os.Remove(whole), os.Remove(markOf(root))
		}
	}()
	if err := os.WriteFile(whole, boot, 0o600); err != nil {
		return err
	}
	if err := syncFile(whole); err != nil {
		return err
	}
	if err := os.Rename(whole, markOf(root)); err != nil {
		return err
	}
	return syncFile(root)
}

// settle syncs the databases, which are closed, and removes the mark.
func settle(root string) error {
	for _, pattern := range []string{"*.db", "runc-*/*.db", "runc-*/snapshots/*.db"} {
		found, err := fs.Glob(os.DirFS(root), pattern) // the root's name may look like a pattern
		if err != nil {
			return err
		}
		for _, db := range found {
			if err := syncFile(filepath.Join(root, db)); err != nil {
				return err
			}
		}
	}
	if err := os.Remove(markOf(root)); err != nil {
		return err
	}
	return syncFile(root)
}

// syncFile waits until a file or a folder is on the disk.
func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// openRefs opens BuildKit's records of what it keeps.
func openRefs(path string, unsynced bool) (*bkmetadata.Store, error) {
	refs, err := bkmetadata.NewStore(path)
	if err != nil {
		return nil, err
	}
	if db, ok := refs.DB().(*bolt.DB); ok {
		db.NoSync = unsynced
	}
	return refs, nil
}
