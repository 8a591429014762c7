package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"time"
)

// pages writes slipway-pages.tar.gz, which holds manual pages and completions
// for shells. The binary of this machine makes them: they say what it does.
func (r *release) pages(ctx context.Context) error {
	slipway, err := filepath.Abs(r.path(target{runtime.GOOS, runtime.GOARCH}.name()))
	if err != nil {
		return err
	}
	man, err := os.MkdirTemp("", "slipway-man-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(man)
	c := exec.CommandContext(ctx, slipway, "man", man)
	c.Env = append(os.Environ(), fmt.Sprintf("SOURCE_DATE_EPOCH=%d", r.epoch))
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("make manual pages: %w\n%s", err, out)
	}
	f, err := os.Create(r.path("slipway-pages.tar.gz"))
	if err != nil {
		return err
	}
	defer f.Close()
	z := gzip.NewWriter(f)
	t := tar.NewWriter(z)
	entries, err := os.ReadDir(man) // sorted by name
	if err != nil {
		return err
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(man, e.Name()))
		if err != nil {
			return err
		}
		if err := r.pack(t, path.Join("man/man1", e.Name()), text); err != nil {
			return err
		}
	}
	for _, c := range []struct{ shell, name string }{
		{"bash", "completions/slipway.bash"},
		{"zsh", "completions/_slipway"},
		{"fish", "completions/slipway.fish"},
		{"powershell", "completions/slipway.ps1"},
	} {
		text, err := exec.CommandContext(ctx, slipway, "completion", c.shell).Output()
		if err != nil {
			return fmt.Errorf("make the completion for %s: %w", c.shell, err)
		}
		if err := r.pack(t, c.name, text); err != nil {
			return err
		}
	}
	if err := t.Close(); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return f.Close()
}

// pack adds a file to an archive, as old as the commit.
func (r *release) pack(t *tar.Writer, name string, text []byte) error {
	h := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(text)), ModTime: time.Unix(r.epoch, 0)}
	if err := t.WriteHeader(h); err != nil {
		return err
	}
	_, err := t.Write(text)
	return err
}
