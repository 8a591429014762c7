package registry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/slipway-ci/slipway/buildkit"
)

// wires are the connections of a Client. A registry may send us elsewhere, for
// blobs or tokens; it must not be able to send us to what only this machine can
// reach, such as a cloud's metadata.
type wires struct {
	direct *http.Transport // to hosts that the user named, and to proxies
	away   *http.Transport // to hosts that a registry named: no link-local, no loopback
	near   *http.Transport // to hosts that a registry on loopback named: no link-local
}

func (c *Client) newWires() wires {
	away := c.newTransport(func(ip netip.Addr) bool { return buildkit.LinkLocal(ip) || ip.IsLoopback() })
	near := c.newTransport(buildkit.LinkLocal)
	away.Proxy, near.Proxy = nil, nil
	return wires{direct: c.newTransport(nil), away: away, near: near}
}

// newTransport returns a transport that does not connect to addresses that
// refuse reports, whatever name led there.
func (c *Client) newTransport(refuse func(netip.Addr) bool) *http.Transport {
	dialer := &net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}
	if refuse != nil {
		dialer.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil || refuse(to.Addr().Unmap()) {
				return refusedError("it leads to " + address + ", where a registry must not send us")
			}
			return nil
		}
	}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		if c.dial != nil {
			if err := c.dial(ctx, network, address); err != nil {
				return nil, err
			}
		}
		return dialer.DialContext(ctx, network, address)
	}
	t := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dial,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: questions,
		IdleConnTimeout:     30 * time.Second,
		TLSHandshakeTimeout: 10 * time.Second,
	}
	buildkit.Patient(t, c.Patience)
	return t
}

// A refusedError says why we do not connect. Trying again changes nothing.
type refusedError string

func (e refusedError) Error() string { return string(e) }

func noTLS(host string) error {
	return refusedError(fmt.Sprintf("%s is not spoken to without TLS (name it with --plain-http, if that is meant)", host))
}

// wire returns the round tripper for what has to do with a registry.
func (c *Client) wire(registry string) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		rt, err := c.choose(registry, req)
		if err != nil {
			if req.Body != nil {
				req.Body.Close()
			}
			return nil, err
		}
		return rt.RoundTrip(req)
	})
}

// choose returns the wire for a request that the registry, or an answer of it,
// is the reason of.
func (c *Client) choose(registry string, req *http.Request) (http.RoundTripper, error) {
	host := req.URL.Host
	if req.URL.Scheme != "https" && !c.plain(host) {
		return nil, noTLS(host)
	}
	if host == registry {
		return c.wires.direct, nil
	}
	if ip, err := netip.ParseAddr(req.URL.Hostname()); err == nil && buildkit.LinkLocal(ip) {
		return nil, refusedError("it leads to " + host + ", where a registry must not send us")
	}
	if proxy, err := http.ProxyFromEnvironment(req); err == nil && proxy != nil {
		return c.wires.direct, nil // the proxy connects
	}
	if isLoopback(registry) {
		return c.wires.near, nil
	}
	return c.wires.away, nil
}

// plain reports whether a host may be spoken to without TLS.
func (c *Client) plain(host string) bool {
	return isLoopback(host) || slices.Contains(c.PlainHTTP, host)
}

// isLoopback reports whether a host, with or without a port, is this machine.
func isLoopback(host string) bool {
	hostname := (&url.URL{Host: host}).Hostname()
	if hostname == "localhost" || strings.HasSuffix(hostname, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(hostname)
	return err == nil && ip.Unmap().IsLoopback()
}

// checkRedirect bounds redirects. Where they lead is the wire's to judge.
// Credentials are added below net/http, for the registry's own host alone; so
// there are none that it could take along.
func checkRedirect(_ *http.Request, via []*http.Request) error {
	if len(via) >= 10 {
		return errors.New("it redirects in circles")
	}
	return nil
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
