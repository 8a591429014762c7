// Package faults stands before a registry and lets things go wrong on purpose:
// for tests of what speaks with registries.
//
// # Owns
//
// [Proxy], the kinds of requests it tells apart, and the faults it knows.
//
// # May touch
//
// The standard library.
package faults

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"
)

// A Kind is what a request asks of a registry.
type Kind string

// Kinds of requests, by the end points of the OCI distribution specification.
const (
	Ping         Kind = "ping"          // GET /v2/
	Token        Kind = "token"         // GET /token
	HeadManifest Kind = "HEAD manifest" // end-3
	GetManifest  Kind = "GET manifest"  // end-3
	PutManifest  Kind = "PUT manifest"  // end-7
	HeadBlob     Kind = "HEAD blob"     // end-2
	GetBlob      Kind = "GET blob"      // end-2
	PostUpload   Kind = "POST upload"   // end-4a, end-11
	PatchUpload  Kind = "PATCH upload"  // end-5
	PutUpload    Kind = "PUT upload"    // end-6
	Other        Kind = "other"
)

// KindOf tells what a request asks for.
func KindOf(r *http.Request) Kind {
	path := r.URL.Path
	switch {
	case path == "/token":
		return Token
	case path == "/v2" || path == "/v2/":
		return Ping
	case strings.Contains(path, "/blobs/uploads"):
		return map[string]Kind{"POST": PostUpload, "PATCH": PatchUpload, "PUT": PutUpload}[r.Method]
	case strings.Contains(path, "/blobs/"):
		return map[string]Kind{"HEAD": HeadBlob, "GET": GetBlob}[r.Method]
	case strings.Contains(path, "/manifests/"):
		return map[string]Kind{"HEAD": HeadManifest, "GET": GetManifest, "PUT": PutManifest}[r.Method]
	}
	return Other
}

// A Fault answers a request that next would have answered.
type Fault struct {
	Name   string
	Once   bool // only the first request of the kind; otherwise all of them
	Answer func(w http.ResponseWriter, r *http.Request, next http.Handler)
}

// All returns the faults. Elsewhere is the URL that redirects lead to, without a
// path; who is busy wants to be asked again after so long; and hang ends with the
// request's context, or when stop is closed.
func All(elsewhere string, busy time.Duration, stop <-chan struct{}) []Fault {
	refuse := func(status int, code string) func(http.ResponseWriter, *http.Request, http.Handler) {
		return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			_, _ = io.Copy(io.Discard, r.Body)
			if status == http.StatusTooManyRequests {
				w.Header().Set("Retry-After", fmt.Sprint(int(busy.Seconds())))
			}
			if status == http.StatusUnauthorized {
				w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="test"`, r.Host))
			}
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"errors":[{"code":%q,"message":"on purpose"}]}`, code)
		}
	}
	redirect := func(to string) func(http.ResponseWriter, *http.Request, http.Handler) {
		return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			http.Redirect(w, r, to+r.URL.RequestURI(), http.StatusTemporaryRedirect)
		}
	}
	broken := func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.CopyN(io.Discard, r.Body, 1)
		panic(http.ErrAbortHandler)
	}
	hang := func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body) // only then does the context end with the connection
		select {
		case <-r.Context().Done():
		case <-stop:
		}
		panic(http.ErrAbortHandler)
	}
	all := []Fault{
		{"401 once", true, refuse(http.StatusUnauthorized, "UNAUTHORIZED")},
		{"403", false, refuse(http.StatusForbidden, "DENIED")},
		{"404", false, refuse(http.StatusNotFound, "NAME_UNKNOWN")},
		{"wrong digest", false, wrongDigest},
		{"redirect elsewhere", false, redirect(elsewhere)},
		{"redirect to link-local", false, redirect("https://169.254.169.254")},
	}
	for _, f := range []Fault{
		{"429", false, refuse(http.StatusTooManyRequests, "TOOMANYREQUESTS")},
		{"500", false, refuse(http.StatusInternalServerError, "UNKNOWN")},
		{"503", false, refuse(http.StatusServiceUnavailable, "UNAVAILABLE")},
		{"reset", false, broken},
		{"truncated", false, truncated},
		{"hang", false, hang},
	} {
		all = append(all, f)
		f.Name, f.Once = f.Name+" once", true
		all = append(all, f)
	}
	return all
}

// recorded is what next answers.
func recorded(r *http.Request, next http.Handler) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	next.ServeHTTP(rec, r)
	return rec
}

// truncated sends half of the answer, and breaks off. It says that the connection ends: the
// answer to a HEAD is whole all the same, and the next request over that connection would meet
// its end or not, as the machine has it.
func truncated(w http.ResponseWriter, r *http.Request, next http.Handler) {
	rec := recorded(r, next)
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	body := rec.Body.Bytes()
	w.Header().Set("Content-Length", fmt.Sprint(len(body)+1))
	w.Header().Set("Connection", "close")
	w.WriteHeader(rec.Code)
	_, _ = w.Write(body[:len(body)/2])
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
	panic(http.ErrAbortHandler)
}

// wrongDigest sends other content, and names another digest.
func wrongDigest(w http.ResponseWriter, r *http.Request, next http.Handler) {
	rec := recorded(r, next)
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	if w.Header().Get("Docker-Content-Digest") != "" {
		w.Header().Set("Docker-Content-Digest", "sha256:"+strings.Repeat("0", 64))
	}
	body := bytes.Clone(rec.Body.Bytes())
	if len(body) > 0 {
		body[len(body)/2] ^= 1
	}
	w.WriteHeader(rec.Code)
	_, _ = w.Write(body)
}

// A Request is one that came in.
type Request struct {
	Kind   Kind
	Method string
	Path   string
	Auth   string // the Authorization header
	Agent  string // the User-Agent header
}

// A Proxy hands requests to Next, and lets one kind of them go wrong. Its fields
// are set before the first request.
type Proxy struct {
	Next  http.Handler
	On    Kind
	Of    func(Request) bool // which of the kind go wrong; nil: all of them
	Fault *Fault             // nil: nothing goes wrong
	// Before and After are told the number of each request, from 1, before and
	// after Next answered it, and say whether the connection is to be broken.
	Before, After func(n int) (broken bool)

	mu     sync.Mutex
	seen   []Request
	fired  int
	healed bool
}

// ServeHTTP implements [http.Handler].
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind := KindOf(r)
	p.mu.Lock()
	req := Request{kind, r.Method, r.URL.RequestURI(), r.Header.Get("Authorization"), r.UserAgent()}
	p.seen = append(p.seen, req)
	n := len(p.seen)
	wrong := p.Fault != nil && !p.healed && kind == p.On && (p.Of == nil || p.Of(req)) && !(p.Fault.Once && p.fired > 0)
	if wrong {
		p.fired++
	}
	p.mu.Unlock()
	switch {
	case p.Before != nil && p.Before(n):
		panic(http.ErrAbortHandler)
	case wrong:
		p.Fault.Answer(w, r, p.Next)
		return
	case p.After == nil:
		p.Next.ServeHTTP(w, r)
		return
	}
	rec := recorded(r, p.Next)
	if p.After(n) {
		panic(http.ErrAbortHandler)
	}
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes())
}

// Heal ends the fault: from now on nothing goes wrong.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.healed = true
}

// Fired returns how many requests went wrong.
func (p *Proxy) Fired() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fired
}

// Seen returns the requests so far.
func (p *Proxy) Seen() []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Request(nil), p.seen...)
}
