package buildkit

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// LinkLocal reports whether an address is one of the machine's own network
// segment (RFC 3927, RFC 4291 2.5.6). That is also where clouds answer with
// credentials, on AWS at one address more.
func LinkLocal(ip netip.Addr) bool {
	ip = ip.Unmap()
	return ip.IsLinkLocalUnicast() || ip.IsLinkLocalMulticast() || ip == netip.MustParseAddr("fd00:ec2::254")
}

// A RefusedError says why no connection is made to where a registry led. Trying
// again changes nothing.
type RefusedError string

func (e RefusedError) Error() string { return string(e) }

// Guarded returns a round tripper that does what base does, and makes no
// connection to link-local addresses, whatever name or redirect led there: that
// is a [RefusedError]. Named is the host, with its port, that the user has named;
// it may be anywhere. Where base has a proxy for a request, the proxy connects.
// Who is silent for longer than patience is given up: that is a [SilentError].
func Guarded(base *http.Transport, named string, patience time.Duration) http.RoundTripper {
	base = base.Clone()
	guarded := base.Clone()
	guarded.Proxy = nil
	if base.DialContext == nil {
		base.DialContext = dialer(nil).DialContext
	}
	guarded.DialContext = dialer(refuseLinkLocal).DialContext
	Patient(base, patience)
	Patient(guarded, patience)
	return &guard{named: named, patience: base.ResponseHeaderTimeout, base: base, guarded: guarded}
}

func dialer(control func(context.Context, string, string, syscall.RawConn) error) *net.Dialer {
	return &net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second, ControlContext: control}
}

type guard struct {
	named         string
	patience      time.Duration
	base, guarded *http.Transport
}

func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := g.send(req)
	if err != nil && Silence(err) && req.Context().Err() == nil {
		err = &SilentError{req.URL.Host, g.patience}
	}
	return resp, err
}

func (g *guard) send(req *http.Request) (*http.Response, error) {
	if req.URL.Host == g.named {
		return g.base.RoundTrip(req)
	}
	if ip, err := netip.ParseAddr(req.URL.Hostname()); err == nil && LinkLocal(ip) {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, refused(req.URL.Host)
	}
	if g.base.Proxy != nil {
		if proxy, err := g.base.Proxy(req); err == nil && proxy != nil {
			return g.base.RoundTrip(req)
		}
	}
	return g.guarded.RoundTrip(req)
}

// refuseLinkLocal is asked by a dialer before it connects to an address.
func refuseLinkLocal(_ context.Context, _, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || LinkLocal(to.Addr()) {
		return refused(address)
	}
	return nil
}

func refused(address string) RefusedError {
	return RefusedError("it leads to " + address + ", where no server may send us")
}
