package main

import (
	"archive/tar"
	"errors"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/buildkit/registry"
)

// TestManyFiles sends a hundred thousand files, builds and pushes them, then does so
// with one of them edited: all are in the image, in bounded memory. It takes minutes
// and is for make many.
func TestManyFiles(t *testing.T) {
	if os.Getenv("SLIPWAY_TEST_MANY") == "" {
		t.Skip("takes minutes: make many")
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root: a solver of our own in the process that is measured")
	}
	dir, state := t.TempDir(), t.TempDir()
	const folders, each = 1000, 100
	file := func(d, f int) string { return filepath.Join("d"+strconv.Itoa(d), strconv.Itoa(f)) }
	for d := range folders {
		if err := os.Mkdir(filepath.Join(dir, "d"+strconv.Itoa(d)), 0o755); err != nil {
			t.Fatal(err)
		}
		for f := range each {
			if err := os.WriteFile(filepath.Join(dir, file(d, f)), []byte(file(d, f)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	srv := httptest.NewServer(&registry.Server{Dir: t.TempDir()})
	defer srv.Close()
	host := srv.Listener.Addr().String()
	pipeline := filepath.Join(t.TempDir(), "slipway.yaml")
	writeFile(t, filepath.Join(dir, "Dockerfile"), "FROM scratch\nCOPY . /\n")
	writeFile(t, pipeline, "slipway: v1\nname: many\nstages: {app: {build: {context: "+dir+", push: {repository: "+host+"/many, tags: [latest]}}}}\n")
	edited := ""
	run := func(what string, most int64) v1.Hash {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "slipway", "run", "-f", pipeline, "--state", state, "--progress", "plain")
		began := time.Now()
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", what, err, out)
		}
		peak := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
		t.Logf("%s: %v, %v of CPU, %s of memory", what, time.Since(began).Round(100*time.Millisecond),
			(cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Round(100*time.Millisecond), buildkit.Bytes(peak))
		if peak > most {
			t.Errorf("%s takes %s of memory, want at most %s", what, buildkit.Bytes(peak), buildkit.Bytes(most))
		}
		digest, content := filesOf(t, host+"/many:latest")
		for d := range folders {
			for f := range each {
				path := file(d, f)
				want := path
				if path == edited {
					want = strings.ToUpper(path)
				}
				if content[path] != want {
					t.Fatalf("%s: %s holds %q, want %q", what, path, content[path], want)
				}
				delete(content, path)
			}
		}
		if len(content) != 1 || content["Dockerfile"] == "" {
			t.Errorf("%s: besides there are %v", what, content)
		}
		return digest
	}
	first := run("all", 640<<20)
	edited = file(500, 50)
	writeFile(t, filepath.Join(dir, edited), strings.ToUpper(edited)) // as many bytes
	second := run("one edited", 640<<20)
	if second == first {
		t.Error("an edit gave the same image")
	}
	if run("none edited", 192<<20) != second {
		t.Error("no edit gave another image")
	}
}

// filesOf returns the digest of an image, and what the files in its layers hold.
func filesOf(t *testing.T, image string) (v1.Hash, map[string]string) {
	t.Helper()
	ref, err := name.ParseReference(image, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(ref, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	content := map[string]string{}
	for _, layer := range layers {
		r, err := layer.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		for archive := tar.NewReader(r); ; {
			h, err := archive.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if h.Typeflag != tar.TypeReg {
				continue
			}
			text, err := io.ReadAll(archive)
			if err != nil {
				t.Fatal(err)
			}
			content[strings.TrimPrefix(h.Name, "./")] = string(text)
		}
		r.Close()
	}
	return digest, content
}
