//go:build linux

package embed

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/moby/buildkit/util/resolver"
	resolverconfig "github.com/moby/buildkit/util/resolver/config"
	"github.com/moby/buildkit/util/tracing"

	"github.com/slipway-ci/slipway/buildkit"
)

// registries says how the solver speaks with registries: as a buildkitd does, but
// that none can lead it to link-local addresses, and that one that is silent is
// given up.
func registries(cfg config) docker.RegistryHosts {
	yes := true
	hosts := map[string]resolverconfig.RegistryConfig{}
	for host, mirrors := range cfg.Mirrors {
		hosts[host] = resolverconfig.RegistryConfig{Mirrors: mirrors}
	}
	for _, host := range cfg.PlainHTTP {
		hosts[host] = resolverconfig.RegistryConfig{Mirrors: cfg.Mirrors[host], PlainHTTP: &yes}
	}
	all := resolver.NewRegistryConfig(hosts)
	return func(host string) ([]docker.RegistryHost, error) {
		found, err := all(host)
		for i, h := range found {
			guarded := buildkit.Guarded(transport(), h.Host, cfg.Patience)
			found[i].Client = &http.Client{Transport: tracing.NewTransport(&puller{next: guarded, steady: buildkit.Steady(guarded, buildkit.Unwell)})}
		}
		return found, err
	}
}

// A puller makes good what BuildKit's resolver does without: it waits when a
// registry wants that, and asks again for a manifest's digest. Pulls themselves
// BuildKit repeats.
type puller struct {
	next, steady http.RoundTripper

	mu     sync.Mutex
	failed map[string]error // by path of a manifest: why nothing is known of it
}

// RoundTrip implements [http.RoundTripper].
func (p *puller) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := p.ask(req)
	if err != nil || resp.StatusCode != http.StatusTooManyRequests {
		return resp, err
	}
	if err := leaveAlone(req.Context(), buildkit.RetryAfter(resp.Header.Get("Retry-After"), time.Now())); err != nil {
		resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

func (p *puller) ask(req *http.Request) (*http.Response, error) {
	path := req.URL.Path
	if req.Method != http.MethodHead {
		resp, err := p.next.RoundTrip(req)
		if _, silent := errors.AsType[*buildkit.SilentError](err); silent && req.Method == http.MethodGet {
			return p.next.RoundTrip(req)
		}
		return resp, err
	}
	// Where a manifest cannot be had, the resolver looks for a blob of its digest,
	// and then says of all that there is no such image.
	if err := p.fault(strings.Replace(path, "/blobs/", "/manifests/", 1)); err != nil && strings.Contains(path, "/blobs/") {
		return nil, err
	}
	resp, err := p.steady.RoundTrip(req)
	if p.remember(path, err); err == nil && resp.StatusCode == http.StatusUnauthorized {
		p.remember(path, errors.New(resp.Status)) // until it is asked with a token
	}
	return resp, err
}

func (p *puller) fault(path string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed[path]
}

func (p *puller) remember(path string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed == nil {
		p.failed = map[string]error{}
	}
	p.failed[path] = err
}

// leaveAlone waits before an answer is handed on: whoever gets it asks again at once.
func leaveAlone(ctx context.Context, d time.Duration) error {
	if d > time.Minute {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// transport returns what BuildKit uses for registries (util/resolver), which
// exports nothing of it. HTTP/2 is off: its flow control slows transfers down.
func transport() *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		MaxIdleConns:        30,
		MaxIdleConnsPerHost: 4,
		IdleConnTimeout:     2 * time.Minute,
		TLSHandshakeTimeout: 10 * time.Second,
		TLSNextProto:        map[string]func(string, *tls.Conn) http.RoundTripper{},
	}
}
