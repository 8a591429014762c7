package solve_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/buildkit/solve"
)

func TestBuild(t *testing.T) {
	b := newBuilder(t)
	img, r := build(t, b, buildkit.Spec{Context: shellFolder(t, "RUN grep Seccomp: /proc/self/status\n", nil)})
	if !strings.Contains(r.log(), "Seccomp:\t2") {
		t.Errorf("RUN has no seccomp filter:\n%s", r.log())
	}
	if text := read(t, b, img.Digest); !strings.Contains(text, "application/vnd.oci.image.layer.v1.tar+gzip") {
		t.Errorf("manifest: %s", text)
	}
	if ok, err := b.Has(t.Context(), img.Digest); err != nil || !ok {
		t.Errorf("Has = %v, %v", ok, err)
	}
	none := "sha256:" + strings.Repeat("0", 64)
	if ok, err := b.Has(t.Context(), none); err != nil || ok {
		t.Errorf("Has of what is not there = %v, %v", ok, err)
	}
	if _, err := b.Open(t.Context(), none); !errors.Is(err, buildkit.ErrNotFound) {
		t.Errorf("Open of what is not there: %v", err)
	}
}

// digestLines exercise what could differ between machines: modes, times, new
// folders, files made by commands.
const digestLines = `WORKDIR /made/by/workdir
COPY . /src
COPY --chmod=640 run.sh /run.sh
RUN mkdir -p /var/x && echo hi > /var/x/y && /src/run.sh
`

var digestFiles = map[string]string{
	"a.txt": "a", "dir/b.txt": "b", "run.sh!": "#!/bin/sh\nstat -c '%a %Y' /src/a.txt /src/dir /src/run.sh\n",
	".git/HEAD": "x", "skip/me": "x", ".dockerignore": "skip\n",
}

func TestSameDigest(t *testing.T) {
	spec := buildkit.Spec{Context: shellFolder(t, digestLines, digestFiles)}
	b := newBuilder(t)
	want, r := build(t, b, spec)
	if want, got := "644 315532800\n755 315532800\n755 315532800\n", r.log(); got != want {
		t.Errorf("RUN saw %q, want %q", got, want)
	}
	again, _ := build(t, b, spec)
	if again.Digest != want.Digest {
		t.Errorf("built again: %s, want %s", again.Digest, want.Digest)
	}

	other := shellFolder(t, digestLines, digestFiles)
	when := time.Date(2001, 2, 3, 4, 5, 6, 7, time.UTC)
	err := filepath.WalkDir(other, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return errors.Join(os.Chmod(path, info.Mode().Perm()&0o700), os.Chtimes(path, when, when))
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, umask := range []int{0o077, 0o002} {
		old := syscall.Umask(umask)
		got, _ := build(t, newBuilder(t), buildkit.Spec{Context: other})
		syscall.Umask(old)
		if got.Digest != want.Digest {
			t.Errorf("another folder, umask %03o: %s, want %s", umask, got.Digest, want.Digest)
		}
	}
}

func TestPlatforms(t *testing.T) {
	b := newBuilder(t)
	dir := folder(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY a /a\n", "a": "a"})
	one, _ := build(t, b, buildkit.Spec{Context: dir, Platforms: []string{"linux/arm64"}})
	if one.MediaType != "application/vnd.oci.image.manifest.v1+json" {
		t.Errorf("one platform: %s", one.MediaType)
	}
	two, _ := build(t, b, buildkit.Spec{Context: dir, Platforms: []string{"linux/amd64", "linux/arm64"}})
	if two.MediaType != "application/vnd.oci.image.index.v1+json" {
		t.Errorf("two platforms: %s", two.MediaType)
	}
	if index := read(t, b, two.Digest); !strings.Contains(index, one.Digest) {
		t.Errorf("the index does not name %s: %s", one.Digest, index)
	}
}

// An edit that changes neither size nor time must not be missed.
func TestNothingStale(t *testing.T) {
	b := newBuilder(t)
	dir := shellFolder(t, "COPY x /x\n", map[string]string{"x": "one"})
	when := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, text := range []string{"one", "two", "one", "six"} {
		path := filepath.Join(dir, "x")
		if err := errors.Join(os.WriteFile(path, []byte(text), 0o644), os.Chtimes(path, when, when)); err != nil {
			t.Fatal(err)
		}
		img, _ := build(t, b, buildkit.Spec{Context: dir})
		var r record
		if err := b.Exec(t.Context(), buildkit.Command{Image: img, Args: []string{"cat", "/x"}}, r.watch); err != nil {
			t.Fatal(err)
		}
		if r.log() != text {
			t.Errorf("image holds %q, want %q", r.log(), text)
		}
	}
}

func TestUnpushedContext(t *testing.T) {
	b := newBuilder(t)
	base, _ := build(t, b, buildkit.Spec{Context: shellFolder(t, "RUN echo from-base > /made\n", nil)})
	spec := buildkit.Spec{Contexts: map[string]buildkit.Context{"base": {Image: base}}}
	spec.Context = folder(t, map[string]string{"Dockerfile": "FROM base\nRUN cat /made\n"})
	if _, r := build(t, b, spec); r.log() != "from-base\n" {
		t.Errorf("log: %q", r.log())
	}
	// One base a build: BuildKit's own frontend has a data race where it looks up two, which the detector reports.
	spec.Context = folder(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY --from=base / /copied\n"})
	img, _ := build(t, b, spec)
	var out record
	if err := b.Exec(t.Context(), buildkit.Command{Image: img, Args: []string{"/copied/bin/cat", "/copied/made"}}, out.watch); err != nil {
		t.Fatal(err)
	}
	if out.log() != "from-base\n" {
		t.Errorf("copied: %q", out.log())
	}

	spec.Contexts["base"] = buildkit.Context{Image: buildkit.Image{Digest: "sha256:" + strings.Repeat("1", 64)}}
	if _, err := b.Build(t.Context(), spec, nil); !errors.Is(err, buildkit.ErrNotFound) {
		t.Errorf("a context that is nowhere: %v", err)
	}
}

func TestSecrets(t *testing.T) {
	const secret = "c0rrect-h0rse-battery"
	state := t.TempDir()
	solved := t.Run("build", func(t *testing.T) {
		b := builderAt(t, state)
		spec := buildkit.Spec{
			Context: shellFolder(t, "RUN --mount=type=secret,id=token test \"$(cat /run/secrets/token)\" = "+strings.ReplaceAll(secret, "0", "'0'")+"\n", nil),
			Secrets: map[string]string{"token": secret},
		}
		img, _ := build(t, b, spec)
		cmd := buildkit.Command{
			Image: img, Args: []string{"sh", "-c", "test ${#TOKEN} = 21"},
			Env: map[string]string{"TOKEN": secret}, Secrets: []string{"TOKEN"},
		}
		if err := b.Exec(t.Context(), cmd, nil); err != nil {
			t.Error(err)
		}
	})
	if !solved {
		return
	}
	err := filepath.WalkDir(state, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrPermission) {
			return nil // overlayfs's own folders
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if bytes.Contains(text, []byte(secret)) {
			t.Errorf("%s holds the secret", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestCancelBuild(t *testing.T) {
	b := newBuilder(t)
	why := errors.New("the user pressed a key")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	watch := func(p buildkit.Progress) {
		if strings.Contains(p.Log, "sleeping") {
			cancel(why)
		}
	}
	began := time.Now()
	_, err := b.Build(ctx, buildkit.Spec{Context: shellFolder(t, "RUN echo sleeping; sleep 987\n", nil)}, watch)
	if !errors.Is(err, why) {
		t.Errorf("error: %v, want the cause", err)
	}
	if took := time.Since(began); took > 5*time.Minute { // the command sleeps for longer
		t.Errorf("took %v", took)
	}
	// The builder is well after that.
	build(t, b, buildkit.Spec{Context: shellFolder(t, "RUN true\n", nil)})
}

func TestBuildersDialError(t *testing.T) {
	want := &buildkit.HostError{What: "no luck"}
	b := &solve.Builder{Dial: failingDial(want)}
	_, err := b.Build(t.Context(), buildkit.Spec{Context: folder(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY . .\n"})}, nil)
	if got := new(buildkit.HostError); !errors.As(err, &got) || got != want {
		t.Errorf("error: %v, want %v", err, want)
	}
}

// TestWholeLog prints more, and faster, than BuildKit keeps when it is not told
// otherwise.
func TestWholeLog(t *testing.T) {
	b, rec := newBuilder(t), &record{}
	const lines = 400_000
	spec := buildkit.Spec{Context: shellFolder(t, "RUN yes 'a line of a log' | head -n 400000\n", nil)}
	if _, err := b.Build(t.Context(), spec, rec.watch); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(rec.log(), "a line of a log\n"); got != lines {
		t.Errorf("%d lines, want %d", got, lines)
	}
}
