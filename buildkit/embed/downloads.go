//go:build linux

package embed

import (
	"net/http"
	"time"

	source "github.com/moby/buildkit/source/http"
	"github.com/moby/buildkit/util/tracing"
	"github.com/moby/buildkit/worker/base"

	"github.com/slipway-ci/slipway/buildkit"
)

// guardDownloads puts a guard before what ADD gets from a URL. A Dockerfile may
// name any address, as its commands may, but whoever answers there may not.
func guardDownloads(work *base.Worker, patience time.Duration) error {
	plain := transport()
	guarded, err := source.NewSource(source.Opt{
		CacheAccessor: work.CacheMgr,
		Transport:     tracing.NewTransport(&follower{plain, buildkit.Guarded(plain, "", patience)}),
	})
	if err != nil {
		return err
	}
	work.SourceManager.Register(guarded) // in place of the worker's own
	return nil
}

// A follower makes requests that follow a redirect in another way.
type follower struct{ first, redirected http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (f *follower) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Response != nil {
		return f.redirected.RoundTrip(req)
	}
	return f.first.RoundTrip(req)
}
