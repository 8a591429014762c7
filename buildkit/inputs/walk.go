package inputs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"

	"github.com/slipway-ci/slipway/buildkit"
)

// A file is one entry of a context that is sent.
type file struct {
	path string      // within the context, with slashes
	mode fs.FileMode // as buildkit.NormalMode
	link string      // where a symbolic link points to
	dir  *os.Root    // the folder that holds it
	info fs.FileInfo // as it was seen
}

// A walker visits the files of a context that pass a filter: folders before
// what they hold, names in byte order, and a folder only if it passes or
// something in it does. That is the order and choice of the solver's own sender,
// which a test holds it to.
type walker struct {
	filter *filter
	visit  func(ctx context.Context, f file) error
}

// A folder on the way to the entry that is looked at.
type folder struct {
	file
	up    *folder // nil for the context's own folder
	seen  matches
	shown bool // visit was called
}

func (w *walker) walk(ctx context.Context, root *os.Root) error {
	names, err := readNames(root)
	if err != nil {
		return unreadable(".", err)
	}
	return w.entries(ctx, root, &folder{shown: true}, names)
}

// entries visits what a folder holds.
func (w *walker) entries(ctx context.Context, dir *os.Root, parent *folder, names []string) error {
	for _, name := range names {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := w.entry(ctx, dir, parent, name); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) entry(ctx context.Context, dir *os.Root, parent *folder, name string) error {
	f := file{path: path.Join(parent.path, name), dir: dir}
	passes, seen, err := w.filter.match(f.path, parent.seen)
	if err != nil {
		return err
	}
	f.info, err = dir.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // it is gone, as if it had been before we came
	case err != nil && !passes:
		return nil
	case err != nil:
		return unreadable(f.path, err)
	case !buildkit.Sent(f.info.Mode()):
		return nil
	}
	f.mode = buildkit.NormalMode(f.info.Mode())
	if f.mode.IsDir() {
		return w.folder(ctx, &folder{file: f, up: parent, seen: seen}, passes)
	}
	if !passes {
		return nil
	}
	if f.mode.Type() == fs.ModeSymlink {
		f.link, err = dir.Readlink(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return unreadable(f.path, err)
		}
	}
	if err := w.show(ctx, parent); err != nil {
		return err
	}
	return w.visit(ctx, f)
}

func (w *walker) folder(ctx context.Context, d *folder, passes bool) error {
	if passes {
		if err := w.show(ctx, d); err != nil {
			return err
		}
	} else if !w.filter.mayHold(d.path) {
		return nil
	}
	sub, names, err := openFolder(d.file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil && !passes && errors.Is(err, fs.ErrPermission):
		return nil // an ignored folder may be unreadable, as BuildKit sees it
	case err != nil:
		return unreadable(d.path, err)
	}
	defer sub.Close()
	return w.entries(ctx, sub, d, names)
}

// show visits the folder and those above it that were not visited yet.
func (w *walker) show(ctx context.Context, d *folder) error {
	if d.shown {
		return nil
	}
	if err := w.show(ctx, d.up); err != nil {
		return err
	}
	d.shown = true
	return w.visit(ctx, d.file)
}

// openFolder opens a folder, if it still is the one that was seen, and lists it.
func openFolder(f file) (*os.Root, []string, error) {
	sub, err := f.dir.OpenRoot(path.Base(f.path))
	if err != nil {
		return nil, nil, err
	}
	now, err := sub.Stat(".")
	if err == nil && !os.SameFile(f.info, now) {
		err = errChanged
	}
	var names []string
	if err == nil {
		names, err = readNames(sub)
	}
	if err != nil {
		sub.Close()
		return nil, nil, err
	}
	return sub, names, nil
}

// readNames returns the names in a folder in byte order.
func readNames(dir *os.Root) ([]string, error) {
	d, err := dir.Open(".")
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	return names, nil
}

// unreadable says which file of a context could not be read, and the cure.
func unreadable(path string, err error) error {
	cause := err
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		cause = p.Err // its path is no more than the last element
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("context: %s cannot be read (make it readable, or name it in .dockerignore): %w", path, cause)
	}
	return fmt.Errorf("context: %s: %w", path, cause)
}
