package e2e_test

import (
	"debug/elf"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// files are a tree, by path. A name that ends in busybox gets that program.
type files map[string]string

// write writes the tree into a new folder.
func (f files) write(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	f.writeTo(t, dir)
	return dir
}

func (f files) writeTo(t *testing.T, dir string) {
	t.Helper()
	for name, text := range f {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		data, mode := []byte(text), os.FileMode(0o644)
		if filepath.Base(name) == "busybox" {
			data, mode = busybox(t), 0o755
		}
		if err := os.WriteFile(path, data, mode); err != nil {
			t.Fatal(err)
		}
	}
}

// busybox is the program that images are made of, since there is no registry to get a base from.
func busybox(t *testing.T) []byte {
	t.Helper()
	program, err := readBusybox()
	if err != nil {
		t.Fatal("images of tests need a static busybox (install busybox-static): ", err)
	}
	return program
}

var readBusybox = sync.OnceValues(func() ([]byte, error) {
	if err := isStatic("/bin/busybox"); err != nil {
		return nil, err
	}
	return os.ReadFile("/bin/busybox")
})

// isStatic returns an error if a program needs a loader or libraries.
func isStatic(path string) error {
	f, err := elf.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			loader, _ := io.ReadAll(p.Open())
			return &os.PathError{Op: "run without loader " + string(loader), Path: path, Err: os.ErrInvalid}
		}
	}
	return nil
}

// copyTree copies a tree with its modes, but no record of runs.
func copyTree(t *testing.T, from string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, ".slipway")); err != nil {
		t.Fatal(err)
	}
	return dir
}
