package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// pings remember what registries answer when they are asked whether they are one, and how
// to log in: GET /v2/ (OCI Distribution Specification, end-1). That is the same for all
// their repositories, and a thousand of them need not ask a thousand times.
type pings struct {
	mu sync.Mutex
	of map[string]*ping // by URL
}

// A ping is one question, with TLS or without, and what came of it, once that is known.
type ping struct {
	turn   chan struct{} // held by who asks
	answer *http.Response
	err    error
}

// through returns next with this memory for the pings among its requests. Requests have
// their own contexts: who waits for another's answer may stop waiting, and asks when there
// is none that can be relied on.
//
// A registry on this machine is asked without TLS before it is asked with it: few there
// have a certificate, and a handshake for nothing takes as long as the question.
func (p *pings) through(next http.RoundTripper) http.RoundTripper {
	var ask roundTripper
	ask = func(req *http.Request) (*http.Response, error) {
		if req.Method != http.MethodGet || req.URL.Path != "/v2/" || req.URL.RawQuery != "" { // with a query it asks for a token
			return next.RoundTrip(req)
		}
		one := p.at(req.URL.String())
		select {
		case one.turn <- struct{}{}:
		case <-req.Context().Done():
			return nil, context.Cause(req.Context())
		}
		defer func() { <-one.turn }()
		if one.err == nil && one.answer == nil && req.URL.Scheme == "https" && isLoopback(req.URL.Host) && isRegistry(ask, req) {
			one.err = errNoTLS
		}
		if one.err != nil {
			return nil, one.err
		}
		if one.answer == nil {
			answer, err := next.RoundTrip(req)
			switch {
			case isPlain(err):
				one.err = err
				return nil, err
			case err != nil || !understood(answer):
				return answer, err // may be another one the next time
			}
			discard(answer)
			one.answer = answer
		}
		again := *one.answer
		again.Header, again.Body, again.Request = one.answer.Header.Clone(), io.NopCloser(strings.NewReader("")), req
		return &again, nil
	}
	return ask
}

// errNoTLS is why a registry is not asked with TLS.
var errNoTLS = errors.New("it answers without TLS")

// plainTime is how long a registry on this machine has to answer without TLS: one that
// waits for a handshake may say nothing at all.
const plainTime = 300 * time.Millisecond

// isRegistry reports whether what a question with TLS is for is a registry without it.
func isRegistry(ask roundTripper, req *http.Request) bool {
	ctx, stop := context.WithTimeout(req.Context(), plainTime)
	defer stop()
	plain := req.Clone(ctx)
	plain.URL.Scheme = "http"
	answer, err := ask(plain)
	if err != nil {
		return false
	}
	discard(answer)
	return understood(answer)
}

// understood reports whether an answer is that of a registry which need not be asked again.
func understood(answer *http.Response) bool {
	return answer.StatusCode == http.StatusOK || answer.StatusCode == http.StatusUnauthorized
}

func (p *pings) at(url string) *ping {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of == nil {
		p.of = map[string]*ping{}
	}
	if p.of[url] == nil {
		p.of[url] = &ping{turn: make(chan struct{}, 1)}
	}
	return p.of[url]
}

// isPlain reports whether a handshake of TLS failed because the other side speaks HTTP
// without it.
func isPlain(err error) bool {
	record, ok := errors.AsType[tls.RecordHeaderError](err)
	return ok && string(record.RecordHeader[:]) == "HTTP/"
}
