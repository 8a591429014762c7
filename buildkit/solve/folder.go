package solve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"
)

// A folder is one on the disk. No link leads out of it. (fsutil has such a thing, too:
// it opens three folders for each file it looks at, and asks for attributes that are
// never sent.)
type folder struct {
	root *os.Root

	mu   sync.Mutex
	dir  string   // in which a file was last opened
	last *os.Root // dir, open; nil if it is root
}

func openFolder(name string) (*folder, error) {
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	return &folder{root: root}, nil
}

// close ends the reading of files.
func (f *folder) close() {
	f.leave()
	_ = f.root.Close() // it was only read
}

func (f *folder) leave() {
	if f.last != nil {
		_ = f.last.Close()
		f.last = nil
	}
	f.dir = ""
}

// walked is the walk of a folder, with what was seen of each regular file.
type walked struct {
	*folder
	seen map[string]fs.FileInfo // by path
}

var _ fsutil.FS = walked{}

// Walk calls fn for all that is in the folder. What goes away meanwhile is left out.
func (w walked) Walk(ctx context.Context, target string, fn fs.WalkDirFunc) error {
	target = cleanTarget(target)
	return fs.WalkDir(w.root.FS(), target, func(name string, entry fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if name == "." && err == nil {
			return nil
		}
		at := filepath.FromSlash(name)
		if err == nil {
			entry, err = w.look(at, entry)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return fn(at, entry, err)
	})
}

// cleanTarget returns the path of a target as io/fs has it.
func cleanTarget(target string) string {
	if t := strings.TrimPrefix(path.Clean("/"+filepath.ToSlash(target)), "/"); t != "" {
		return t
	}
	return "."
}

// look returns an entry as fsutil has it.
func (w walked) look(at string, entry fs.DirEntry) (fs.DirEntry, error) {
	info, err := entry.Info()
	if err != nil {
		return nil, err
	}
	st := &types.Stat{Path: at, Mode: uint32(info.Mode()), ModTime: info.ModTime().UnixNano()}
	switch {
	case info.Mode().IsRegular():
		st.Size = info.Size()
		w.seen[at] = info
	case info.Mode()&fs.ModeSymlink != 0:
		if st.Linkname, err = w.root.Readlink(at); err != nil {
			return nil, err
		}
	}
	return &fsutil.DirEntryInfo{Stat: st}, nil
}

// Open opens a regular file.
func (w walked) Open(name string) (io.ReadCloser, error) {
	file, _, err := w.open(name)
	if err != nil {
		return nil, err
	}
	return file, nil
}

// open opens a regular file, and says what it is.
func (f *folder) open(name string) (*os.File, fs.FileInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	in, base := f.root, filepath.Base(name)
	if dir := filepath.Dir(name); dir != "." { // files come folder by folder
		if dir != f.dir {
			f.leave()
			last, err := f.root.OpenRoot(dir)
			if err != nil {
				return nil, nil, err
			}
			f.dir, f.last = dir, last
		}
		in = f.last
	}
	return openWithin(in, base, name)
}

// openWithin opens a regular file of a folder, which errors call name. Nothing is
// waited for, should a pipe have taken the file's place.
func openWithin(in *os.Root, base, name string) (*os.File, fs.FileInfo, error) {
	seen, err := in.Lstat(base)
	if err != nil {
		return nil, nil, err
	}
	if !seen.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s is no file any more", name)
	}
	file, err := in.OpenFile(base, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, nil, err
	}
	now, err := file.Stat()
	if err == nil && !os.SameFile(seen, now) {
		err = fmt.Errorf("%s changed while it was read", name)
	}
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, now, nil
}
