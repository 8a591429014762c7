//go:build linux

package inputs

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/buildkit"
)

// What is no file, folder or link is not even opened; names of a hard-linked
// file are files of their own.
func TestHostileKinds(t *testing.T) {
	dir := tree(t, map[string]string{"Dockerfile": "FROM scratch\n", "one": "same"})
	if err := os.Link(filepath.Join(dir, "one"), filepath.Join(dir, "two")); err != nil {
		t.Fatal(err)
	}
	before := read(t, buildkit.Spec{Context: dir})
	if err := os.Remove(filepath.Join(dir, "two")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "two"), []byte("same"), 0o644); err != nil {
		t.Fatal(err)
	}
	if after := read(t, buildkit.Spec{Context: dir}); after.Key != before.Key {
		t.Error("a hard link has another key than a copy")
	}
	if os.Getuid() != 0 {
		t.Skip("makes devices as root alone")
	}
	// Reading /dev/zero would never end.
	if err := syscall.Mknod(filepath.Join(dir, "zero"), syscall.S_IFCHR|0o666, 1<<8|5); err != nil {
		t.Skip("no devices here:", err)
	}
	if after := read(t, buildkit.Spec{Context: dir}); after.Key != before.Key {
		t.Error("a device changed the key")
	}
}

// A path may be as long as the kernel lets it be, and longer than one call takes.
func TestHostileLongPaths(t *testing.T) {
	dir := tree(t, map[string]string{"Dockerfile": "FROM scratch\n"})
	name := strings.Repeat("n", 255)
	at, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 { // 5,120 bytes in all
		if err := at.Mkdir(name, 0o755); err != nil {
			t.Fatal(err)
		}
		next, err := at.OpenRoot(name)
		if err != nil {
			t.Fatal(err)
		}
		at.Close()
		at = next
	}
	at.Close()
	_, err = new(Reader).Inputs(t.Context(), buildkit.Spec{Context: dir})
	if err != nil && !errors.Is(err, syscall.ENAMETOOLONG) {
		t.Errorf("%.300v", err)
	}
}

// A file of a terabyte, of which nothing is on the disk, can be given up.
func TestHostileSparse(t *testing.T) {
	dir := tree(t, map[string]string{"Dockerfile": "FROM scratch\n", "sparse": ""})
	if err := os.Truncate(filepath.Join(dir, "sparse"), 1<<40); err != nil {
		t.Skip("no sparse files here:", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := new(Reader).Inputs(ctx, buildkit.Spec{Context: dir}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error: %v", err)
	}
}

// A folder that becomes a link while it is walked does not lead out.
func TestHostileSwap(t *testing.T) {
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	dir := tree(t, map[string]string{"Dockerfile": "FROM scratch\n", "sub/file": "x"})
	sub, aside := filepath.Join(dir, "sub"), filepath.Join(t.TempDir(), "aside")
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
			}
			_ = os.Rename(sub, aside)
			_ = os.Symlink(outside, sub)
			_ = os.Remove(sub)
			_ = os.Rename(aside, sub)
		}
	}()
	for range 300 {
		root, err := openContext(dir)
		if err != nil {
			t.Fatal(err)
		}
		filter, err := newFilter(root, buildkit.Spec{Context: dir})
		if err != nil {
			t.Fatal(err)
		}
		w := walker{filter: filter, visit: func(_ context.Context, f file) error {
			if strings.Contains(f.path, "secret") {
				t.Errorf("a link was followed to %s", f.path)
			}
			return nil
		}}
		_ = w.walk(t.Context(), root) // may say that it changed
		root.Close()
	}
	close(stop)
	<-stopped
}

// Ignore rules of others cost no more than they should.
func TestHostileIgnoreRules(t *testing.T) {
	rules := strings.Repeat("**/a*a*a*a*a*a*a*a*b\n", 200) + strings.Repeat("!**/**/**/x?y\n", 200) + strings.Repeat("a/", 1000) + "\n"
	dir := tree(t, map[string]string{"Dockerfile": "FROM scratch\n", ".dockerignore": rules, strings.Repeat("a", 200): "x", "d/" + strings.Repeat("a", 200): "y"})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := new(Reader).Inputs(ctx, buildkit.Spec{Context: dir}); err != nil {
		t.Error(err)
	}
}
