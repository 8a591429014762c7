package solve_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/buildkit/solve"
)

// serveImages is a registry, to read from, over what a builder holds. It returns
// its host. Tags are names for digests.
func serveImages(t *testing.T, b *solve.Builder, tags map[string]string) string {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		digest := path.Base(r.URL.Path)
		if d, ok := tags[digest]; ok {
			digest = d
		}
		if r.URL.Path == "/v2/" {
			return
		}
		blob, err := b.Open(r.Context(), digest)
		if err != nil {
			code := http.StatusInternalServerError
			if errors.Is(err, buildkit.ErrNotFound) {
				code = http.StatusNotFound
			}
			w.WriteHeader(code)
			return
		}
		defer blob.Close()
		w.Header().Set("Docker-Content-Digest", digest)
		if strings.Contains(r.URL.Path, "/manifests/") {
			w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		}
		_, _ = io.Copy(w, blob) // the other side sees what is missing
	}))
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://")
}

func TestBaseFromRegistry(t *testing.T) {
	origin := newBuilder(t)
	first, _ := build(t, origin, buildkit.Spec{Context: shellFolder(t, "RUN echo first > /which\n", nil)})
	second, _ := build(t, origin, buildkit.Spec{Context: shellFolder(t, "RUN echo second > /which\n", nil)})
	host := serveImages(t, origin, map[string]string{"1": first.Digest})
	b := newBuilder(t)
	ref := host + "/some/base:1"

	t.Run("layers that nothing needed are fetched", func(t *testing.T) {
		dir := folder(t, map[string]string{"Dockerfile": "FROM " + ref + "\nENV only=metadata\n"})
		img, _ := build(t, b, buildkit.Spec{Context: dir})
		if ok, err := b.Has(t.Context(), img.Digest); err != nil || !ok {
			t.Errorf("Has = %v, %v", ok, err)
		}
	})
	t.Run("a base stands for the digest that was planned", func(t *testing.T) {
		bases := map[string]string{ref: second.Digest}
		for _, text := range []string{
			"FROM " + ref + " AS base\nRUN cat /which\n", // a stage named like its base is still a stage
			"FROM scratch\nCOPY --from=" + ref + " / /\nRUN [\"/bin/cat\", \"/which\"]\n",
		} {
			dir := folder(t, map[string]string{"Dockerfile": text})
			if _, r := build(t, b, buildkit.Spec{Context: dir, Bases: bases}); r.log() != "second\n" {
				t.Errorf("%s: %q", text, r.log())
			}
		}
	})
	t.Run("exec of what lies in a registry alone", func(t *testing.T) {
		fresh := newBuilder(t)
		img := buildkit.Image{Digest: second.Digest, Repository: host + "/some/base"}
		var r record
		if err := fresh.Exec(t.Context(), buildkit.Command{Image: img, Args: []string{"cat", "/which"}}, r.watch); err != nil {
			t.Fatal(err)
		}
		if r.log() != "second\n" {
			t.Errorf("output: %q", r.log())
		}
	})
	t.Run("context that lies in a registry alone", func(t *testing.T) {
		fresh := newBuilder(t)
		dir := folder(t, map[string]string{"Dockerfile": "FROM base\nRUN cat /which\n"})
		img := buildkit.Image{Digest: second.Digest, Repository: host + "/some/base"}
		_, r := build(t, fresh, buildkit.Spec{Context: dir, Contexts: map[string]buildkit.Context{"base": {Image: img}}})
		if r.log() != "second\n" {
			t.Errorf("log: %q", r.log())
		}
	})
}
