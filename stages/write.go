package stages

import (
	"archive/tar"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// read returns a file below dir; links that lead out of it are not followed.
func read(dir, name string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.ReadFile(name)
}

// replace writes a file below dir whole or not at all; see stream.
func replace(dir, name string, text []byte, mode fs.FileMode) error {
	return stream(dir, name, mode, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}

// stream writes a file below dir whole or not at all: under another name first. A
// link in its place is replaced, and one on the way out of dir is not followed.
func stream(dir, name string, mode fs.FileMode, fill func(io.Writer) error) error {
	return swap(dir, name, func(root *os.Root, tmp string) error {
		f, err := root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
		if err != nil {
			return err
		}
		return errors.Join(fill(f), f.Close())
	})
}

// unpack writes a folder below dir whole or not at all, with the files of a tar.
// What lies there is replaced. Owners, devices and special bits are left out.
func unpack(dir, name string, archive io.Reader) error {
	return unpackFrom(dir, name, tar.NewReader(archive))
}

// unpackFrom is unpack for a tar of which something may have been read.
func unpackFrom(dir, name string, r *tar.Reader) error {
	return swap(dir, name, func(root *os.Root, tmp string) error {
		if err := root.Mkdir(tmp, 0o755); err != nil {
			return err
		}
		in, err := root.OpenRoot(tmp)
		if err != nil {
			return err
		}
		defer in.Close()
		for {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if err := entry(in, h, r); err != nil {
				return fmt.Errorf("%s: %w", h.Name, err)
			}
		}
	})
}

// entry writes one file of a tar below root. Links are made and never followed
// out of it.
func entry(root *os.Root, h *tar.Header, content io.Reader) error {
	name := filepath.FromSlash(path.Clean("/" + h.Name)[1:])
	if name == "" {
		return nil
	}
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	mode := h.FileInfo().Mode().Perm()
	switch h.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(name, mode|0o700)
	case tar.TypeSymlink:
		return root.Symlink(h.Linkname, name)
	case tar.TypeLink:
		return root.Link(filepath.FromSlash(path.Clean("/" + h.Linkname)[1:]), name)
	case tar.TypeReg:
		f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, content)
		return errors.Join(err, f.Close())
	}
	return nil // devices and pipes
}

// swap makes something below dir under a name that nobody else has, and lets it
// take the place of what is called name. Two at once don't clash: one is last.
func swap(dir, name string, make func(root *os.Root, tmp string) error) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	parent := filepath.Dir(name)
	if err := root.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	id := rand.Text()[:8]
	tmp := filepath.Join(parent, ".slipway-"+filepath.Base(name)+"-"+id)
	if err := make(root, tmp); err != nil {
		return errors.Join(err, root.RemoveAll(tmp))
	}
	err = root.Rename(tmp, name)
	if err == nil {
		return nil
	}
	// A folder does not replace one that has something in it, nor a file.
	if info, statErr := root.Lstat(name); statErr != nil || !info.IsDir() && !isDir(root, tmp) {
		return errors.Join(err, root.RemoveAll(tmp))
	}
	old := tmp + ".old"
	if err := root.Rename(name, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, root.RemoveAll(tmp))
	}
	if err := root.Rename(tmp, name); err != nil {
		return errors.Join(err, root.Rename(old, name), root.RemoveAll(tmp))
	}
	return root.RemoveAll(old)
}

func isDir(root *os.Root, name string) bool {
	info, err := root.Lstat(name)
	return err == nil && info.IsDir()
}
