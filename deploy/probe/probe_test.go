package probe

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
)

func TestAsk(t *testing.T) {
	seen := make(chan string, 10)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Get("X-Api-Key")
		fmt.Fprint(w, "other")
	}))
	defer other.Close()
	var first *httptest.Server
	first = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, other.URL+"/x", http.StatusFound)
		case "/near":
			http.Redirect(w, r, first.URL+"/echo", http.StatusFound)
		case "/circle":
			http.Redirect(w, r, "/circle", http.StatusFound)
		case "/long":
			fmt.Fprint(w, strings.Repeat("x", deploy.AnswerLimit+100))
		default:
			w.Header().Set("X-Seen", r.Header.Get("X-Api-Key"))
			fmt.Fprint(w, r.Method)
		}
	}))
	defer first.Close()
	key := http.Header{"X-Api-Key": {"k3y"}}
	for _, tt := range []struct {
		path   string
		header http.Header
		status int
		body   string
	}{
		{"/echo", key, 200, "PUT"},
		{"/near", key, 200, "GET"}, // as browsers and curl do
		{"/away", key, 302, ""},
		{"/away", nil, 200, "other"},
	} {
		got, err := Prober{}.Ask(t.Context(), deploy.Request{Method: "PUT", URL: first.URL + tt.path, Header: tt.header})
		if err != nil || got.Status != tt.status || tt.body != "" && string(got.Body) != tt.body {
			t.Errorf("%s: %d %q, %v, want %d %q", tt.path, got.Status, got.Body, err, tt.status, tt.body)
		}
		if tt.header != nil && tt.status == 200 && got.Header.Get("X-Seen") != "k3y" {
			t.Errorf("%s: the header did not arrive", tt.path)
		}
	}
	if len(seen) != 1 || <-seen != "" {
		t.Error("the other host saw the key")
	}
	if got, err := (Prober{}).Ask(t.Context(), deploy.Request{URL: first.URL + "/long"}); err != nil || len(got.Body) != deploy.AnswerLimit {
		t.Errorf("%d bytes, %v", len(got.Body), err)
	}
	if _, err := (Prober{}).Ask(t.Context(), deploy.Request{URL: first.URL + "/circle"}); err == nil || strings.Contains(err.Error(), first.URL) {
		t.Errorf("error = %v", err)
	}
}
