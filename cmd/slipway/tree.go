package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/pipeline/facts"
)

// treeType is the type of the OCI artifact that is a working tree.
const treeType = "application/vnd.slipway.tree.v1.tar+gzip"

// packTree returns the files of a folder as an archive: of a git repository those
// that nothing ignores, and what git knows of them. The same files give the same
// bytes.
func (a *app) packTree(ctx context.Context, dir string) ([]byte, error) {
	names, err := treeFiles(ctx, dir)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	if known, ok := facts.Git(ctx, dir, a.env)().(map[string]any); ok {
		text, err := json.Marshal(known)
		if err != nil {
			return nil, err
		}
		if err := packFile(w, &tar.Header{Name: facts.Saved, Mode: 0o644, Size: int64(len(text))}, bytes.NewReader(text)); err != nil {
			return nil, err
		}
	}
	for _, name := range names {
		if err := packEntry(w, root, name); err != nil {
			return nil, fmt.Errorf("pack %s: %w", name, err)
		}
	}
	err = errors.Join(w.Close(), z.Close())
	return out.Bytes(), err
}

// treeFiles returns the files of a folder that belong to it, in order.
func treeFiles(ctx context.Context, dir string) ([]string, error) {
	var names []string
	if _, err := os.Lstat(filepath.Join(dir, ".git")); err == nil {
		if names, err = facts.Files(ctx, dir); err != nil {
			return nil, err
		}
	} else {
		err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				names = append(names, name)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	names = slices.DeleteFunc(names, func(name string) bool { return strings.Contains("/"+filepath.ToSlash(name), "/.slipway/") })
	slices.Sort(names)
	return names, nil
}

// packEntry writes a file or link of root. One that is gone is left out.
func packEntry(w *tar.Writer, root *os.Root, name string) error {
	info, err := root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode()&fs.ModeSymlink != 0:
		to, err := root.Readlink(name)
		if err != nil {
			return err
		}
		return packFile(w, &tar.Header{Typeflag: tar.TypeSymlink, Name: filepath.ToSlash(name), Linkname: to, Mode: 0o777}, nil)
	case !info.Mode().IsRegular():
		return nil // a submodule, or nothing that a build could use
	}
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	mode := int64(0o644)
	if info.Mode()&0o100 != 0 {
		mode = 0o755
	}
	return packFile(w, &tar.Header{Name: filepath.ToSlash(name), Mode: mode, Size: info.Size()}, f)
}

func packFile(w *tar.Writer, h *tar.Header, from io.Reader) error {
	if err := w.WriteHeader(h); err != nil || from == nil {
		return err
	}
	_, err := io.Copy(w, from)
	return err
}

// mostTree is how large the files of a tree may be together.
const mostTree = 1 << 30

// unpackTree writes the files of an archive into a folder. None can lie outside of it.
func unpackTree(packed []byte, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return err
	}
	r := tar.NewReader(io.LimitReader(z, mostTree))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := unpackEntry(root, h, r); err != nil {
			return fmt.Errorf("unpack %q: %w", h.Name, err)
		}
	}
}

func unpackEntry(root *os.Root, h *tar.Header, r io.Reader) error {
	name := filepath.FromSlash(h.Name)
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeSymlink:
		return root.Symlink(h.Linkname, name)
	case tar.TypeReg:
		f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644|fs.FileMode(h.Mode)&0o111)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, r)
		return errors.Join(err, f.Close())
	}
	return errors.New("it is neither a file nor a link")
}
