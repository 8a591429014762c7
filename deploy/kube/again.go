package kube

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// How often and for how long a request is made again: an API server that restarts,
// or elects another leader, is back after some seconds.
const (
	againPause = 250 * time.Millisecond // the first; each is twice the one before
	awayTries  = 6                      // of a server that is away: the last is made after about 8 seconds
	againTries = 4                      // of one that says it broke down: after about 2
)

// again makes requests that may be repeated once more where a server that has
// answered before breaks down or goes away, also in the middle of an answer. What it refuses is an answer, and
// stays one; where it says when to ask again, client-go does that.
type again struct {
	next     http.RoundTripper
	answered atomic.Bool
	pause    time.Duration // zero means againPause
}

func (a *again) RoundTrip(req *http.Request) (*http.Response, error) {
	pause := a.pause
	if pause == 0 {
		pause = againPause
	}
	for try := 1; ; try++ {
		resp, err := a.next.RoundTrip(req)
		if err == nil && repeatable(req) && !strings.HasSuffix(req.URL.Path, "/log") { // a log may be long
			resp, err = whole(resp)
		}
		if try == awayTries || err == nil && try == againTries || !repeatable(req) || !a.worse(req.Context(), resp, err) {
			return resp, err
		}
		if resp != nil {
			resp.Body.Close()
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-req.Context().Done():
			timer.Stop()
			return nil, context.Cause(req.Context())
		}
		pause *= 2
		if req, err = renewed(req); err != nil {
			return nil, err
		}
	}
}

// whole reads an answer to its end, where it may turn out to be cut off.
func whole(resp *http.Response) (*http.Response, error) {
	text, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(text))
	return resp, nil
}

// worse reports whether the outcome of a request says that the server broke down,
// or is away although it was there before.
func (a *again) worse(ctx context.Context, resp *http.Response, err error) bool {
	if err != nil {
		return ctx.Err() == nil && a.answered.Load() && !errors.Is(err, context.Canceled)
	}
	a.answered.Store(true)
	if resp.Header.Get("Retry-After") != "" {
		return false
	}
	switch resp.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	case http.StatusInternalServerError:
		return !aboutObject(resp)
	}
	return false
}

// aboutObject reports whether an internal error is in truth about what was sent:
// see [untyped]. It leaves the body to be read.
func aboutObject(resp *http.Response) bool {
	text, err := io.ReadAll(resp.Body)
	resp.Body = io.NopCloser(bytes.NewReader(text))
	return err == nil && bytes.Contains(text, []byte("failed to create typed patch object"))
}

// repeatable reports whether a request does no harm when it is made twice: reads,
// server-side applies, deletes of one object (which may be gone then) and updates
// (which name the version that they replace). A watch has its own way of beginning
// anew.
func repeatable(req *http.Request) bool {
	switch req.Method {
	case http.MethodGet:
		return req.URL.Query().Get("watch") == "" && req.URL.Query().Get("follow") == ""
	case http.MethodDelete:
		return true
	case http.MethodPut:
		return req.GetBody != nil
	case http.MethodPatch:
		return req.Header.Get("Content-Type") == "application/apply-patch+yaml" && req.GetBody != nil
	}
	return false
}

// renewed returns a request with its body from the beginning.
func renewed(req *http.Request) (*http.Request, error) {
	if req.GetBody == nil {
		return req, nil
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, err
	}
	req = req.Clone(req.Context())
	req.Body = body
	return req, nil
}
