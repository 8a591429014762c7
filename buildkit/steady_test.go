package buildkit_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/buildkit"
)

// TestSteady counts how often a server is asked that answers so for some time.
func TestSteady(t *testing.T) {
	form, octets := "application/x-www-form-urlencoded; charset=utf-8", "application/octet-stream"
	for _, c := range []struct {
		name, method, kind string
		bad, status        int // how many answers, and what they are; 0 breaks the connection
		asked, got         int
	}{
		{"well", "HEAD", "", 0, 0, 1, 200},
		{"unwell once", "HEAD", "", 1, 503, 2, 200},
		{"broken twice", "GET", "", 2, 0, 3, 200},
		{"unwell for ever", "GET", "", 99, 500, 4, 500},
		{"refuses", "GET", "", 99, 403, 1, 403},
		{"busy", "GET", "", 99, 429, 1, 429},
		{"a form", "POST", form, 1, 502, 2, 200},
		{"an upload", "POST", octets, 1, 502, 1, 502},
		{"a change", "PUT", octets, 1, 504, 1, 504},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			asked := 0
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if text, _ := io.ReadAll(r.Body); r.Method == http.MethodPost && string(text) != "grant" {
					t.Errorf("try %d: the body is %q", asked+1, text)
				}
				if asked++; asked > c.bad {
					return
				}
				if c.status == 0 {
					panic(http.ErrAbortHandler)
				}
				w.WriteHeader(c.status)
			}))
			defer srv.Close()
			req, err := http.NewRequestWithContext(t.Context(), c.method, srv.URL, strings.NewReader("grant"))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", c.kind)
			rt := buildkit.Steady(&http.Transport{DisableKeepAlives: true}, buildkit.Unwell) // net/http tries again by itself on connections that it kept
			resp, err := rt.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if asked != c.asked || resp.StatusCode != c.got {
				t.Errorf("asked %d times, got %d; want %d times, %d", asked, resp.StatusCode, c.asked, c.got)
			}
		})
	}
}

// Who says nothing is asked twice, and is no timeout that somebody else repeats.
func TestSilence(t *testing.T) {
	asked, stop := make(chan bool, 9), make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- true
		<-stop
	}))
	defer srv.Close()
	defer close(stop)
	client := &http.Client{Transport: buildkit.Steady(buildkit.Guarded(&http.Transport{}, strings.TrimPrefix(srv.URL, "http://"), 50*time.Millisecond), buildkit.Unwell)}
	_, err := client.Get(srv.URL) //nolint:noctx // what is tested is that it ends by itself
	if silent, ok := errors.AsType[*buildkit.SilentError](err); !ok || buildkit.Silence(err) {
		t.Errorf("got %v (%v)", err, silent)
	}
	if len(asked) != 2 {
		t.Errorf("asked %d times, want 2", len(asked))
	}
}
