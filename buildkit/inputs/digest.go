package inputs

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"github.com/slipway-ci/slipway/buildkit"
)

var errChanged = errors.New("it changes while it is read (build when nothing writes to the context)")

// treeDigest returns a digest over the files of a context that are sent, how
// many there are, folders not counted, and how many bytes they have. Each is told
// of every file and link, and of a digest over what it is; it may be nil.
func (r *Reader) treeDigest(ctx context.Context, root *os.Root, filter *filter, each func(path string, sum []byte)) (sum [32]byte, files int, bytes int64, err error) {
	e := newEncoder("slipway context")
	look := r.look(root.Name())
	tell := func(f file, what string) {
		if each != nil {
			one := sha256.Sum256([]byte(f.mode.String() + " " + what))
			each(f.path, one[:])
		}
	}
	w := walker{filter: filter, visit: func(ctx context.Context, f file) error {
		switch f.mode.Type() {
		case fs.ModeDir:
			e.field("folder", f.path)
			return nil
		case fs.ModeSymlink:
			files++
			e.field("link", f.path, f.link)
			tell(f, f.link)
			return nil
		}
		content, n, err := look.digest(ctx, f)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // deleted since it was seen: as if it had never been there
		}
		if err != nil {
			return unreadable(f.path, err)
		}
		files++
		bytes += n
		e.field("file", f.path, f.mode.String(), string(content[:]))
		tell(f, string(content[:]))
		return nil
	}}
	if err = w.walk(ctx, root); err == nil {
		look.keep()
	}
	return e.sum(), files, bytes, err
}

// contentDigest returns the digest of a regular file's content and its length.
func contentDigest(ctx context.Context, f file) (sum [32]byte, n int64, err error) {
	for range 3 {
		sum, n, err = readDigest(ctx, f)
		if !errors.Is(err, errChanged) {
			return sum, n, err
		}
		f.info, err = f.dir.Lstat(path.Base(f.path))
		if err != nil {
			return sum, 0, err
		}
		if !f.info.Mode().IsRegular() || buildkit.NormalMode(f.info.Mode()) != f.mode {
			break
		}
	}
	return sum, 0, errChanged
}

// readDigest reads a file once. It returns errChanged if the file is not the
// one that was seen, or is not the same from beginning to end.
func readDigest(ctx context.Context, f file) (sum [32]byte, n int64, err error) {
	in, before, err := openRegular(f.dir, path.Base(f.path), f.dir.Lstat)
	if err != nil {
		return sum, 0, err
	}
	defer in.Close()
	if !os.SameFile(f.info, before) || buildkit.NormalMode(before.Mode()) != f.mode {
		return sum, 0, errChanged
	}
	h := sha256.New()
	// One byte more than there should be: a file that grows as fast as it is
	// read would never end.
	n, err = io.Copy(h, io.LimitReader(cancelable(ctx, in), before.Size()+1))
	if err != nil {
		return sum, 0, err
	}
	after, err := in.Stat()
	if err != nil {
		return sum, 0, err
	}
	if n != before.Size() || after.Size() != n || !after.ModTime().Equal(before.ModTime()) {
		return sum, 0, errChanged
	}
	h.Sum(sum[:0])
	return sum, n, nil
}

// openRegular opens a file to read it, but no pipe or device: those could
// block, and opening them could do something. The stat is the folder's Stat,
// or its Lstat if a link is no file.
func openRegular(dir *os.Root, name string, stat func(string) (fs.FileInfo, error)) (*os.File, fs.FileInfo, error) {
	fi, err := stat(name)
	if err != nil {
		return nil, nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("it is no file but %s", fi.Mode().Type())
	}
	f, err := dir.OpenFile(name, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, nil, err
	}
	now, err := f.Stat()
	if err == nil && !now.Mode().IsRegular() {
		err = errChanged
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, now, nil
}

// readSmall reads a Dockerfile or an ignore file.
func readSmall(root *os.Root, name string) ([]byte, error) {
	const limit = 16 << 20
	f, _, err := openRegular(root, name, root.Stat)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && len(text) > limit {
		err = fmt.Errorf("it has more than %d MiB", limit>>20)
	}
	return text, err
}

// readerFunc is a reader made of a function.
type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// cancelable reads from r until the context is done.
func cancelable(ctx context.Context, r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		return r.Read(p)
	})
}
