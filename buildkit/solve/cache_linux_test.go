package solve_test

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/buildkit/registry"
	"github.com/slipway-ci/slipway/buildkit/solve"
)

// serveRegistry starts our own registry, and returns its host.
func serveRegistry(t *testing.T) string {
	t.Helper()
	srv := httptest.NewServer(&registry.Server{Dir: t.TempDir()})
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://")
}

// TestCaches keeps the steps of a build in each kind of cache, and builds again
// with a builder that knows nothing: the step is not run, and the digest stays.
func TestCaches(t *testing.T) {
	host := serveRegistry(t)
	local := filepath.Join(t.TempDir(), "cache")
	tests := map[string]struct{ to, from buildkit.CacheEntry }{
		"local": {
			to:   buildkit.CacheEntry{Type: "local", Attrs: map[string]string{"dest": local, "mode": "max"}},
			from: buildkit.CacheEntry{Type: "local", Attrs: map[string]string{"src": local}},
		},
		"registry": {
			to:   buildkit.CacheEntry{Type: "registry", Attrs: map[string]string{"ref": host + "/cache:web", "mode": "max", "image-manifest": "true", "oci-mediatypes": "true"}},
			from: buildkit.CacheEntry{Type: "registry", Attrs: map[string]string{"ref": host + "/cache:web"}},
		},
		"inline": {
			to:   buildkit.CacheEntry{Type: "inline"},
			from: buildkit.CacheEntry{Type: "registry", Attrs: map[string]string{"ref": host + "/web:inline"}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := shellFolder(t, "RUN cat /proc/sys/kernel/random/uuid > /made; echo it ran\n", nil)
			first := newBuilder(t)
			spec := buildkit.Spec{Context: dir, Cache: buildkit.Cache{To: []buildkit.CacheEntry{tt.to}}}
			want, r := build(t, first, spec)
			if !strings.Contains(r.log(), "it ran") {
				t.Fatalf("log: %q", r.log())
			}
			if name == "inline" {
				c := &registry.Client{Content: first}
				if _, err := c.Push(t.Context(), want, host+"/web", []string{"inline"}, nil); err != nil {
					t.Fatal(err)
				}
			}
			spec.Cache.From = []buildkit.CacheEntry{tt.from}
			got, r := build(t, newBuilder(t), spec)
			if strings.Contains(r.log(), "it ran") {
				t.Error("the step ran again")
			}
			if got.Digest != want.Digest {
				t.Errorf("digest %s, want %s", got.Digest, want.Digest)
			}
		})
	}
}

// A cache that fails is a warning.
func TestCacheFails(t *testing.T) {
	gone := "127.0.0.1:1/cache:x"
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b := newBuilder(t)
	b.Env = func(name string) (string, bool) {
		v, ok := map[string]string{"ACTIONS_RUNTIME_TOKEN": "eyJhbGciOiJub25lIn0.eyJhYyI6IltdIn0.x", "ACTIONS_CACHE_URL": "http://127.0.0.1:1/"}[name]
		return v, ok
	}
	gha := func(token string) buildkit.Cache {
		e := buildkit.CacheEntry{Type: "gha", Attrs: map[string]string{"token": token, "scope": "s"}}
		return buildkit.Cache{From: []buildkit.CacheEntry{e}, To: []buildkit.CacheEntry{e}}
	}
	for name, cache := range map[string]buildkit.Cache{
		"no token": gha("nonsense"),
		"github":   gha(""),
		"registry": {
			From: []buildkit.CacheEntry{{Type: "registry", Attrs: map[string]string{"ref": gone}}},
			To:   []buildkit.CacheEntry{{Type: "registry", Attrs: map[string]string{"ref": gone}}},
		},
		"local": {To: []buildkit.CacheEntry{{Type: "local", Attrs: map[string]string{"dest": blocked}}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, r := build(t, b, buildkit.Spec{Context: shellFolder(t, "RUN echo "+name+"\n", nil), Cache: cache})
			warned := 0
			for _, p := range r.seen {
				if p.Warning != nil && strings.Contains(p.Warning.Text, "the cache was left out") {
					warned++
				}
			}
			if warned == 0 {
				t.Errorf("no warning: %+v", r.seen)
			}
		})
	}
}

// TestAttest makes statements about an image: they lie beside it, in every
// platform's name, and its digest is what it is without them.
func TestAttest(t *testing.T) {
	host := serveRegistry(t)
	b := newBuilder(t)
	images := &registry.Client{Content: b}
	// A scanner, as BuildKit calls them: it writes what it finds where it is told.
	scanner, _ := build(t, b, buildkit.Spec{Context: shellFolder(t, "COPY scan /scan\nENTRYPOINT [\"/scan\"]\n", map[string]string{
		"scan!": "#!/bin/sh\nfor s in $BUILDKIT_SCAN_SOURCE; do echo '{\"_type\":\"https://in-toto.io/Statement/v0.1\",\"predicateType\":\"https://spdx.dev/Document\",\"predicate\":{\"files\":'$(find $s -type f | wc -l)'}}' > $BUILDKIT_SCAN_DESTINATION/sbom.spdx.json; done\n",
	})})
	if _, err := images.Push(t.Context(), scanner, host+"/scanner", []string{"1"}, nil); err != nil {
		t.Fatal(err)
	}
	for _, platforms := range [][]string{nil, {"linux/amd64", "linux/arm64"}} {
		dir := folder(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY a /a\n", "a": "a"})
		spec := buildkit.Spec{Context: dir, Platforms: platforms}
		want, _ := build(t, b, spec)
		spec.Attest = buildkit.Attest{Provenance: "max", SBOM: host + "/scanner:1"}
		got, _ := build(t, b, spec)
		if got.Digest != want.Digest {
			t.Errorf("%v: digest %s, without statements %s", platforms, got.Digest, want.Digest)
		}
		said := b.Statements(got.Digest)
		if n := 2 * max(1, len(platforms)); len(said) != n {
			t.Fatalf("%v: %d statements, want %d: %+v", platforms, len(said), n, said)
		}
		seen := map[string]bool{}
		for _, s := range said {
			seen[s.Predicate] = true
			var statement struct{ PredicateType string }
			if err := json.Unmarshal([]byte(read(t, b, s.Digest)), &statement); err != nil || statement.PredicateType != s.Predicate {
				t.Errorf("%+v: %+v, %v", s, statement, err)
			}
			if (s.Platform != "") != (len(platforms) > 1) {
				t.Errorf("platform %q of %v", s.Platform, platforms)
			}
		}
		if !seen["https://spdx.dev/Document"] || len(seen) != 2 {
			t.Errorf("predicates: %v", seen)
		}
	}
}

var (
	_ registry.Statements = (*solve.Builder)(nil)
	_ registry.Origins    = (*solve.Builder)(nil)
)
