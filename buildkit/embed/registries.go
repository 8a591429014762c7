//go:build linux

package embed

import (
	"crypto/tls"
	"net/http"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/moby/buildkit/util/resolver"
	resolverconfig "github.com/moby/buildkit/util/resolver/config"
	"github.com/moby/buildkit/util/tracing"

	"github.com/slipway-ci/slipway/buildkit"
)

// registries says how the solver speaks with registries: as a buildkitd does, but
// that none can lead it to link-local addresses.
func registries(plain []string) docker.RegistryHosts {
	yes := true
	hosts := make(map[string]resolverconfig.RegistryConfig, len(plain))
	for _, host := range plain {
		hosts[host] = resolverconfig.RegistryConfig{PlainHTTP: &yes}
	}
	all := resolver.NewRegistryConfig(hosts)
	return func(host string) ([]docker.RegistryHost, error) {
		found, err := all(host)
		for i, h := range found {
			found[i].Client = &http.Client{Transport: tracing.NewTransport(buildkit.Guarded(transport(), h.Host))}
		}
		return found, err
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
