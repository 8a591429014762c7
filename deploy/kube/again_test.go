package kube

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestAgain(t *testing.T) {
	const (
		apply = "application/apply-patch+yaml"
		typed = `{"kind": "Status", "message": "failed to create typed patch object (shop/web; apps/v1, Kind=Deployment): .spec.x: field not declared in schema"}`
	)
	ok, broken := answer{200, "", "fine"}, answer{500, "", "etcdserver: leader changed"}
	gone := answer{} // the connection is cut
	for _, test := range []struct {
		name, method, content string
		answers               []answer
		want                  answer
		asked                 int
	}{
		{"a leader is elected", "GET", "", []answer{broken, broken, ok}, ok, 3},
		{"an apply", "PATCH", apply, []answer{broken, ok}, ok, 2},
		{"it stays broken", "GET", "", []answer{broken}, broken, againTries},
		{"away for a moment", "GET", "", []answer{gone, gone, gone, gone, ok}, ok, 5},
		{"away in the middle of an answer", "GET", "", []answer{{200, "", "cut"}, ok}, ok, 2},
		{"a delete", "DELETE", "", []answer{broken, ok}, ok, 2},
		{"an update", "PUT", "", []answer{gone, ok}, ok, 2},
		{"what is created", "POST", "", []answer{broken, ok}, broken, 1},
		{"another patch", "PATCH", "application/json-patch+json", []answer{broken, ok}, broken, 1},
		{"a refusal", "GET", "", []answer{{403, "", "no"}, ok}, answer{403, "", "no"}, 1},
		{"what does not fit its schema", "PATCH", apply, []answer{{500, "", typed}, ok}, answer{500, "", typed}, 1},
		{"client-go asks again", "GET", "", []answer{{503, "1", "busy"}, ok}, answer{503, "1", "busy"}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			asked := -1 // the first makes the server known
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if asked++; asked == 0 {
					return
				}
				if text, _ := io.ReadAll(r.Body); test.method[0] == 'P' && string(text) != "the body" {
					t.Errorf("request %d has the body %q", asked, text)
				}
				a := test.answers[min(asked, len(test.answers))-1]
				if a.code == 0 {
					panic(http.ErrAbortHandler)
				}
				if a.after != "" {
					w.Header().Set("Retry-After", a.after)
				}
				if a.text == "cut" {
					w.Header().Set("Content-Length", "100")
				}
				w.WriteHeader(a.code)
				_, _ = io.WriteString(w, a.text)
			}))
			defer srv.Close()
			client := &http.Client{Transport: &again{next: &http.Transport{}, pause: time.Millisecond}}
			if resp, err := client.Get(srv.URL); err != nil {
				t.Fatal(err)
			} else {
				resp.Body.Close()
			}
			req, err := http.NewRequestWithContext(t.Context(), test.method, srv.URL, strings.NewReader("the body"))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", test.content)
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			if got := (answer{resp.StatusCode, resp.Header.Get("Retry-After"), string(text)}); got != test.want || err != nil || asked != test.asked {
				t.Errorf("got %v, %v after %d requests, want %v after %d", got, err, asked, test.want, test.asked)
			}
		})
	}
}

type answer struct {
	code        int // 0: there is none
	after, text string
}

// TestAgainOnlyWhatWasThere does not wait for a server that has never answered.
func TestAgainOnlyWhatWasThere(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	srv.Close()
	client := &http.Client{Transport: &again{next: &http.Transport{}, pause: time.Hour}}
	if _, err := client.Get(srv.URL); err == nil { //nolint:bodyclose // there is none
		t.Error("a closed server answered")
	}
}
