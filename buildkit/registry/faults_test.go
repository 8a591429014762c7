package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/buildkit/faults"
)

// elsewhere is a host that a registry sends us to. Nothing is there.
const elsewhere = "elsewhere.example"

// guarded lets in who has a token; who has a password gets one.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		switch {
		case r.URL.Path == "/token" && (user != "ada" || password != "secret"):
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/token":
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"token": "let-me-in"}`)
		case r.Header.Get("Authorization") != "Bearer let-me-in":
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="test"`, r.Host))
			w.WriteHeader(http.StatusUnauthorized)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// A cell is one kind of request that goes wrong in one way.
type cell struct {
	proxy  *faults.Proxy
	host   string
	client *Client
	data   *memory

	mu     sync.Mutex
	pauses []time.Duration
	dialed []string // hosts other than loopback
}

func newCell(t *testing.T, dir string, on faults.Kind, f *faults.Fault) *cell {
	t.Helper()
	c := &cell{data: &memory{}, proxy: &faults.Proxy{Next: guarded(&Server{Dir: dir}), On: on, Fault: f}}
	srv := httptest.NewServer(c.proxy)
	srv.Config.ErrorLog = discardLog()
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	c.host = strings.TrimPrefix(srv.URL, "http://")
	c.client = &Client{
		Content: c.data, backoff: time.Millisecond,
		Keychain: keychain{c.host: {Username: "ada", Password: "secret"}},
		pause: func(_ context.Context, d time.Duration) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.pauses = append(c.pauses, d)
			return nil
		},
		dial: func(_ context.Context, _, address string) error {
			if isLoopback(address) {
				return nil
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			c.dialed = append(c.dialed, address)
			return refusedError("the test refuses to connect to " + address)
		},
	}
	if f != nil && strings.HasPrefix(f.Name, "hang") {
		c.client.Patience = 300 * time.Millisecond
	}
	return c
}

// keychain knows passwords by host.
type keychain map[string]authn.AuthConfig

func (k keychain) Resolve(r authn.Resource) (authn.Authenticator, error) {
	if c, ok := k[r.RegistryStr()]; ok {
		return authn.FromConfig(c), nil
	}
	return authn.Anonymous, nil
}

// TestFaultTable lets every kind of request go wrong in every way. What comes of it
// is written down in testdata/faults.golden, after some things hold in any case.
func TestFaultTable(t *testing.T) {
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	kinds := []faults.Kind{
		faults.Token, faults.HeadManifest, faults.GetManifest, faults.GetBlob,
		faults.PostUpload, faults.PutUpload, faults.PutManifest,
	}
	all := faults.All("https://"+elsewhere, 7*time.Second, stop)
	lines := make([]string, len(kinds)*len(all))
	t.Run("cells", func(t *testing.T) {
		for i, kind := range kinds {
			for j, f := range all {
				t.Run(string(kind)+" "+f.Name, func(t *testing.T) {
					t.Parallel()
					lines[i*len(all)+j] = fmt.Sprintf("%-14s %-24s %s", kind, f.Name, runCell(t, kind, f))
				})
			}
		}
	})
	table := strings.Join(lines, "\n") + "\n"
	golden := filepath.Join("testdata", "faults.golden")
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(golden, []byte(table), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if table != string(want) {
		got := strings.Split(table, "\n")
		for i, line := range strings.Split(string(want), "\n") {
			if i < len(got) && got[i] != line {
				t.Errorf("got  %s\nwant %s", got[i], line)
			}
		}
	}
}

// pulls reports whether a kind of request is made of who images are taken from.
func pulls(kind faults.Kind) bool { return kind == faults.GetManifest || kind == faults.GetBlob }

func runCell(t *testing.T, kind faults.Kind, f faults.Fault) string {
	img := randomImage(t, 0) // its config is the one blob: what fails first does not depend on luck
	dir := t.TempDir()
	c := newCell(t, dir, kind, &f)
	built := c.data.image(t, img)
	do := func(c *cell) error {
		_, err := c.client.Push(t.Context(), built, c.host+"/team/app", []string{"v1"}, nil)
		return err
	}
	if pulls(kind) {
		healthy := newCell(t, dir, "", nil)
		healthy.data.image(t, img)
		if err := do(healthy); err != nil {
			t.Fatal(err)
		}
		other := serve(t, &Server{Dir: t.TempDir()})
		do = func(c *cell) error {
			from := built
			from.Repository = c.host + "/team/app"
			_, err := c.client.Copy(t.Context(), from, other.host+"/copied/app", []string{"v1"}, nil)
			return err
		}
	}
	err := do(c)

	// What holds in any case.
	if c.proxy.Fired() == 0 {
		t.Error("nothing went wrong: the proxy did not fire")
	}
	if err != nil && !errors.As(err, new(*buildkit.RegistryError)) {
		t.Errorf("%T is no RegistryError: %v", err, err)
	}
	if err != nil && strings.Contains(err.Error(), "secret") || err != nil && strings.Contains(err.Error(), "let-me-in") {
		t.Errorf("a credential in the error: %v", err)
	}
	for _, at := range c.dialed {
		if !strings.HasPrefix(at, elsewhere) {
			t.Errorf("connected to %s", at)
		}
	}
	for _, r := range c.proxy.Seen() {
		if r.Kind == faults.PatchUpload {
			t.Error("uploads come in one piece: there is no PATCH that could go wrong")
		}
		if (r.Kind == faults.Token) != strings.HasPrefix(r.Auth, "Basic ") && r.Auth != "" {
			t.Errorf("%s %s: a password where a token belongs, or the other way round", r.Method, r.Path)
		}
	}
	whole(t, dir)
	// It was the fault and nothing else: without, it works, from what is there.
	if again := newCell(t, dir, "", nil); true {
		again.data.image(t, img)
		if err := do(again); err != nil {
			t.Errorf("afterwards, without the fault: %v", err)
		}
	}
	whole(t, dir)

	n := 0
	for _, r := range c.proxy.Seen() {
		if r.Kind == kind {
			n++
		}
	}
	outcome := "ok"
	if err != nil {
		outcome = "fails"
		if errors.Is(err, buildkit.ErrNotFound) {
			outcome = "not found"
		}
	}
	text := fmt.Sprintf("%-9s fired %d of %d", outcome, c.proxy.Fired(), n)
	if f.Name == "hang once" { // on a busy machine a healthy answer may come too late, too
		text = fmt.Sprintf("%-9s fired %d", outcome, c.proxy.Fired())
	}
	if asked := slices.Contains(c.pauses, 7*time.Second); asked {
		text += ", waited as it was asked to"
	}
	if len(c.dialed) > 0 {
		text += ", was sent elsewhere"
	}
	return text
}

// whole checks that all that a tag of a registry's folder names is there.
func whole(t *testing.T, dir string) {
	t.Helper()
	s := &Server{Dir: dir}
	ask := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}
	w := ask("/v2/team/app/manifests/v1")
	if w.Code == http.StatusNotFound {
		return
	}
	m, err := parseManifest(w.Body.Bytes(), w.Header().Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range m.blobs() {
		if w := ask("/v2/team/app/blobs/" + d.Digest); w.Code != http.StatusOK || digestOf(w.Body.Bytes()) != d.Digest {
			t.Errorf("tag v1 names %s, which is not there: %d", d.Digest, w.Code)
		}
	}
}

// A body that stops in the middle is noticed, not waited for.
func TestSilentBody(t *testing.T) {
	stop := make(chan struct{})
	data := []byte(strings.Repeat("x", 1000))
	w := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			return
		}
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write(data[:500])
		w.(http.Flusher).Flush()
		<-stop
	}))
	defer close(stop)
	c := newClient(nil)
	c.Patience = 50 * time.Millisecond
	repo, err := c.repository(w.host + "/app")
	fatal(t, err)
	r, err := pushed{c, repo}.blob(t.Context(), descriptor{Digest: digestOf(data), Size: 1000})
	fatal(t, err)
	defer r.Close()
	if _, err := r.Read(make([]byte, 500)); err != nil {
		t.Fatal(err)
	}
	if n, err := r.Read(make([]byte, 500)); err == nil || !temporary(err) {
		t.Errorf("%d bytes, %v", n, err)
	}
}
