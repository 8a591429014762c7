//go:build unix

package solve

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"
)

// all returns the first error of reading all files of a tree, and what was read.
func all(t *testing.T, tr *tree) (string, error) {
	t.Helper()
	var text strings.Builder
	for _, f := range tr.files {
		if !os.FileMode(f.stat.Mode).IsRegular() {
			continue
		}
		r, err := tr.Open(f.stat.Path)
		if err != nil {
			t.Fatalf("Open must not fail: %v", err)
		}
		data, err := io.ReadAll(r)
		r.Close()
		if text.Write(data); err != nil {
			return text.String(), err
		}
	}
	return text.String(), nil
}

// outside returns a folder with a secret, which no context leads to.
func outside(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"file", "secret"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("secret"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// What becomes something else after it was hashed is not sent: neither what a link
// leads to, nor what never ends.
func TestTreeSwappedWhileSent(t *testing.T) {
	for name, swap := range map[string]func(t *testing.T, dir string) error{
		"folder is a link now": func(t *testing.T, dir string) error {
			return errors.Join(os.Rename(dir+"/sub", dir+"/aside"), os.Symlink(outside(t), dir+"/sub"))
		},
		"file is a link now": func(t *testing.T, dir string) error {
			return errors.Join(os.Remove(dir+"/sub/file"), os.Symlink(outside(t)+"/file", dir+"/sub/file"))
		},
		"file is a pipe now": func(_ *testing.T, dir string) error {
			return errors.Join(os.Remove(dir+"/sub/file"), syscall.Mkfifo(dir+"/sub/file", 0o644))
		},
		"file is endless now": func(_ *testing.T, dir string) error { return os.Truncate(dir+"/sub/file", 1<<40) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, "sub/file")
			tr, err := readTree(t.Context(), dir, nil, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer tr.close()
			if err := swap(t, dir); err != nil {
				t.Fatal(err)
			}
			got, err := all(t, tr)
			// A folder that is open still may be read from: it is what was hashed.
			if err == nil && got != "sub/file" || strings.Contains(got, "secret") || len(got) > len("sub/file") {
				t.Errorf("%d bytes, %.20q: %v", len(got), got, err)
			}
			again, err := readTree(t.Context(), dir, []string{"sub/*", "!sub/file"}, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := all(t, again); strings.Contains(got, "secret") {
				t.Error("a link was followed")
			}
		})
	}
}

// A folder that becomes a link between the moment it is seen and the moment it is
// entered does not lead out.
func TestTreeSwappedWhileWalked(t *testing.T) {
	dir, away := write(t, "sub/file"), outside(t)
	in, err := openFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer in.close()
	some, err := fsutil.NewFilterFS(walked{in, map[string]fs.FileInfo{}}, &fsutil.FilterOpt{Map: func(path string, _ *types.Stat) fsutil.MapResult {
		if path == "sub" {
			if err := errors.Join(os.Rename(dir+"/sub", dir+"/zzz"), os.Symlink(away, dir+"/sub")); err != nil {
				t.Error(err)
			}
		}
		return fsutil.MapResultKeep
	}})
	if err != nil {
		t.Fatal(err)
	}
	_ = some.Walk(t.Context(), "/", func(path string, _ os.DirEntry, _ error) error { // may say that it changed
		if strings.Contains(path, "secret") {
			t.Errorf("walked to %s", path)
		}
		return nil
	})
}

// What is no file, folder or link is left out, and names may be anything.
func TestTreeHostile(t *testing.T) {
	long := strings.Repeat("n", 255)
	dir := write(t, "a", "not\xffutf8", "new\nline", long)
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		if err := syscall.Mknod(filepath.Join(dir, "zero"), syscall.S_IFCHR|0o666, 1<<8|5); err != nil {
			t.Fatal(err)
		}
	}
	tr, err := readTree(t.Context(), dir, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.close()
	if got, want := fmt.Sprintf("%q", paths(t, tr, "/")), fmt.Sprintf("%q", []string{"a", "new\nline", long, "not\xffutf8"}); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// A file that is longer than anybody waits for can be given up.
func TestTreeSparse(t *testing.T) {
	dir := write(t, "a")
	if err := os.Truncate(filepath.Join(dir, "a"), 1<<40); err != nil {
		t.Skip("no sparse files here:", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := readTree(ctx, dir, nil, nil, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error: %v", err)
	}
}

// A file of which there is always more than its size says is not read for ever.
func TestTreeGrows(t *testing.T) {
	self, err := openFolder("/proc/self")
	if err != nil {
		t.Skip("needs a file that is longer than it says:", err)
	}
	defer self.close()
	f := sent{stat: &types.Stat{Path: "status"}}
	if err := f.hash(t.Context(), self); err == nil || !strings.Contains(err.Error(), "status grows") {
		t.Errorf("error: %v", err)
	}
}

// A file that is known is not read before it is sent; one that is not what is known of
// it is not sent.
func TestTreeKnown(t *testing.T) {
	dir := write(t, "a/b", "c")
	want, err := readTree(t.Context(), dir, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer want.close()
	var mu sync.Mutex
	var asked []string
	known := func(folder, path string, now fs.FileInfo) ([sha256.Size]byte, bool) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, fmt.Sprint(folder == dir, path, now.Size()))
		return sha256.Sum256([]byte("a/b")), path == "a/b"
	}
	got, err := readTree(t.Context(), dir, nil, nil, func(folder, path string, now fs.FileInfo) ([sha256.Size]byte, bool) {
		if path == "a/b" { // as if it could not be read
			if err := os.Rename(filepath.Join(dir, "a/b"), filepath.Join(dir, "away")); err != nil {
				t.Error(err)
			}
		}
		return known(folder, path, now)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer got.close()
	slices.Sort(asked)
	if fmt.Sprint(asked) != "[truea/b3 truec1]" {
		t.Errorf("asked for %q", asked)
	}
	if err := os.Rename(filepath.Join(dir, "away"), filepath.Join(dir, "a/b")); err != nil {
		t.Fatal(err)
	}
	if got.digest != want.digest {
		t.Error("a tree that is known has another digest")
	}
	if _, err := all(t, got); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a/b"), []byte("A/B"), 0o644); err != nil {
		t.Fatal(err)
	}
	if again, err := readTree(t.Context(), dir, nil, nil, known); err != nil {
		t.Error(err)
	} else {
		defer again.close()
		if _, err := all(t, again); err == nil || !strings.Contains(err.Error(), "changed while it was sent") {
			t.Errorf("what is sent is not what is known: %v", err)
		}
	}
}

// A long file that looks as it did is not hashed once more; one that changes while it
// is sent is found out all the same.
func TestTreeLong(t *testing.T) {
	dir := write(t, "long")
	name := filepath.Join(dir, "long")
	if err := os.WriteFile(name, bytes.Repeat([]byte("x"), 3<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	var looked []string
	face := func(now fs.FileInfo) string { return fmt.Sprint(now.Size(), now.ModTime()) }
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	then := face(info)
	known := func(_, path string, now fs.FileInfo) ([sha256.Size]byte, bool) {
		looked = append(looked, path)
		return sha256.Sum256(bytes.Repeat([]byte("x"), 3<<20)), face(now) == then
	}
	open := func() io.ReadCloser {
		tr, err := readTree(t.Context(), dir, nil, nil, known)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(tr.close)
		r, err := tr.Open("long")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		return r
	}
	if text, err := io.ReadAll(open()); len(text) != 3<<20 || err != nil || len(looked) != 3 {
		t.Errorf("%d bytes, %v, and it was looked at %d times (want 3: before, first, last)", len(text), err, len(looked))
	}
	r := open()
	if _, err := io.CopyN(io.Discard, r, 1<<20); err != nil {
		t.Fatal(err)
	}
	later := info.ModTime().Add(time.Hour)
	if err := errors.Join(os.WriteFile(name, bytes.Repeat([]byte("y"), 3<<20), 0o644), os.Chtimes(name, later, later)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(r); err == nil || !strings.Contains(err.Error(), "changed while it was sent") {
		t.Errorf("error: %v", err)
	}
}
