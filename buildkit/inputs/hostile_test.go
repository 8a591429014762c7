//go:build unix

package inputs

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/buildkit"
)

func TestHostileTree(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("1"), 0o644); err != nil {
		t.Fatal(err)
	}
	dir := tree(t, map[string]string{
		"Dockerfile":    "FROM scratch\n",
		"out@":          outside,
		"up@":           "..",
		"loop/self@":    "../loop",
		"dangling@":     "nowhere",
		"to the pipe@":  "pipe",
		"not\xffutf8":   "",
		"new\nline":     "",
		"back\\slash":   "",
		"-rf":           "",
		"deep/a/b/c/d/": "",
	})
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	before := read(t, buildkit.Spec{Context: dir})
	if err := os.WriteFile(outside, []byte("2"), 0o644); err != nil {
		t.Fatal(err)
	}
	if after := read(t, buildkit.Spec{Context: dir}); after.Key != before.Key {
		t.Error("a file outside the context changed the key")
	}
	got := list(t, buildkit.Spec{Context: dir})
	for _, line := range got {
		if f := strings.Fields(line); slices.Contains([]string{"pipe", "s"}, f[1]) {
			t.Errorf("%q was visited", line)
		}
	}
	if len(got) != 16 {
		t.Errorf("got %d entries, want 16: %q", len(got), got)
	}
}

func TestUnreadable(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root can read everything")
	}
	for name, open := range map[string]func(dir string) error{
		"file":   func(dir string) error { return os.Chmod(filepath.Join(dir, "a/b"), 0) },
		"folder": func(dir string) error { return os.Chmod(filepath.Join(dir, "a"), 0) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := tree(t, map[string]string{"Dockerfile": "FROM scratch\n", "a/b": "x"})
			defer os.Chmod(filepath.Join(dir, "a"), 0o755)
			if err := open(dir); err != nil {
				t.Fatal(err)
			}
			_, err := (&Reader{}).Inputs(t.Context(), buildkit.Spec{Context: dir})
			if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "context: a") || !strings.Contains(err.Error(), ".dockerignore") {
				t.Errorf("got %v, want a permission error that names the path and the cure", err)
			}
			if err := os.WriteFile(filepath.Join(dir, ".dockerignore"), []byte("a\n!c\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := (&Reader{}).Inputs(t.Context(), buildkit.Spec{Context: dir}); err != nil {
				t.Errorf("ignored: got %v, want none", err)
			}
		})
	}
}

// TestUnreadableText checks the words also where we are root.
func TestUnreadableText(t *testing.T) {
	err := unreadable("a/b", &fs.PathError{Op: "open", Path: "b", Err: syscall.EACCES})
	want := "context: a/b cannot be read (make it readable, or name it in .dockerignore): permission denied"
	if err.Error() != want || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got %q, want %q", err, want)
	}
}

// seen returns a file of a context as the walk would have seen it.
func seen(t *testing.T, dir, name string) file {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	fi, err := root.Lstat(name)
	if err != nil {
		t.Fatal(err)
	}
	return file{path: name, dir: root, info: fi, mode: buildkit.NormalMode(fi.Mode())}
}

// errAny stands for any error that comes without waiting.
var errAny = errors.New("any")

func TestFileChangesWhileWalking(t *testing.T) {
	tests := []struct {
		name   string
		change func(path string) error
		want   error
		sum    string
	}{
		{"replaced", func(p string) error {
			return firstError(os.WriteFile(p+"2", []byte("new"), 0o644), os.Rename(p+"2", p))
		}, nil, "new"},
		{"deleted", os.Remove, fs.ErrNotExist, ""},
		{"a pipe now", func(p string) error { return firstError(os.Remove(p), syscall.Mkfifo(p, 0o644)) }, errAny, ""},
		{"a link now", func(p string) error { return firstError(os.Remove(p), os.Symlink("/etc/passwd", p)) }, errAny, ""},
		{"a link to another file now", func(p string) error {
			return firstError(os.Remove(p), os.WriteFile(p+"2", nil, 0o644), os.Symlink("f2", p))
		}, errAny, ""},
		{"executable now", func(p string) error { return os.Chmod(p, 0o755) }, errChanged, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := tree(t, map[string]string{"f": "old"})
			f := seen(t, dir, "f")
			if err := tt.change(filepath.Join(dir, "f")); err != nil {
				t.Fatal(err)
			}
			sum, _, err := contentDigest(t.Context(), f)
			switch {
			case errors.Is(tt.want, errAny):
				if err == nil {
					t.Error("got no error")
				}
			case !errors.Is(err, tt.want):
				t.Errorf("got %v, want %v", err, tt.want)
			case tt.want == nil && sum != sha256.Sum256([]byte(tt.sum)):
				t.Error("got the digest of something else")
			}
		})
	}
}

func TestFileGrowsForEver(t *testing.T) {
	dir := tree(t, map[string]string{"Dockerfile": "FROM scratch\n", "log": ""})
	f, err := os.OpenFile(filepath.Join(dir, "log"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	done := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for line := []byte(strings.Repeat("x", 4096)); ; {
			select {
			case <-done:
				return
			default:
				if _, err := f.Write(line); err != nil {
					return
				}
			}
		}
	}()
	_, err = (&Reader{}).Inputs(ctx, buildkit.Spec{Context: dir})
	close(done)
	<-stopped
	// By luck a read may fall between two writes; then there is a key.
	if err != nil && !errors.Is(err, errChanged) {
		t.Errorf("got %v, want %v", err, errChanged)
	}
}
