package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// Many repositories of a registry ask it once how to log in, with TLS and without, and
// again only when it did not say.
func TestPings(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a", 64)
	var pings, without atomic.Int32
	w := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		switch {
		case r.URL.Path == "/v2/" && pings.Add(1) == 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.URL.Path == "/v2/":
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			w.WriteHeader(http.StatusUnauthorized)
		case password != "secret":
			without.Add(1)
			w.WriteHeader(http.StatusUnauthorized)
		default:
			headed(w, digest)
		}
	}))
	c := newClient(nil)
	c.Keychain = keychain{w.host: {Username: "ada", Password: "secret"}}
	var dials atomic.Int32
	c.dial = func(context.Context, string, string) error { dials.Add(1); return nil }
	resolve := func(i int) error {
		img, err := c.Resolve(t.Context(), fmt.Sprintf("%s/team/app%d:v1", w.host, i))
		if err == nil && img.Digest != digest {
			err = fmt.Errorf("got digest %s, want %s", img.Digest, digest)
		}
		return err
	}
	var all errgroup.Group
	for i := range 20 {
		all.Go(func() error { return resolve(i) })
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	if pings.Load() != 2 || without.Load() != 0 {
		t.Errorf("got %d pings and %d requests without the password, want 2 and 0", pings.Load(), without.Load())
	}
	dials.Store(0)
	for i := range 20 {
		if err := resolve(20 + i); err != nil {
			t.Fatal(err)
		}
	}
	if dials.Load() != 0 || pings.Load() != 2 {
		t.Errorf("once it is known how: got %d connections and %d pings more, want none", dials.Load(), pings.Load()-2)
	}
}

// Who waits for another's ping stops waiting when it is cancelled.
func TestPingCancelled(t *testing.T) {
	asked, leave := make(chan struct{}, 1), make(chan struct{})
	w := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			asked <- struct{}{}
			<-leave
		}
	}))
	c := newClient(nil)
	first := make(chan error, 1)
	go func() { _, err := c.Resolve(t.Context(), w.host+"/one:v1"); first <- err }()
	<-asked
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond) // it comes to wait, and would for ever
	defer cancel()
	if _, err := c.Resolve(ctx, w.host+"/two:v1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
	}
	close(leave)
	<-first
}

// A request for a token is no ping, even where a registry gives tokens at the same place:
// each repository has its own.
func TestPingIsNoToken(t *testing.T) {
	var host string
	w := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scope := r.URL.Query().Get("scope") // repository:team/app:pull
		switch name := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/v2/"), "/manifests/v1"); {
		case scope != "":
			fmt.Fprintf(w, `{"token": "for-%s"}`, strings.Split(scope, ":")[1])
		case r.URL.Path == "/v2/":
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+host+`/v2/",service="registry"`)
			w.WriteHeader(http.StatusUnauthorized)
		case r.Header.Get("Authorization") != "Bearer for-"+name:
			w.WriteHeader(http.StatusUnauthorized)
		default:
			headed(w, "sha256:"+strings.Repeat("a", 64))
		}
	}))
	host = w.host
	c := newClient(nil)
	for _, name := range []string{"one", "two"} {
		if _, err := c.Resolve(t.Context(), host+"/"+name+":v1"); err != nil {
			t.Error(err)
		}
	}
}

// A registry on this machine that has no TLS is not asked with it; one that has is.
func TestPingWithoutTLS(t *testing.T) {
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/" {
			headed(w, "sha256:"+strings.Repeat("a", 64))
		}
	})
	plain := serve(t, answer)
	c := newClient(nil)
	var dials atomic.Int32
	c.dial = func(context.Context, string, string) error { dials.Add(1); return nil }
	if _, err := c.Resolve(t.Context(), plain.host+"/team/app:v1"); err != nil {
		t.Error(err)
	}
	if dials.Load() != 1 {
		t.Errorf("without TLS: got %d connections, want 1", dials.Load())
	}
	secure := httptest.NewTLSServer(answer)
	defer secure.Close()
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	c.init()
	c.wires.direct.TLSClientConfig = secure.Client().Transport.(*http.Transport).TLSClientConfig
	if _, err := c.Resolve(t.Context(), secure.Listener.Addr().String()+"/team/app:v1"); err != nil {
		t.Errorf("with TLS: %v", err)
	}
}

// A registry on this machine that is silent when it is asked without TLS is asked with it
// soon, and not only when patience has ended.
func TestPingSilent(t *testing.T) {
	var pings atomic.Int32
	w := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/v2/":
			headed(w, "sha256:"+strings.Repeat("a", 64))
		case pings.Add(1) == 1:
			<-r.Context().Done()
		}
	}))
	c := newClient(nil)
	c.Patience = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := c.Resolve(ctx, w.host+"/team/app:v1"); err != nil || pings.Load() != 2 {
		t.Errorf("got %v after %d pings, want none after 2", err, pings.Load())
	}
}
