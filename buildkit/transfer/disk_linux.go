package transfer

import (
	"errors"
	"hash"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moby/buildkit/session/filesync"
	"github.com/opencontainers/go-digest"
	"github.com/tonistiigi/fsutil"
	"golang.org/x/sys/unix"
)

// A disk is a folder that nobody else uses while it is written. No path of a list that
// was checked leads out of it.
type disk struct {
	dir     string
	updater filesync.CacheUpdater
	chown   bool // whether what is made belongs to others than root
}

func openDisk(dir string, updater filesync.CacheUpdater) (*disk, error) {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: dir, Err: err}
	}
	chown := os.Geteuid() != 0 || os.Getegid() != 0 || st.Mode&unix.S_ISGID != 0 && st.Gid != 0
	return &disk{dir, updater, chown}, nil
}

func (d *disk) path(e *Entry) string { return filepath.Join(d.dir, e.Path) }

// prepare removes what is gone, and makes folders and links.
func (d *disk) prepare(diff difference, list []Entry) error {
	for _, name := range diff.gone {
		if err := os.RemoveAll(filepath.Join(d.dir, name)); err != nil {
			return err
		}
		if err := d.updater.HandleChange(fsutil.ChangeKindDelete, name, nil, nil); err != nil {
			return err
		}
	}
	for _, i := range diff.made {
		if err := d.make(&list[i]); err != nil {
			return err
		}
	}
	return nil
}

// make makes a folder or a link.
func (d *disk) make(e *Entry) error {
	name := d.path(e)
	if e.isDir() {
		if err := os.Mkdir(name, e.perm()); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := os.Chmod(name, e.perm()); err != nil {
			return err
		}
	} else if err := os.Symlink(e.Linkname, name); err != nil {
		return err
	}
	if d.chown {
		if err := os.Lchown(name, 0, 0); err != nil {
			return err
		}
	}
	if err := d.dateOne(e); err != nil {
		return err
	}
	h, err := d.hash(e)
	if err != nil {
		return err
	}
	return d.tell(e, h)
}

// perm is the mode as package os takes it.
func (e *Entry) perm() fs.FileMode { return fs.FileMode(e.Mode) &^ fs.ModeType }

// hash returns what a file's content goes into; that of folders and links is empty.
func (d *disk) hash(e *Entry) (hash.Hash, error) { return d.updater.ContentHasher()(e.stat()) }

// tell lets the updater know what a file, folder or link is now.
func (d *disk) tell(e *Entry, h hash.Hash) error {
	now := hashed{&fsutil.StatInfo{Stat: e.stat()}, digest.NewDigest(digest.SHA256, h)}
	return d.updater.HandleChange(fsutil.ChangeKindAdd, e.Path, now, nil)
}

// hashed is what BuildKit's cache takes a digest from.
type hashed struct {
	fs.FileInfo
	sum digest.Digest
}

func (h hashed) Digest() digest.Digest { return h.sum }

// date gives folders their times, which they lost as files came into them.
func (d *disk) date(list []Entry) error {
	for i := range list {
		if !list[i].isDir() {
			continue
		}
		if err := d.dateOne(&list[i]); err != nil {
			return err
		}
	}
	return nil
}

func (d *disk) dateOne(e *Entry) error {
	at := unix.NsecToTimespec(e.ModTime)
	name := d.path(e)
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, name, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &fs.PathError{Op: "utimensat", Path: name, Err: err}
	}
	return nil
}
