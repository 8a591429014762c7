package solve_test

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/slipway-ci/slipway/buildkit"
)

// listing reads a tar into one line for each entry.
func listing(t *testing.T, archive io.Reader) string {
	t.Helper()
	var out strings.Builder
	r := tar.NewReader(archive)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out.String()
		}
		if err != nil {
			t.Error(err)
			return out.String()
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Error(err)
		}
		if len(text) > 20 {
			text = fmt.Appendf(nil, "%d bytes", len(text))
		}
		fmt.Fprintf(&out, "%s %o %s%s\n", h.Name, h.Mode, h.Linkname, text)
	}
}

// A command sees a folder and secrets, and leaves files, also when it fails.
func TestExecFiles(t *testing.T) {
	b := newBuilder(t)
	img, _ := build(t, b, buildkit.Spec{Context: shellFolder(t, "", nil)})
	source := folder(t, map[string]string{"a": "seen", "skipped": "", ".dockerignore": "skipped\n", "run!": "#!/bin/sh\ncat /src/a\n"})
	got := map[string]string{}
	cmd := buildkit.Command{
		Image: img, Args: []string{"sh", "-c", `set -e
ls -A /src; /src/run; cat /run/secrets/token; ! touch /src/new 2>/dev/null
mkdir -p /out/sub; echo hi > /out/sub/file; chmod 700 /out/sub/file; ln -s file /out/sub/link; mkfifo /out/pipe
dd if=/dev/zero of=/big bs=1M count=9 2>/dev/null; exit 3`},
		User: "5000", Files: map[string]string{"token": "s3cret"},
		Source: &buildkit.Source{Folder: source, At: "/src"},
		Take:   []string{"/out", "/big", "/none"},
		Taken: func(path string, archive io.Reader) error {
			got[path] = listing(t, archive)
			return nil
		},
	}
	cmd.User = ""
	var r record
	err := b.Exec(t.Context(), cmd, r.watch)
	var exit *buildkit.ExitError
	if !errors.As(err, &exit) || exit.Code != 3 || !errors.Is(err, buildkit.ErrNoPath) || !strings.Contains(err.Error(), "/none") {
		t.Errorf("error: %v", err)
	}
	if want := "a\nrun\nseens3cret"; r.log() != want {
		t.Errorf("output: %q, want %q", r.log(), want)
	}
	for path, want := range map[string]string{
		"/out": "./ 755 \nsub/ 755 \nsub/file 700 hi\n\nsub/link 777 file\n",
		"/big": ". 644 9437184 bytes\n",
	} {
		if got[path] != want {
			t.Errorf("%s: %q, want %q", path, got[path], want)
		}
	}
	if _, err := os.Stat(source + "/new"); err == nil {
		t.Error("the source was written to")
	}
	// Another user sees the secret, too.
	cmd = buildkit.Command{Image: img, User: "5000", Args: []string{"cat", "/run/secrets/token"}, Files: map[string]string{"token": "s3cret"}}
	if err := b.Exec(t.Context(), cmd, nil); err != nil {
		t.Error(err)
	}
}

// Several at once that leave files under one path don't see each other's.
func TestExecFilesAtOnce(t *testing.T) {
	b := newBuilder(t)
	img, _ := build(t, b, buildkit.Spec{Context: shellFolder(t, "", nil)})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			cmd := buildkit.Command{
				Image: img, Args: []string{"sh", "-c", fmt.Sprintf("echo %d > /out", i)}, Take: []string{"/out"},
				Taken: func(_ string, archive io.Reader) error {
					if got, want := listing(t, archive), fmt.Sprintf(". 644 %d\n\n", i); got != want {
						t.Errorf("got %q, want %q", got, want)
					}
					return nil
				},
			}
			if err := b.Exec(t.Context(), cmd, nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestPrivateNetwork(t *testing.T) {
	b := newBuilder(t)
	img, _ := build(t, b, buildkit.Spec{Context: shellFolder(t, "", nil)})
	err := b.Exec(t.Context(), buildkit.Command{Image: img, Args: []string{"true"}, Network: "private"}, nil)
	var host *buildkit.HostError
	if !errors.As(err, &host) {
		t.Errorf("error: %v, want that our own builder has none", err)
	}
}
