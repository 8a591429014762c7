package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/slipway-ci/slipway/buildkit"
)

// pull reads all of an image with go-containerregistry, which checks digests.
func pull(t *testing.T, ref string) {
	t.Helper()
	r, err := name.ParseReference(ref, name.Insecure)
	fatal(t, err)
	d, err := remote.Get(r)
	fatal(t, err)
	if !d.MediaType.IsIndex() {
		img, err := d.Image()
		fatal(t, err)
		pullImage(t, img)
		return
	}
	idx, err := d.ImageIndex()
	fatal(t, err)
	m, err := idx.IndexManifest()
	fatal(t, err)
	for _, d := range m.Manifests {
		img, err := idx.Image(d.Digest)
		fatal(t, err)
		pullImage(t, img)
	}
}

func pullImage(t *testing.T, img v1.Image) {
	t.Helper()
	_, err := img.RawConfigFile()
	fatal(t, err)
	layers, err := img.Layers()
	fatal(t, err)
	for _, l := range layers {
		r, err := l.Compressed()
		fatal(t, err)
		_, err = io.Copy(io.Discard, r)
		fatal(t, err)
		fatal(t, r.Close())
	}
}

func TestPush(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		store := &memory{}
		images := map[string]buildkit.Image{
			"image": store.image(t, randomImage(t, 3)),
			"index": store.index(t, map[string]v1.Image{"linux/amd64": randomImage(t, 2), "linux/arm64": randomImage(t, 2)}),
		}
		for kind, img := range images {
			repo := w.host + "/team/" + kind
			c := newClient(store)
			got, err := c.Push(t.Context(), img, repo, []string{"v1", "latest"}, nil)
			fatal(t, err)
			want := img
			want.Repository, want.Tags = repo, []string{"v1", "latest"}
			if got.Ref() != want.Ref() || got.MediaType != want.MediaType || got.Size != want.Size || !slices.Equal(got.Tags, want.Tags) {
				t.Errorf("%s: got %+v, want %+v", kind, got, want)
			}
			pull(t, got.Ref())
			pull(t, repo+":latest")
			resolved, err := newClient(nil).Resolve(t.Context(), repo+":v1")
			fatal(t, err)
			if resolved.Ref() != got.Ref() || resolved.MediaType != img.MediaType || resolved.Size != img.Size {
				t.Errorf("%s: resolved to %+v, want %+v", kind, resolved, got)
			}

			w.reset()
			_, err = newClient(store).Push(t.Context(), img, repo, []string{"v1"}, nil)
			fatal(t, err)
			if n := w.count("PUT", "") + w.count("POST", ""); n != 0 {
				t.Errorf("%s: a second push wrote %d times: %q", kind, n, w.asked)
			}
		}
	})
}

// TestPushShared has many images push at the same time that share layers: each
// layer goes up once.
func TestPushShared(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		store := &memory{}
		base := randomImage(t, 3)
		c := newClient(store)
		var wg sync.WaitGroup
		var mu sync.Mutex
		bytes, cached := map[string]int{}, 0
		for i := range 8 {
			layer, err := random.Layer(1000, types.OCILayer)
			fatal(t, err)
			img, err := mutate.AppendLayers(base, layer)
			fatal(t, err)
			built := store.image(t, img)
			wg.Go(func() {
				_, err := c.Push(t.Context(), built, fmt.Sprintf("%s/app%d", w.host, i), []string{"v1"}, func(p buildkit.Progress) {
					mu.Lock()
					defer mu.Unlock()
					if p.Completed.IsZero() {
						return
					}
					if p.Done != p.Total || p.Error != "" {
						t.Errorf("progress of a blob that is done: %+v", p)
					}
					if p.Cached {
						cached++
					} else {
						bytes[p.Vertex]++
					}
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for digest, n := range bytes {
			if n != 1 {
				t.Errorf("%s was sent %d times", digest, n)
			}
		}
		// Three shared layers, and a layer and a config of each image's own.
		if got, want := w.count("PUT", "/blobs/uploads/"), 3+8*2; got != want {
			t.Errorf("got %d uploads, want %d", got, want)
		}
		if cached != 7*3 {
			t.Errorf("%d blobs were not sent, want 21", cached)
		}
		for i := range 8 {
			pull(t, fmt.Sprintf("%s/app%d:v1", w.host, i))
		}
	})
}

func TestCopy(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		store := &memory{}
		img := store.index(t, map[string]v1.Image{"linux/amd64": randomImage(t, 2), "linux/arm64": randomImage(t, 1)})
		from, err := newClient(store).Copy(t.Context(), img, w.host+"/from", []string{"v1"}, nil)
		fatal(t, err)

		w.reset()
		got, err := newClient(nil).Copy(t.Context(), from, w.host+"/to", []string{"prod"}, nil)
		fatal(t, err)
		if got.Ref() != w.host+"/to:prod@"+img.Digest {
			t.Errorf("got %s", got.Ref())
		}
		if n := w.count("PUT", "/blobs/") + w.count("GET", "/blobs/"); n != 0 {
			t.Errorf("blobs went over the wire within a registry: %q", w.asked)
		}
		pull(t, w.host+"/to:prod")

		there := serve(t, &Server{Dir: t.TempDir()})
		_, err = newClient(nil).Copy(t.Context(), from, there.host+"/x/y", []string{"a", "b"}, nil)
		fatal(t, err)
		pull(t, there.host+"/x/y:b")

		w.reset()
		_, err = newClient(nil).Copy(t.Context(), from, w.host+"/from", []string{"v2"}, nil)
		fatal(t, err)
		if got := w.count("POST", "") + w.count("PUT", ""); got != 1 {
			t.Errorf("a new tag took %d writes: %q", got, w.asked)
		}
	})
}

// TestFaults breaks each kind of request in each way that passes, and that does not.
func TestFaults(t *testing.T) {
	places := map[string]struct {
		method, path string
	}{
		"ping":            {"GET", "/v2/"},
		"look for blob":   {"HEAD", "/blobs/"},
		"begin upload":    {"POST", "/blobs/uploads/"},
		"upload":          {"PUT", "/blobs/uploads/"},
		"manifest":        {"PUT", "/manifests/sha256:"},
		"look for tag":    {"HEAD", "/manifests/v1"},
		"tag":             {"PUT", "/manifests/v1"},
		"look for digest": {"HEAD", "/manifests/sha256:"},
	}
	passing := map[string]http.HandlerFunc{
		"500":   status(500, "UNKNOWN", "broken"),
		"503":   status(503, "UNAVAILABLE", "wait"),
		"429":   status(429, "TOOMANYREQUESTS", "slow down"),
		"reset": reset,
	}
	lasting := map[string]http.HandlerFunc{
		"403": status(403, "DENIED", "not you \x1b[31m"),
		"400": status(400, "UNSUPPORTED", "never"),
		"500": status(500, "UNKNOWN", "broken"),
	}
	store := &memory{}
	img := store.image(t, randomImage(t, 2))
	for place, f := range places {
		for what, answer := range passing {
			t.Run(place+"/"+what+" passes", func(t *testing.T) {
				w := serve(t, &Server{Dir: t.TempDir()})
				fired := w.fault(&fault{method: f.method, path: f.path, times: 2, answer: answer})
				_, err := newClient(store).Push(t.Context(), img, w.host+"/app", []string{"v1"}, nil)
				if err != nil {
					t.Error(err)
				}
				if fired.fired.Load() != 2 {
					t.Errorf("the fault fired %d times, want 2", fired.fired.Load())
				}
				pull(t, w.host+"/app:v1")
			})
		}
		for what, answer := range lasting {
			if place == "ping" {
				continue
			}
			t.Run(place+"/"+what+" lasts", func(t *testing.T) {
				w := serve(t, &Server{Dir: t.TempDir()})
				fired := w.fault(&fault{method: f.method, path: f.path, answer: answer})
				if f.method == "HEAD" {
					w.fault(&fault{method: "GET", path: f.path, answer: answer})
				}
				repo := w.host + "/app"
				_, err := newClient(store).Push(t.Context(), img, repo, []string{"v1"}, nil)
				if fired.fired.Load() == 0 {
					t.Fatal("the fault did not fire")
				}
				var re *buildkit.RegistryError
				if !errors.As(err, &re) || re.Host != w.host || !strings.HasPrefix(re.Ref, repo) || !strings.Contains(err.Error(), what) {
					t.Errorf("got %T %v, want a RegistryError of %s for %s with %s", err, err, w.host, repo, what)
				}
				if errors.Is(err, buildkit.ErrNotFound) || strings.Contains(err.Error(), "\x1b") {
					t.Errorf("got %q", err)
				}
				w.reset()
				if _, err := newClient(nil).Resolve(t.Context(), repo+":v1"); !errors.Is(err, buildkit.ErrNotFound) {
					t.Errorf("the tag after a push that failed: got %v, want %v", err, buildkit.ErrNotFound)
				}
			})
		}
	}
}

func TestForbiddenIsAskedOnce(t *testing.T) {
	w := serve(t, &Server{Dir: t.TempDir()})
	store := &memory{}
	f := w.fault(&fault{method: "POST", path: "/blobs/uploads/", answer: status(403, "DENIED", "read only")})
	img := store.image(t, mustConfigOnly(t))
	_, err := newClient(store).Push(t.Context(), img, w.host+"/app", nil, nil)
	if err == nil || !strings.Contains(err.Error(), "403 Forbidden: DENIED: read only (the account that is logged in at "+w.host) {
		t.Errorf("got %v", err)
	}
	if f.fired.Load() != 1 {
		t.Errorf("a 403 was asked for %d times", f.fired.Load())
	}
}

// mustConfigOnly returns an image without layers: one blob.
func mustConfigOnly(t *testing.T) v1.Image { t.Helper(); return randomImage(t, 0) }

func TestRetryAfter(t *testing.T) {
	w := serve(t, &Server{Dir: t.TempDir()})
	store := &memory{}
	img := store.image(t, mustConfigOnly(t))
	f := w.fault(&fault{method: "PUT", path: "/manifests/", times: 1, answer: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	}})
	start := time.Now()
	_, err := newClient(store).Push(t.Context(), img, w.host+"/app", nil, nil)
	fatal(t, err)
	if took := time.Since(start); f.fired.Load() != 1 || took < time.Second {
		t.Errorf("fired %d times, took %v; want once and a second at least", f.fired.Load(), took)
	}

	long := w.fault(&fault{method: "HEAD", path: "/manifests/", answer: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
	}})
	_, err = newClient(store).Resolve(t.Context(), w.host+"/app")
	if err == nil || !strings.Contains(err.Error(), "429") || long.fired.Load() != 1 {
		t.Errorf("got %v after %d requests, want a 429 at once", err, long.fired.Load())
	}
}

func TestRetryAfterHeader(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-7": 0, "soon": 0,
		"Fri, 02 Jan 2026 03:04:15 GMT": 10 * time.Second,
		"Fri, 02 Jan 2026 03:04:00 GMT": 0,
	} {
		if got := buildkit.RetryAfter(header, now); got != want {
			t.Errorf("%q: got %v, want %v", header, got, want)
		}
	}
}

func TestCancel(t *testing.T) {
	w := serve(t, &Server{Dir: t.TempDir()})
	store := &memory{}
	img := store.image(t, randomImage(t, 3))
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	f := w.fault(&fault{method: "POST", path: "/blobs/uploads/", answer: func(rw http.ResponseWriter, r *http.Request) {
		cancel(why)
		rw.WriteHeader(http.StatusServiceUnavailable)
	}})
	c := newClient(store)
	c.backoff = time.Hour
	_, err := c.Push(ctx, img, w.host+"/app", []string{"v1"}, nil)
	if !errors.Is(err, why) || f.fired.Load() == 0 {
		t.Errorf("got %v, want %v; fired %d times", err, why, f.fired.Load())
	}
	// Another push of the same Client is not held up by the one that was canceled.
	w.reset()
	_, err = c.Push(t.Context(), img, w.host+"/app", []string{"v1"}, nil)
	fatal(t, err)
}

func TestBadContent(t *testing.T) {
	img := randomImage(t, 1)
	layers, err := img.Layers()
	fatal(t, err)
	layer, err := layers[0].Digest()
	fatal(t, err)
	for what, spoil := range map[string]func(m *memory){
		"other bytes": func(m *memory) { m.data[layer.String()] = bytes.Repeat([]byte("x"), len(m.data[layer.String()])) },
		"too short":   func(m *memory) { m.data[layer.String()] = m.data[layer.String()][1:] },
		"too long":    func(m *memory) { m.data[layer.String()] = append(slices.Clone(m.data[layer.String()]), 'x') },
		"missing":     func(m *memory) { delete(m.data, layer.String()) },
	} {
		t.Run(what, func(t *testing.T) {
			w := serve(t, &Server{Dir: t.TempDir()})
			store := &memory{}
			built := store.image(t, img)
			spoil(store)
			_, err := newClient(store).Push(t.Context(), built, w.host+"/app", []string{"v1"}, nil)
			var re *buildkit.RegistryError
			if err == nil || errors.As(err, &re) || !strings.Contains(err.Error(), "built content "+layer.String()) {
				t.Errorf("got %v, want an error of the built content", err)
			}
			if _, err := newClient(nil).Resolve(t.Context(), w.host+"/app:v1"); !errors.Is(err, buildkit.ErrNotFound) {
				t.Errorf("the tag: got %v, want %v", err, buildkit.ErrNotFound)
			}
		})
	}
	_, err = newClient(nil).Push(t.Context(), buildkit.Image{Digest: layer.String()}, serve(t, &Server{Dir: t.TempDir()}).host+"/app", nil, nil)
	if err == nil || !strings.Contains(err.Error(), "no builder") {
		t.Errorf("without content: got %v", err)
	}
}

func TestBadNames(t *testing.T) {
	c := newClient(&memory{})
	img := buildkit.Image{Digest: digestOf(nil)}
	for _, tt := range []struct {
		img  buildkit.Image
		repo string
		tags []string
		want string
	}{
		{img, "Upper/Case", nil, "is not like registry.example/team/app"},
		{img, "localhost:1/app", []string{"ok", "not ok"}, `"not ok" is no tag`},
		{buildkit.Image{}, "localhost:1/app", nil, "no digest"},
	} {
		if _, err := c.Push(t.Context(), tt.img, tt.repo, tt.tags, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
}
