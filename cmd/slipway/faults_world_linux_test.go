package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/buildkit/embed"
	"github.com/slipway-ci/slipway/buildkit/faults"
)

// A faultWorld is where registries are that let things go wrong, and who watches.
type faultWorld struct {
	config    string // where credentials are looked for
	away      *atomic.Int64
	elsewhere *httptest.Server
	stop      chan struct{}  // is closed before servers wait for requests that hang
	others    sync.Map       // handler by the name under which a redirect leads there
	logins    map[string]any // by host

	mu   sync.Mutex
	told []string // credentials that followed a redirect
}

// faultyWorld makes one, in a process that has nothing else; it is nil outside of it.
// Tests in such worlds wait most of the time, and do so beside each other.
func faultyWorld(t *testing.T) *faultWorld {
	t.Helper()
	t.Parallel()
	w := &faultWorld{config: os.Getenv("DOCKER_CONFIG"), stop: make(chan struct{}), logins: map[string]any{}}
	if os.Getenv("SLIPWAY_TEST_ALONE") == "" {
		w.config = t.TempDir()
	}
	if !alone(t, "DOCKER_CONFIG="+w.config) {
		return nil
	}
	w.away = landing(t)

	// Another host, which serves what it is asked for as a registry's storage does.
	w.elsewhere = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if auth := r.Header.Get("Authorization"); auth != "" {
			w.mu.Lock()
			w.told = append(w.told, r.Method+" "+r.URL.Path+": "+auth)
			w.mu.Unlock()
		}
		name := strings.SplitN(strings.TrimPrefix(r.URL.Path, "/"), "/", 2)
		next, ok := w.others.Load(name[0])
		if !ok {
			http.NotFound(rw, r)
			return
		}
		r.URL.Path = "/" + name[1]
		next.(http.Handler).ServeHTTP(rw, r)
	}))
	lis, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	w.elsewhere.Listener = lis
	w.elsewhere.Start()
	t.Cleanup(w.elsewhere.Close)
	return w
}

// proxy serves a registry for who has a password, and lets the n-th fault happen to
// requests of the kind.
func (w *faultWorld) proxy(t *testing.T, upstream http.Handler, kind faults.Kind, n int, of func(faults.Request) bool) (*faults.Proxy, string) {
	t.Helper()
	id := fmt.Sprintf("cell%d", len(w.logins))
	w.others.Store(id, upstream)
	fault := faults.All(w.elsewhere.URL+"/"+id, time.Second, w.stop)[n]
	p := &faults.Proxy{Next: guarded(upstream), On: kind, Of: of, Fault: &fault}
	srv := httptest.NewUnstartedServer(p)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.Start()
	t.Cleanup(srv.Close)
	host := srv.Listener.Addr().String()
	w.logins[host] = map[string]string{"username": "ada", "password": "secret"}
	return p, host
}

// login writes down the credentials for all proxies.
func (w *faultWorld) login(t *testing.T) {
	t.Helper()
	text, err := json.Marshal(map[string]any{"auths": w.logins})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.config, "config.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// check checks that no credential and no connection went where a redirect led.
func (w *faultWorld) check(t *testing.T) {
	t.Helper()
	for _, credential := range w.told {
		t.Errorf("a credential followed a redirect: %s", credential)
	}
	if n := w.away.Load(); n > 0 {
		t.Errorf("%d connections were made to %s", n, linkLocal)
	}
}

// guarded lets in who has a token; who has a password gets one.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		switch {
		case r.URL.Path == "/token" && r.Method == http.MethodPost:
			w.WriteHeader(http.StatusMethodNotAllowed)
		case r.URL.Path == "/token" && (user != "ada" || password != "secret"):
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/token":
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"token": "let-me-in"}`)
		case r.Header.Get("Authorization") != "Bearer let-me-in":
			challenge := fmt.Sprintf(`Bearer realm="http://%s/token",service="test"`, r.Host)
			if r.Header.Get("Authorization") != "" {
				challenge += `,error="invalid_token"`
			}
			w.Header().Set("WWW-Authenticate", challenge)
			w.WriteHeader(http.StatusUnauthorized)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// silence is how long a registry may be silent in this table. It is not short, as
// a healthy answer on a busy machine must not take longer.
const silence = 2 * time.Second

// builderFor starts a solver that all commands of a test share, and returns the
// address of it.
func builderFor(t *testing.T) string {
	t.Helper()
	solver := &embed.Solver{State: t.TempDir(), Patience: silence}
	lis, err := new(net.ListenConfig).Listen(t.Context(), "unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		lis.Close()
		if err := solver.Close(); err != nil {
			t.Error(err)
		}
	})
	life := context.WithoutCancel(t.Context())
	go func() {
		for {
			in, err := lis.Accept()
			if err != nil {
				return
			}
			go func() {
				defer in.Close()
				out, err := solver.Dial(life)
				if err != nil {
					return
				}
				go func() { _, _ = io.Copy(out, in); out.Close() }()
				_, _ = io.Copy(in, out)
			}()
		}
	}()
	return "unix://" + lis.Addr().String()
}
