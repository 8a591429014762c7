package registry

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/slipway-ci/slipway/buildkit"
)

// memory is a content store of the builder.
type memory struct {
	mu   sync.Mutex
	data map[string][]byte
}

func (m *memory) Open(_ context.Context, digest string) (io.ReadCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.data[digest]
	if !ok {
		return nil, fmt.Errorf("%s: %w", digest, os.ErrNotExist)
	}
	return &opened{Reader: bytes.NewReader(data)}, nil
}

// opened cannot be read once it is closed, as a file.
type opened struct {
	*bytes.Reader
	closed atomic.Bool
}

func (o *opened) Read(p []byte) (int, error) {
	if o.closed.Load() {
		return 0, os.ErrClosed
	}
	return o.Reader.Read(p)
}

func (o *opened) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, struct{ io.Reader }{o}) }

func (o *opened) Close() error { o.closed.Store(true); return nil }

func (m *memory) add(data []byte) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.data == nil {
		m.data = map[string][]byte{}
	}
	m.data[digestOf(data)] = data
	return digestOf(data)
}

// image puts an image into the store.
func (m *memory) image(t *testing.T, img v1.Image) buildkit.Image {
	t.Helper()
	raw, err := img.RawManifest()
	fatal(t, err)
	config, err := img.RawConfigFile()
	fatal(t, err)
	m.add(config)
	layers, err := img.Layers()
	fatal(t, err)
	for _, l := range layers {
		r, err := l.Compressed()
		fatal(t, err)
		data, err := io.ReadAll(r)
		fatal(t, err)
		m.add(data)
	}
	mt, err := img.MediaType()
	fatal(t, err)
	return buildkit.Image{Digest: m.add(raw), MediaType: string(mt), Size: int64(len(raw))}
}

// index puts an index of images for some platforms into the store.
func (m *memory) index(t *testing.T, images map[string]v1.Image) buildkit.Image {
	t.Helper()
	var idx v1.ImageIndex = empty.Index
	for platform, img := range images {
		m.image(t, img)
		p, err := v1.ParsePlatform(platform)
		fatal(t, err)
		idx = mutate.AppendManifests(idx, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: p}})
	}
	raw, err := idx.RawManifest()
	fatal(t, err)
	mt, err := idx.MediaType()
	fatal(t, err)
	return buildkit.Image{Digest: m.add(raw), MediaType: string(mt), Size: int64(len(raw))}
}

func randomImage(t *testing.T, layers int64) v1.Image {
	t.Helper()
	img, err := random.Image(4096, layers)
	fatal(t, err)
	return img
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A registry under test, with what it was asked and what goes wrong.
type world struct {
	*httptest.Server
	host string

	mu     sync.Mutex
	asked  []string // "METHOD /path"
	faults []*fault
}

// A fault answers some requests in the registry's place.
type fault struct {
	method, path string // of the requests; path is part of it
	times        int    // how often; zero means always
	answer       http.HandlerFunc
	fired        atomic.Int32
}

func serve(t *testing.T, h http.Handler) *world {
	t.Helper()
	w := &world{}
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if answer := w.hit(r); answer != nil {
			answer(rw, r)
			return
		}
		h.ServeHTTP(rw, r)
	}))
	w.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(w.Close)
	w.host = strings.TrimPrefix(w.URL, "http://")
	return w
}

func (w *world) hit(r *http.Request) http.HandlerFunc {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, r.Method+" "+r.URL.RequestURI())
	for _, f := range w.faults {
		if r.Method == f.method && strings.Contains(r.URL.RequestURI(), f.path) && (f.times == 0 || int(f.fired.Load()) < f.times) {
			f.fired.Add(1)
			return f.answer
		}
	}
	return nil
}

func (w *world) fault(f *fault) *fault {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, f)
	return f
}

// count returns how many requests there were since the last call of reset.
func (w *world) count(method, path string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.asked {
		if m, p, _ := strings.Cut(a, " "); m == method && strings.Contains(p, path) {
			n++
		}
	}
	return n
}

func (w *world) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked, w.faults = nil, nil
}

// both runs a test against our registry and against go-containerregistry's.
func both(t *testing.T, f func(t *testing.T, w *world)) {
	t.Run("ours", func(t *testing.T) { f(t, serve(t, &Server{Dir: t.TempDir()})) })
	t.Run("ggcr", func(t *testing.T) { f(t, serve(t, ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0))))) })
}

// discardLog keeps what a server says of broken connections from the output.
func discardLog() *log.Logger { return log.New(io.Discard, "", 0) }

func newClient(content Content) *Client {
	return &Client{Content: content, Keychain: authn.NewMultiKeychain(), backoff: time.Millisecond}
}

// headed answers a HEAD of a manifest.
func headed(w http.ResponseWriter, digest string) {
	w.Header().Set("Docker-Content-Digest", digest)
	w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
	w.Header().Set("Content-Length", "2")
}

// status answers with an error of the specification.
func status(code int, name, message string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"errors":[{"code":%q,"message":%q}]}`, name, message)
	}
}

// reset breaks the connection.
func reset(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }
