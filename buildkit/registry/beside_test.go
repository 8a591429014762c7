package registry

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/slipway-ci/slipway/buildkit"
)

// A shelf is built content, with what was said about it and where it came from.
type shelf struct {
	blobs   map[string][]byte
	said    map[string][]buildkit.Statement
	origins map[string][]string
}

func (s *shelf) put(text string) (digest string, size int64) {
	digest = fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text)))
	s.blobs[digest] = []byte(text)
	return digest, int64(len(text))
}

func (s *shelf) Open(_ context.Context, digest string) (io.ReadCloser, error) {
	text, ok := s.blobs[digest]
	if !ok {
		return nil, buildkit.ErrNotFound
	}
	return io.NopCloser(bytes.NewReader(text)), nil
}

func (s *shelf) Statements(image string) []buildkit.Statement { return s.said[image] }

func (s *shelf) Origins(_ context.Context, digest string) []string { return s.origins[digest] }

// newShelf holds an image of one layer.
func newShelf() (*shelf, buildkit.Image, string) {
	s := &shelf{blobs: map[string][]byte{}, said: map[string][]buildkit.Statement{}, origins: map[string][]string{}}
	config, configSize := s.put(`{"architecture":"amd64","os":"linux"}`)
	layer, layerSize := s.put("the layer")
	digest, size := s.put(fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",`+
		`"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},`+
		`"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":%q,"size":%d}]}`, config, configSize, layer, layerSize))
	return s, buildkit.Image{Digest: digest, MediaType: "application/vnd.oci.image.manifest.v1+json", Size: size}, layer
}

// listless is a registry that keeps no lists of referrers.
func listless(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/referrers/") {
			http.NotFound(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// TestStatements pushes what was said about an image beside it, and copies it on.
func TestStatements(t *testing.T) {
	for name, wrap := range map[string]func(http.Handler) http.Handler{
		"listed":   func(h http.Handler) http.Handler { return h },
		"listless": listless,
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(wrap(&Server{Dir: t.TempDir()}))
			defer srv.Close()
			host := strings.TrimPrefix(srv.URL, "http://")
			content, img, _ := newShelf()
			for _, kind := range []string{"https://slsa.dev/provenance/v1", "https://spdx.dev/Document"} {
				digest, size := content.put(`{"predicateType":"` + kind + `"}`)
				content.said[img.Digest] = append(content.said[img.Digest], buildkit.Statement{Digest: digest, Size: size, MediaType: "application/vnd.in-toto+json", Predicate: kind})
			}
			c := &Client{Content: content}
			for range 2 { // a second time changes nothing
				if _, err := c.Push(t.Context(), img, host+"/one", []string{"v1"}, nil); err != nil {
					t.Fatal(err)
				}
			}
			at := buildkit.Image{Digest: img.Digest, Repository: host + "/one"}
			if _, err := (&Client{}).Copy(t.Context(), at, host+"/two", []string{"v1"}, nil); err != nil {
				t.Fatal(err)
			}
			for _, repository := range []string{"/one", "/two"} {
				repo, err := c.repository(host + repository)
				if err != nil {
					t.Fatal(err)
				}
				found, native, err := c.referrers(t.Context(), repo, img.Digest)
				if err != nil || len(found) != 2 || native == (name == "listless") {
					t.Fatalf("%s: %+v, %v, %v", repository, found, native, err)
				}
				for _, d := range found {
					m, err := c.getManifest(t.Context(), repo, d.Digest)
					if err != nil {
						t.Fatal(err)
					}
					var a artifact
					if err := json.Unmarshal(m.raw, &a); err != nil || a.Subject == nil || a.Subject.Digest != img.Digest || d.ArtifactType != "application/vnd.in-toto+json" {
						t.Errorf("%s: %s, %v", repository, m.raw, err)
					}
					r, err := pushed{c, repo}.blob(t.Context(), descriptor{Digest: a.Layers[0].Digest, Size: a.Layers[0].Size})
					if err != nil {
						t.Fatal(err)
					}
					text, err := io.ReadAll(r)
					if err != nil || !strings.Contains(string(text), d.Annotations[predicate]) {
						t.Errorf("%s, %v", text, err)
					}
				}
			}
		})
	}
}

func TestDate(t *testing.T) {
	srv := httptest.NewServer(&Server{Dir: t.TempDir()})
	defer srv.Close()
	content, img, _ := newShelf()
	c := &Client{Content: content}
	img, err := c.Push(t.Context(), img, strings.TrimPrefix(srv.URL, "http://")+"/one", []string{"v1"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if when, err := c.Built(t.Context(), img, "key"); err != nil || !when.IsZero() {
		t.Errorf("before: %v, %v", when, err)
	}
	if err := c.Date(t.Context(), img, "key"); err != nil {
		t.Fatal(err)
	}
	for key, known := range map[string]bool{"key": true, "other": false} {
		if when, err := c.Built(t.Context(), img, key); err != nil || when.IsZero() == known {
			t.Errorf("%s: %v, %v", key, when, err)
		}
	}
}

// TestMountOfBase pushes an image whose layer came from another repository of the
// registry: it is mounted, not sent.
func TestMountOfBase(t *testing.T) {
	var mu sync.Mutex // several blobs go up at once
	var mounted, sent []string
	server := &Server{Dir: t.TempDir()}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		if m := r.URL.Query().Get("mount"); m != "" {
			mounted = append(mounted, m)
		} else if d := r.URL.Query().Get("digest"); d != "" && r.Method == http.MethodPut {
			sent = append(sent, d)
		}
		mu.Unlock()
		server.ServeHTTP(w, r)
	}))
	defer srv.Close()
	host := strings.TrimPrefix(srv.URL, "http://")
	content, img, layer := newShelf()
	if _, err := (&Client{Content: content}).Push(t.Context(), img, host+"/base", []string{"1"}, nil); err != nil {
		t.Fatal(err)
	}
	mounted, sent = nil, nil
	content.origins[layer] = []string{"elsewhere.example/x", host + "/base"}
	if _, err := (&Client{Content: content}).Push(t.Context(), img, host+"/web", []string{"1"}, nil); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(mounted, []string{layer}) || slices.Contains(sent, layer) {
		t.Errorf("mounted %q, sent %q", mounted, sent)
	}
}

// TestArchive writes an image as an archive, from the builder and from a registry:
// the same bytes, with all that each reader looks for.
func TestArchive(t *testing.T) {
	srv := httptest.NewServer(&Server{Dir: t.TempDir()})
	defer srv.Close()
	content, img, layer := newShelf()
	c := &Client{Content: content}
	there, err := c.Push(t.Context(), img, strings.TrimPrefix(srv.URL, "http://")+"/one", []string{"v1"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var one, two bytes.Buffer
	if err := errors.Join(c.Archive(t.Context(), img, "shop/web:1", &one), c.Archive(t.Context(), there, "shop/web:1", &two)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("the archives differ")
	}
	files := map[string]string{}
	for r := tar.NewReader(&one); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name] = string(text)
	}
	for name, want := range map[string]string{
		"oci-layout": `"1.0.0"`, "index.json": `"io.containerd.image.name":"docker.io/shop/web:1"`, "manifest.json": `"RepoTags":["shop/web:1"]`,
		blobPath(img.Digest): `"schemaVersion":2`, blobPath(layer): "the layer",
	} {
		if !strings.Contains(files[name], want) {
			t.Errorf("%s has no %s: %q", name, want, files[name])
		}
	}
	if len(files) != 6 || !strings.Contains(files["index.json"], img.Digest) {
		t.Errorf("%d files: %q", len(files), files["index.json"])
	}
}

// TestEngine loads an archive into something that speaks as Docker does.
func TestEngine(t *testing.T) {
	var loaded string
	lis, err := net.Listen("unix", filepath.Join(t.TempDir(), "docker.sock"))
	if err != nil {
		t.Skip("needs unix sockets:", err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost && r.URL.Path == "/images/load":
			text, _ := io.ReadAll(r.Body)
			if loaded = string(text); loaded == "bad" {
				fmt.Fprintln(w, `{"error":"no image in it"}`)
			}
		case r.URL.Path == "/images/shop/web:1/json":
			fmt.Fprintln(w, `{"Id":"sha256:1"}`)
		default:
			http.NotFound(w, r)
		}
	})}
	go func() { _ = srv.Serve(lis) }()
	defer srv.Close()
	e := &Engine{Host: "unix://" + lis.Addr().String()}
	if err := e.Load(t.Context(), strings.NewReader("archive")); err != nil || loaded != "archive" {
		t.Errorf("%q, %v", loaded, err)
	}
	var host *buildkit.HostError
	if err := e.Load(t.Context(), strings.NewReader("bad")); !errors.As(err, &host) || !strings.Contains(err.Error(), "no image in it") {
		t.Errorf("error: %v", err)
	}
	for name, want := range map[string]string{"shop/web:1": "sha256:1", "shop/web:2": ""} {
		if got, err := e.Loaded(t.Context(), name); got != want || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := (&Engine{Host: "unix:///nowhere.sock"}).Loaded(t.Context(), "x:1"); !errors.As(err, &host) {
		t.Errorf("error: %v", err)
	}
}
