package registry

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/slipway-ci/slipway/buildkit"
)

type account struct{ authn.AuthConfig }

func (a account) Resolve(authn.Resource) (authn.Authenticator, error) {
	return authn.FromConfig(a.AuthConfig), nil
}

func TestPlainHTTP(t *testing.T) {
	c := &Client{PlainHTTP: []string{"registry.lan:5000"}}
	for host, want := range map[string]bool{
		"localhost": true, "localhost:5000": true, "127.0.0.1:5000": true, "127.8.9.1": true, "[::1]:5000": true,
		"registry.lan:5000": true, "registry.lan": false, "registry.lan:5001": false,
		"10.0.0.1:5000": false, "192.168.1.1": false, "0.0.0.0:5000": false,
		"localhost.example.com": false, "127.0.0.1.example.com": false, "x.local": false, "docker.io": false,
	} {
		if got := c.plain(host); got != want {
			t.Errorf("plain(%q): got %v, want %v", host, got, want)
		}
	}
	// Private addresses and .local names: go-containerregistry alone would fall
	// back to plain HTTP, and send the credentials along.
	for _, host := range []string{"10.0.0.1", "registry.local"} {
		req := httptest.NewRequest("GET", "http://"+host+"/v2/", nil)
		c.init()
		if _, err := c.choose(host, req); err == nil || !strings.Contains(err.Error(), "without TLS") {
			t.Errorf("%s: got %v, want a refusal", host, err)
		}
	}
}

func TestRedirectsThatAreRefused(t *testing.T) {
	for _, to := range []string{
		"http://169.254.169.254/latest/meta-data/",
		"https://169.254.169.254/latest/meta-data/",
		"http://[fe80::1]/",
		"https://[::ffff:169.254.169.254]/",
		"http://example.com/plain",
	} {
		t.Run(to, func(t *testing.T) {
			w := serve(t, &Server{Dir: t.TempDir()})
			redirect := func(rw http.ResponseWriter, r *http.Request) {
				rw.Header().Set("Location", to)
				rw.WriteHeader(map[string]int{"HEAD": 307, "POST": 202}[r.Method])
			}
			head := w.fault(&fault{method: "HEAD", path: "/manifests/v1", answer: redirect})
			_, err := newClient(nil).Resolve(t.Context(), w.host+"/app:v1")
			if _, ok := errors.AsType[refusedError](err); !ok || head.fired.Load() != 1 {
				t.Errorf("redirect: got %v, want a refusal; fired %d times", err, head.fired.Load())
			}
			store := &memory{}
			img := store.image(t, mustConfigOnly(t))
			post := w.fault(&fault{method: "POST", path: "/blobs/uploads/", answer: redirect})
			_, err = newClient(store).Push(t.Context(), img, w.host+"/app", nil, nil)
			if _, ok := errors.AsType[refusedError](err); !ok || post.fired.Load() != 1 {
				t.Errorf("location: got %v, want a refusal; fired %d times", err, post.fired.Load())
			}
		})
	}
}

// TestAwayIsNotHere dials names that lead where a public registry must not send us.
func TestAwayIsNotHere(t *testing.T) {
	w := serve(t, http.NotFoundHandler())
	_, port, _ := strings.Cut(w.host, ":")
	wires := new(Client).newWires()
	for _, rt := range []http.RoundTripper{wires.away} {
		req := httptest.NewRequest("GET", "http://localhost:"+port+"/", nil)
		req.RequestURI = ""
		_, err := rt.RoundTrip(req)
		if _, ok := errors.AsType[refusedError](err); !ok {
			t.Errorf("got %v, want a refusal", err)
		}
	}
	if len(w.asked) != 0 {
		t.Errorf("the request arrived: %q", w.asked)
	}
}

func TestCredentialsStayHome(t *testing.T) {
	store := &memory{}
	img := store.image(t, randomImage(t, 1))
	for _, scheme := range []string{"basic", "bearer"} {
		t.Run(scheme, func(t *testing.T) {
			// Another host, for which net/http takes another port for the same.
			var elsewhere atomic.Value
			elsewhere.Store("")
			var away *world
			home := serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/token" {
					if u, p, _ := r.BasicAuth(); u != "me" || p != "secret" {
						rw.WriteHeader(401)
						return
					}
					fmt.Fprint(rw, `{"token":"abc"}`)
					return
				}
				want := "Basic " + base64.StdEncoding.EncodeToString([]byte("me:secret"))
				if scheme == "bearer" {
					want = "Bearer abc"
				}
				if r.Header.Get("Authorization") != want {
					challenge := `Basic realm="x"`
					if scheme == "bearer" {
						challenge = `Bearer realm="http://` + r.Host + `/token",service="x"`
					}
					rw.Header().Set("WWW-Authenticate", challenge)
					rw.WriteHeader(401)
					return
				}
				if r.URL.Path == "/v2/" {
					return
				}
				http.Redirect(rw, r, away.URL+r.URL.RequestURI(), http.StatusTemporaryRedirect)
			}))
			inner := &Server{Dir: t.TempDir()}
			away = serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if a := r.Header.Get("Authorization"); a != "" {
					elsewhere.Store(a)
				}
				inner.ServeHTTP(rw, r)
			}))
			_, err := newClient(store).Push(t.Context(), img, away.host+"/app", []string{"v1"}, nil)
			fatal(t, err)
			c := newClient(nil)
			c.Keychain = account{authn.AuthConfig{Username: "me", Password: "secret"}}
			got, err := c.Resolve(t.Context(), home.host+"/app:v1")
			fatal(t, err)
			if got.Digest != img.Digest {
				t.Errorf("got %s, want %s", got.Digest, img.Digest)
			}
			if a := elsewhere.Load(); a != "" {
				t.Errorf("the other host got %q", a)
			}
			if away.count("HEAD", "/manifests/v1") == 0 {
				t.Error("the redirect was not followed")
			}
		})
	}
}

// TestLoginEnds has the token end in the middle of an upload.
func TestLoginEnds(t *testing.T) {
	inner := &Server{Dir: t.TempDir()}
	var tokens, ended atomic.Int32
	w := serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			fmt.Fprintf(rw, `{"token":"t%d"}`, tokens.Add(1))
			return
		}
		upload := r.Method == "PUT" && strings.Contains(r.URL.Path, "/blobs/uploads/")
		if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer t") || upload && ended.CompareAndSwap(0, 1) {
			rw.Header().Set("WWW-Authenticate", `Bearer realm="http://`+r.Host+`/token",service="x"`)
			rw.WriteHeader(401)
			return
		}
		inner.ServeHTTP(rw, r)
	}))
	store := &memory{}
	img := store.image(t, randomImage(t, 2))
	c := newClient(store)
	c.Keychain = account{authn.AuthConfig{Username: "me", Password: "secret"}}
	_, err := c.Push(t.Context(), img, w.host+"/app", []string{"v1"}, nil)
	fatal(t, err)
	if ended.Load() != 1 || tokens.Load() < 2 {
		t.Errorf("the login ended %d times, there were %d tokens", ended.Load(), tokens.Load())
	}
}

func TestUnauthorized(t *testing.T) {
	w := serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		status(401, "UNAUTHORIZED", "who are you")(rw, r)
	}))
	_, err := newClient(nil).Resolve(t.Context(), w.host+"/app")
	var re *buildkit.RegistryError
	want := "401 Unauthorized: UNAUTHORIZED: who are you (docker login " + w.host
	if !errors.As(err, &re) || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestNoSecretInErrors looks for what signed URLs hold in the error of an upload.
func TestNoSecretInErrors(t *testing.T) {
	w := serve(t, &Server{Dir: t.TempDir()})
	store := &memory{}
	img := store.image(t, mustConfigOnly(t))
	w.fault(&fault{method: "POST", path: "/blobs/uploads/", answer: func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Location", "/upload?"+url.Values{"sig": {"s3cr3t"}}.Encode())
		rw.WriteHeader(http.StatusAccepted)
	}})
	f := w.fault(&fault{method: "PUT", path: "/upload?", answer: reset})
	_, err := newClient(store).Push(t.Context(), img, w.host+"/app", nil, nil)
	if err == nil || strings.Contains(err.Error(), "s3cr3t") || f.fired.Load() != attempts {
		t.Errorf("got %v after %d tries, want an error without the signature after %d", err, f.fired.Load(), attempts)
	}
}
