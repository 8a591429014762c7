package solve_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/buildkit"
)

// TestDockerfile builds with every documented feature of Dockerfiles, in images
// made on the spot. Each case prints in a RUN, or is checked by running the image.
// Mounts of ssh have [TestSSH].
//
// See https://docs.docker.com/reference/dockerfile/.
func TestDockerfile(t *testing.T) {
	b := newBuilder(t)
	base, _ := build(t, b, buildkit.Spec{Context: shellFolder(t, "", nil)})
	repo, commit := gitRepository(t)
	web := httptest.NewServer(http.FileServer(http.Dir(folder(t, map[string]string{"hello.txt": "from the web\n"}))))
	defer web.Close()
	sum := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("from the web\n")))

	tests := []struct {
		name  string
		lines string
		files map[string]string
		spec  buildkit.Spec
		run   []string // in the image; empty runs nothing
		want  string   // in what RUN, or the command, wrote
	}{
		{name: "heredoc of RUN", lines: "RUN <<EOF\necho one\necho two\nEOF\n", want: "one\ntwo\n"},
		{name: "heredoc of COPY", lines: "COPY <<one <<two /d/\n1\none\n2\ntwo\nRUN cat /d/one /d/two\n", want: "1\n2\n"},
		{name: "COPY --link", lines: "COPY --link a /linked/a\nRUN cat /linked/a\n", files: map[string]string{"a": "linked\n"}, want: "linked\n"},
		{name: "COPY --parents", lines: "COPY --parents ./x/./y/*.txt /p/\nRUN find /p -type f\n", files: map[string]string{"x/y/a.txt": "", "x/y/b.md": ""}, want: "/p/y/a.txt\n"},
		{name: "COPY --chmod", lines: "COPY --chmod=751 a /a\nRUN stat -c %a /a\n", files: map[string]string{"a": ""}, want: "751\n"},
		{name: "COPY --exclude", lines: "COPY --exclude=*.md x /e\nRUN ls /e\n", files: map[string]string{"x/a.txt": "", "x/b.md": ""}, want: "a.txt\n"},
		{name: "COPY --from", lines: "RUN echo made > /made\nFROM base\nCOPY --from=0 /made /got\nRUN cat /got\n", want: "made\n"},
		{name: "RUN --mount=cache", lines: "RUN --mount=type=cache,target=/c echo kept > /c/x\nRUN --mount=type=cache,target=/c cat /c/x\n", want: "kept\n"},
		{name: "RUN --mount=secret", lines: "RUN --mount=type=secret,id=s,env=S echo ${#S} && test ! -e /run/secrets/s\n", spec: buildkit.Spec{Secrets: map[string]string{"s": "12345"}}, want: "5\n"},
		{name: "RUN --mount=bind", lines: "RUN --mount=type=bind,source=a,target=/b cat /b && ! test -s /a\n", files: map[string]string{"a": "bound\n"}, want: "bound\n"},
		{name: "RUN --mount=tmpfs", lines: "RUN --mount=type=tmpfs,target=/t grep -c ' /t tmpfs ' /proc/mounts\n", want: "1\n"},
		{name: "RUN --network", lines: "RUN --network=none wc -l < /proc/net/route\n", want: "1\n"},
		{name: "network none for all", lines: "RUN cat /proc/net/route | wc -l\n", spec: buildkit.Spec{Run: buildkit.Run{Network: "none"}}, want: "1\n"},
		{name: "ulimits", lines: "RUN ulimit -n\n", spec: buildkit.Spec{Run: buildkit.Run{Ulimits: map[string]string{"nofile": "77:99"}}}, want: "77\n"},
		{name: "ADD of an archive", lines: "ADD in.tar /in\nRUN cat /in/file\n", files: map[string]string{"in.tar": tarOf("file", "packed\n")}, want: "packed\n"},
		{name: "ADD of a URL", lines: "ADD --checksum=" + sum + " " + web.URL + "/hello.txt /\nRUN cat /hello.txt\n", want: "from the web\n"},
		{name: "ADD of git", lines: "ADD " + repo + "#" + commit + " /src\nRUN cat /src/file\n", want: "in git\n"},
		{name: "SHELL", lines: "SHELL [\"/bin/sh\", \"-c\", \"echo shell: $0\"]\nRUN words\n", want: "shell: words\n"},
		{name: "ARG scoping", lines: "ARG outer=wrong\nRUN echo [$outer] [$given]\nFROM base\nARG given\nRUN echo [$outer] [$given]\n", spec: buildkit.Spec{Args: map[string]string{"given": "g"}}, want: "[] [g]\n"},
		{name: "platform args", lines: "ARG BUILDPLATFORM\nARG TARGETARCH\nRUN echo $BUILDPLATFORM ${TARGETARCH:+arch}\n", want: "linux/" + runtime.GOARCH + " arch\n"},
		{name: "RUN --mount=bind of a stage", lines: "FROM base AS made\nRUN echo made > /made\nFROM base\nRUN --mount=type=bind,from=made,source=/made,target=/b cat /b\n", want: "made\n"},
		{name: "RUN --security", lines: "RUN --security=insecure mkdir /t && mount -t tmpfs none /t && echo mounted\n", spec: buildkit.Spec{Allow: []string{"security.insecure"}}, want: "mounted\n"},
		{name: "COPY --link --chmod of a stage", lines: "RUN echo made > /made\nFROM base\nCOPY --from=0 --link --chmod=640 /made /a/b\nRUN stat -c %a /a/b && cat /a/b\n", want: "640\nmade\n"},
		{name: "ADD --chown", lines: "ADD --chown=7:8 a /a\nRUN stat -c %u:%g /a\n", files: map[string]string{"a": ""}, want: "7:8\n"},
		{name: "ARG before FROM", lines: "ARG given=default\nRUN echo [$given]\n", spec: buildkit.Spec{Args: map[string]string{"given": ""}}, want: "[]\n"},
		{name: "named context of an image", lines: "FROM other\nRUN echo other\n", spec: buildkit.Spec{Contexts: map[string]buildkit.Context{"other": {Image: base}}}, want: "other\n"},
		{name: "named context of a folder", lines: "COPY --from=other . /o\nRUN ls -A /o\n", spec: buildkit.Spec{Contexts: map[string]buildkit.Context{"other": {Folder: folder(t, map[string]string{"f": "", "skipped": "", ".dockerignore": "skipped\n"})}}}, want: "f\n"},
		{name: "inline Dockerfile", spec: buildkit.Spec{Inline: "FROM base\nRUN echo inline\n"}, want: "inline\n"},
		{name: "its own ignore file", lines: "COPY . /all\nRUN ls -A /all\n", files: map[string]string{"Dockerfile.dockerignore": "*\n!kept\n", ".dockerignore": "kept\n", "kept": "", "other": ""}, want: "kept\n"},
		{name: "USER, WORKDIR, ENV", lines: "WORKDIR /w\nENV X=x\nUSER 7\nCMD [\"sh\", \"-c\", \"echo $X $(pwd) $(id -u)\"]\n", run: []string{"sh", "-c", "echo $X $(pwd) $(id -u)"}, want: "x /w 7\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			img, r := build(t, b, withBase(t, base, tt.spec, tt.lines, tt.files))
			if len(tt.run) > 0 {
				r = &record{}
				if err := b.Exec(t.Context(), buildkit.Command{Image: img, Args: tt.run}, r.watch); err != nil {
					t.Fatal(err)
				}
			}
			if !strings.Contains(r.log(), tt.want) {
				t.Errorf("got %q, want %q", r.log(), tt.want)
			}
		})
	}
	t.Run("security has to be allowed", func(t *testing.T) {
		if _, err := b.Build(t.Context(), withBase(t, base, buildkit.Spec{}, "RUN --security=insecure true\n", nil), nil); err == nil || !strings.Contains(err.Error(), "security.insecure") {
			t.Errorf("error: %v", err)
		}
		if _, err := b.Build(t.Context(), withBase(t, base, buildkit.Spec{}, "RUN mkdir /t && mount -t tmpfs none /t\n", nil), nil); err == nil {
			t.Error("a command that is given nothing can mount")
		}
	})
	t.Run("ADD of a URL with another checksum", func(t *testing.T) {
		lines := "ADD --checksum=sha256:" + strings.Repeat("0", 64) + " " + web.URL + "/hello.txt /\n"
		if _, err := b.Build(t.Context(), withBase(t, base, buildkit.Spec{}, lines, nil), nil); err == nil || !strings.Contains(err.Error(), "digest mismatch") {
			t.Errorf("error: %v", err)
		}
	})
	t.Run("ONBUILD", func(t *testing.T) {
		parent, _ := build(t, b, withBase(t, base, buildkit.Spec{}, "ONBUILD RUN echo on build\n", nil))
		if _, r := build(t, b, withBase(t, parent, buildkit.Spec{}, "", nil)); r.log() != "on build\n" {
			t.Errorf("got %q", r.log())
		}
	})
	t.Run("config", func(t *testing.T) {
		img, _ := build(t, b, withBase(t, base, buildkit.Spec{Result: buildkit.Result{
			Labels: map[string]string{"from": "spec"}, Annotations: map[string]string{"org.opencontainers.image.title": "shop"},
		}}, "HEALTHCHECK --interval=5s CMD true\nSTOPSIGNAL SIGUSR1\nEXPOSE 80/tcp\nVOLUME /v\nLABEL own=yes\nENTRYPOINT [\"e\"]\n", nil))
		manifest := read(t, b, img.Digest)
		if !strings.Contains(manifest, `"org.opencontainers.image.title": "shop"`) {
			t.Errorf("no annotation: %s", manifest)
		}
		_, after, _ := strings.Cut(manifest, `"digest": "`)
		config := read(t, b, after[:71])
		for _, want := range []string{`"Healthcheck":{"Test":["CMD-SHELL","true"],"Interval":5000000000}`, `"StopSignal":"SIGUSR1"`, `"80/tcp"`, `"/v"`, `"own":"yes"`, `"from":"spec"`, `"Entrypoint":["e"]`} {
			if !strings.Contains(config, want) {
				t.Errorf("config has no %s: %s", want, config)
			}
		}
	})
	t.Run("compression", func(t *testing.T) {
		for kind, media := range map[string]string{"zstd": "tar+zstd", "uncompressed": "layer.v1.tar\"", "estargz": "tar+gzip"} {
			img, _ := build(t, b, withBase(t, base, buildkit.Spec{Result: buildkit.Result{Compression: buildkit.Compression{Type: kind}}}, "RUN echo > /x\n", nil))
			if m := read(t, b, img.Digest); !strings.Contains(m, media) {
				t.Errorf("%s: %s", kind, m)
			}
		}
	})
	t.Run("a foreign platform", func(t *testing.T) {
		spec := buildkit.Spec{Platforms: []string{"linux/s390x"}, Context: folder(t, map[string]string{
			"Dockerfile": "FROM scratch\nCOPY x /x\nRUN [\"/x\"]\n", "x!": "\x7fELF\x02\x02\x01\x00 for nobody",
		})}
		_, err := b.Build(t.Context(), spec, nil)
		if err == nil || !strings.Contains(err.Error(), "qemu-user-static") || !strings.Contains(err.Error(), "linux/s390x") {
			t.Errorf("error: %v", err)
		}
	})
	t.Run("network host has to be allowed", func(t *testing.T) {
		_, err := b.Build(t.Context(), withBase(t, base, buildkit.Spec{Run: buildkit.Run{Network: "host"}}, "RUN true\n", nil), nil)
		if err == nil || !strings.Contains(err.Error(), "network.host") {
			t.Errorf("error: %v", err)
		}
		build(t, b, withBase(t, base, buildkit.Spec{Run: buildkit.Run{Network: "host"}, Allow: []string{"network.host"}}, "RUN --network=host true\n", nil))
	})
}

// withBase fills a spec in: a context of files, whose Dockerfile starts from base.
func withBase(t *testing.T, base buildkit.Image, spec buildkit.Spec, lines string, files map[string]string) buildkit.Spec {
	t.Helper()
	all := map[string]string{"Dockerfile": "FROM base\n" + lines}
	maps.Copy(all, files)
	spec.Context = folder(t, all)
	contexts := map[string]buildkit.Context{"base": {Image: base}}
	maps.Copy(contexts, spec.Contexts)
	spec.Contexts = contexts
	return spec
}

func tarOf(name, text string) string {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	_ = w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))})
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return out.String()
}

// gitRepository makes a repository with one commit, and serves it over HTTP.
func gitRepository(t *testing.T) (url, commit string) {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("needs git:", err)
	}
	dir := folder(t, map[string]string{"file": "in git\n"})
	git := func(args ...string) string {
		cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@localhost"}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "--quiet", "--initial-branch=main")
	git("add", ".")
	git("commit", "--quiet", "-m", "one")
	git("update-server-info")
	srv := httptest.NewServer(http.StripPrefix("/repo.git", http.FileServer(http.Dir(filepath.Join(dir, ".git")))))
	t.Cleanup(srv.Close)
	return srv.URL + "/repo.git", git("rev-parse", "HEAD")
}
