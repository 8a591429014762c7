package solve_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/buildkit/solve"
)

// linkLocal is where nobody answers, on this machine; to connect is another error
// than not to.
const linkLocal = "http://[fe80::1%25lo]:1/"

// TestLeadAstray builds on a base whose registry leads to link-local addresses.
func TestLeadAstray(t *testing.T) {
	const user, password = "ann", "hunter2-two"
	challenge := func(w http.ResponseWriter, realm string) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+realm+`",service="here"`)
		w.WriteHeader(http.StatusUnauthorized)
	}
	there := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer there.Close()
	for _, tt := range []struct {
		name    string
		creds   bool
		answers func(self string) http.HandlerFunc
		want    string
	}{
		{"token service", false, func(string) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) { challenge(w, linkLocal+"token") }
		}, "no server may send us"},
		{"token service that wants a password", true, func(string) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				challenge(w, strings.Replace(linkLocal, "http", "https", 1)+"token")
			}
		}, "no server may send us"},
		{"token service that redirects", false, func(self string) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/token" {
					http.Redirect(w, r, linkLocal, http.StatusTemporaryRedirect)
					return
				}
				challenge(w, self+"/token")
			}
		}, "no server may send us"},
		{"token service that redirects a password", true, func(self string) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/token" {
					http.Redirect(w, r, there.URL, http.StatusTemporaryRedirect)
					return
				}
				challenge(w, self+"/token")
			}
		}, "must not go"},
		{"password without TLS", true, func(string) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) { challenge(w, "http://tokens.invalid/token") }
		}, "without TLS"},
		{"manifest", false, func(string) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, linkLocal, http.StatusTemporaryRedirect)
			}
		}, "no server may send us"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int64
			var answer http.HandlerFunc
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				answer(w, r)
			}))
			defer srv.Close()
			answer = tt.answers(srv.URL)
			b := newBuilder(t)
			b.Auth = func(context.Context, string) (solve.Credentials, error) {
				if !tt.creds {
					return solve.Credentials{}, nil
				}
				return solve.Credentials{Username: user, Password: password}, nil
			}
			base := strings.TrimPrefix(srv.URL, "http://") + "/base"
			_, err := b.Build(t.Context(), buildkit.Spec{Context: folder(t, map[string]string{"Dockerfile": "FROM " + base + ":1\n"})}, nil)
			var registry *buildkit.RegistryError
			if !errors.As(err, &registry) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), password) {
				t.Errorf("got %v, want a registry's error with %q", err, tt.want)
			}
			if asked.Load() == 0 {
				t.Error("the registry was not asked")
			}
		})
	}
}

// TestTokens builds on a base that takes a token to read, from a service that
// wants a password, or knows no POST.
func TestTokens(t *testing.T) {
	origin := newBuilder(t)
	img, _ := build(t, origin, buildkit.Spec{Context: shellFolder(t, "", nil)})
	images := serveImages(t, origin, map[string]string{"1": img.Digest})
	for name, post := range map[string]bool{"POST": true, "GET": false} {
		t.Run(name, func(t *testing.T) {
			var srv *httptest.Server
			srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				user, password, _ := r.BasicAuth()
				switch {
				case r.URL.Path == "/token" && r.Method == http.MethodPost && !post:
					w.WriteHeader(http.StatusNotFound)
				case r.URL.Path == "/token" && (r.FormValue("password") == "secret" && r.FormValue("username") == "ann" || user == "ann" && password == "secret"):
					_, _ = w.Write([]byte(`{"token": "t0ken", "access_token": "t0ken"}`))
				case r.URL.Path == "/token":
					w.WriteHeader(http.StatusForbidden)
				case r.Header.Get("Authorization") != "Bearer t0ken":
					w.Header().Set("WWW-Authenticate", `Bearer realm="`+srv.URL+`/token",service="here"`)
					w.WriteHeader(http.StatusUnauthorized)
				default:
					http.Redirect(w, r, "http://"+images+r.URL.Path, http.StatusTemporaryRedirect)
				}
			}))
			defer srv.Close()
			b := newBuilder(t)
			b.Auth = func(context.Context, string) (solve.Credentials, error) {
				return solve.Credentials{Username: "ann", Password: "secret"}, nil
			}
			got, _ := build(t, b, buildkit.Spec{Context: folder(t, map[string]string{"Dockerfile": "FROM " + strings.TrimPrefix(srv.URL, "http://") + "/base:1\nLABEL a=b\n"})})
			if got.Digest == "" {
				t.Error("no image")
			}
		})
	}
}
