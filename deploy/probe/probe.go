// Package probe asks HTTP servers from this machine.
//
// # Owns
//
// What a request may become: which redirects are followed, how long it may take,
// how much of an answer is read.
//
// # May touch
//
// The network, at the URL that it is given. Package deploy, for its words.
package probe

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// limit is how long one request may take.
const limit = 10 * time.Second

// A Prober asks from here. The zero Prober is ready to use.
type Prober struct{}

// Ask sends one request. A redirect is followed, at most ten times; one that
// leads to another host, or from https to http, is the answer itself if the
// request has headers, for they may be secrets that are meant for one host.
func (Prober) Ask(ctx context.Context, r deploy.Request) (deploy.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, nil)
	if err != nil {
		return deploy.Answer{}, plainly(err)
	}
	if r.Header != nil {
		req.Header = r.Header.Clone()
	}
	if host := req.Header.Get("Host"); host != "" { // net/http has it elsewhere
		req.Host = host
	}
	// A connection of its own for each question: one that is kept open goes on
	// to lead to a pod that is leaving.
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 64 << 10}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, CheckRedirect: redirects(len(r.Header) > 0)}
	resp, err := client.Do(req)
	if err != nil {
		return deploy.Answer{}, plainly(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, deploy.AnswerLimit))
	return deploy.Answer{Status: resp.StatusCode, Header: resp.Header, Body: body}, plainly(err)
}

// redirects says which ones are followed.
func redirects(guarded bool) func(*http.Request, []*http.Request) error {
	return func(to *http.Request, via []*http.Request) error {
		first := via[0].URL
		if guarded && (to.URL.Host != first.Host || to.URL.Scheme != first.Scheme && to.URL.Scheme != "https") {
			return http.ErrUseLastResponse
		}
		if len(via) >= 10 {
			return errors.New("it redirects in circles")
		}
		return nil
	}
}

// plainly takes the URL off an error: whoever asked says it, without passwords.
func plainly(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		if u.Timeout() {
			return errors.New("no answer within " + limit.String())
		}
		return u.Err
	}
	return err
}
