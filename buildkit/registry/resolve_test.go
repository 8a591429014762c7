package registry

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/slipway-ci/slipway/buildkit"
)

func TestResolveNothing(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		store := &memory{}
		_, err := newClient(store).Push(t.Context(), store.image(t, randomImage(t, 1)), w.host+"/app", []string{"v1"}, nil)
		fatal(t, err)
		for _, ref := range []string{"/app:v2", "/app", "/app@" + digestOf([]byte("x")), "/app:v1@" + digestOf([]byte("x")), "/nothing:v1"} {
			_, err := newClient(nil).Resolve(t.Context(), w.host+ref)
			var re *buildkit.RegistryError
			if !errors.Is(err, buildkit.ErrNotFound) || !errors.As(err, &re) || re.Ref != w.host+ref {
				t.Errorf("%s: got %v, want %v", ref, err, buildkit.ErrNotFound)
			}
		}
	})
}

func TestResolveHead(t *testing.T) {
	w := serve(t, &Server{Dir: t.TempDir()})
	store := &memory{}
	img, err := newClient(store).Push(t.Context(), store.image(t, randomImage(t, 1)), w.host+"/app", []string{"v1"}, nil)
	fatal(t, err)
	for what, answer := range map[string]http.HandlerFunc{
		"is not known":  status(405, "UNSUPPORTED", ""),
		"says nothing":  func(http.ResponseWriter, *http.Request) {},
		"has no digest": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "10") },
		"has an odd digest": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10")
			w.Header().Set("Docker-Content-Digest", "sha256:../../x")
		},
	} {
		t.Run(what, func(t *testing.T) {
			f := w.fault(&fault{method: "HEAD", path: "/manifests/", answer: answer})
			defer w.reset()
			got, err := newClient(nil).Resolve(t.Context(), w.host+"/app:v1")
			fatal(t, err)
			if got.Ref() != img.Ref() || got.MediaType != img.MediaType || got.Size != img.Size || f.fired.Load() != 1 {
				t.Errorf("got %+v, want %+v; the fault fired %d times", got, img, f.fired.Load())
			}
		})
	}
}

func TestResolveLies(t *testing.T) {
	w := serve(t, &Server{Dir: t.TempDir()})
	store := &memory{}
	img, err := newClient(store).Push(t.Context(), store.image(t, randomImage(t, 1)), w.host+"/app", []string{"v1"}, nil)
	fatal(t, err)
	other, err := newClient(store).Push(t.Context(), store.image(t, randomImage(t, 1)), w.host+"/app", []string{"v2"}, nil)
	fatal(t, err)
	lie := func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", other.MediaType)
		rw.Header().Set("Docker-Content-Digest", other.Digest)
		if r.Method == "HEAD" {
			rw.Header().Set("Content-Length", "10")
			return
		}
		rw.Write(store.data[other.Digest])
	}
	f := w.fault(&fault{method: "HEAD", path: "/manifests/" + img.Digest, answer: lie})
	if _, err := newClient(nil).Resolve(t.Context(), img.Ref()); !errors.Is(err, errDigest) || f.fired.Load() != 1 {
		t.Errorf("HEAD: got %v, want %v; fired %d times", err, errDigest, f.fired.Load())
	}
	f = w.fault(&fault{method: "GET", path: "/manifests/" + img.Digest, answer: lie})
	to := serve(t, &Server{Dir: t.TempDir()})
	if _, err := newClient(nil).Copy(t.Context(), img, to.host+"/app", nil, nil); !errors.Is(err, errDigest) || f.fired.Load() != 1 {
		t.Errorf("GET: got %v, want %v; fired %d times", err, errDigest, f.fired.Load())
	}
}

func TestTruncatedDownload(t *testing.T) {
	from, to := serve(t, &Server{Dir: t.TempDir()}), serve(t, &Server{Dir: t.TempDir()})
	store := &memory{}
	img, err := newClient(store).Push(t.Context(), store.image(t, randomImage(t, 1)), from.host+"/app", []string{"v1"}, nil)
	fatal(t, err)
	cut := func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Length", "4000")
		rw.Write([]byte("x"))
	}
	blob := from.fault(&fault{method: "GET", path: "/blobs/", times: 2, answer: cut})
	manifest := from.fault(&fault{method: "GET", path: "/manifests/", times: 2, answer: cut})
	_, err = newClient(nil).Copy(t.Context(), img, to.host+"/app", []string{"v1"}, nil)
	fatal(t, err)
	if blob.fired.Load() != 2 || manifest.fired.Load() != 2 {
		t.Errorf("fired %d and %d times, want twice each", blob.fired.Load(), manifest.fired.Load())
	}
	pull(t, to.host+"/app:v1")
}

func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	fatal(t, err)
	host := l.Addr().String()
	l.Close()
	_, err = newClient(nil).Resolve(t.Context(), host+"/app")
	var re *buildkit.RegistryError
	if !errors.As(err, &re) || re.Host != host || errors.Is(err, buildkit.ErrNotFound) {
		t.Errorf("got %v, want a RegistryError", err)
	}
	w := serve(t, http.NotFoundHandler())
	_, err = newClient(nil).Resolve(t.Context(), w.host+"/app")
	if !errors.As(err, &re) || errors.Is(err, buildkit.ErrNotFound) || !strings.Contains(err.Error(), "404") {
		t.Errorf("no registry: got %v, want a RegistryError that is not %v", err, buildkit.ErrNotFound)
	}
}

func TestRefs(t *testing.T) {
	d := digestOf(nil)
	for _, tt := range []struct{ ref, repo, tag, digest string }{
		{"alpine", "alpine", "", ""},
		{"alpine:3", "alpine", "3", ""},
		{"localhost:5000/a/b", "localhost:5000/a/b", "", ""},
		{"localhost:5000/a/b:v1", "localhost:5000/a/b", "v1", ""},
		{"[::1]:5000/a@" + d, "[::1]:5000/a", "", d},
		{"a/b:v1@" + d, "a/b", "v1", d},
	} {
		repo, tag, digest, err := splitRef(tt.ref)
		if err != nil || repo != tt.repo || tag != tt.tag || digest != tt.digest {
			t.Errorf("%s: got %q %q %q %v", tt.ref, repo, tag, digest, err)
		}
	}
	for _, ref := range []string{"a:", "a:b c", "a@sha256:12", "a@", "a@md5:" + d} {
		if _, _, _, err := splitRef(ref); err == nil {
			t.Errorf("%q: got no error", ref)
		}
	}
}

func TestEquivalent(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		store := &memory{}
		amd, arm, other := randomImage(t, 1), randomImage(t, 1), randomImage(t, 1)
		repo := w.host + "/app"
		push := func(img buildkit.Image) string {
			t.Helper()
			_, err := newClient(store).Push(t.Context(), img, repo, nil, nil)
			fatal(t, err)
			return img.Digest
		}
		config := func(img v1.Image) string {
			t.Helper()
			h, err := img.ConfigName()
			fatal(t, err)
			return h.String()
		}
		annotated := mutate.Annotations(amd, map[string]string{"a": "b"}).(v1.Image)
		pinned := push(store.index(t, map[string]v1.Image{"linux/amd64": amd, "linux/arm64": arm}))
		amdDigest := push(store.image(t, amd))
		tests := []struct {
			what             string
			pinned, reported string
			want             bool
		}{
			{"itself", pinned, pinned, true},
			{"a platform's manifest", pinned, amdDigest, true},
			{"a platform's config", pinned, config(arm), true},
			{"config of an image", amdDigest, config(amd), true},
			{"config of another platform", amdDigest, config(arm), false},
			{"another manifest with the same config", amdDigest, push(store.image(t, annotated)), true},
			{"another index with the same configs", pinned, push(store.index(t, map[string]v1.Image{"linux/amd64": annotated, "linux/arm64": arm})), true},
			{"an index that holds the image", amdDigest, pinned, true},
			{"a smaller index", pinned, push(store.index(t, map[string]v1.Image{"linux/arm64": arm})), true},
			{"an index that shares one platform only", pinned, push(store.index(t, map[string]v1.Image{"linux/amd64": amd, "linux/arm64": other})), false},
			{"another image", pinned, push(store.image(t, other)), false},
			{"what the registry does not know", pinned, digestOf([]byte("x")), false},
			{"no digest", pinned, "docker-pullable", false},
		}
		c := newClient(nil)
		for _, tt := range tests {
			got, err := c.Equivalent(t.Context(), repo, tt.pinned, tt.reported)
			if err != nil || got != tt.want {
				t.Errorf("%s: got %v, %v; want %v", tt.what, got, err, tt.want)
			}
		}
		w.reset()
		if got, err := c.Equivalent(t.Context(), repo, pinned, amdDigest); !got || err != nil || len(w.asked) != 0 {
			t.Errorf("again: got %v, %v and %q; want true without a request", got, err, w.asked)
		}
		if _, err := c.Equivalent(t.Context(), repo, digestOf([]byte("gone")), amdDigest); !errors.Is(err, buildkit.ErrNotFound) {
			t.Errorf("pinned is gone: got %v, want %v", err, buildkit.ErrNotFound)
		}
	})
}

// A mirror holds what it mirrors below its own path, under whole names.
func TestMirrorOfDockerHub(t *testing.T) {
	digest, asked := "sha256:"+strings.Repeat("a", 64), ""
	w := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			return
		}
		asked = r.URL.Path
		headed(w, digest)
	}))
	c := newClient(nil)
	c.Mirrors = map[string][]string{"docker.io": {w.host + "/hub"}}
	for ref, path := range map[string]string{
		"alpine:3":            "/v2/hub/library/alpine/manifests/3",
		"docker.io/acme/tool": "/v2/hub/acme/tool/manifests/latest",
		"alpine:3@" + digest:  "/v2/hub/library/alpine/manifests/" + digest,
	} {
		img, err := c.ResolveBase(t.Context(), ref)
		if err != nil || img.Digest != digest || asked != path || strings.Contains(img.Ref(), w.host) {
			t.Errorf("%s: got %s, asked for %s, want %s: %v", ref, img.Ref(), asked, path, err)
		}
	}
}
