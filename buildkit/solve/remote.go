package solve

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"os"
)

// A Remote is a buildkitd that somebody else runs. Its Dial is a Builder's.
type Remote struct {
	Address   string // "unix:///run/buildkit/buildkitd.sock" or "tcp://host:1234"
	CA        string // file with certificates that the server's may be signed by; empty means the system's
	Cert, Key string // files that say who we are; empty for nobody
	TLS       bool   // speak TLS over tcp though no file is given
}

// Dial connects to the buildkitd.
func (r Remote) Dial(ctx context.Context) (net.Conn, error) {
	u, err := url.Parse(r.Address)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	switch u.Scheme {
	case "unix":
		return d.DialContext(ctx, "unix", u.Path)
	case "tcp":
		if !r.TLS && r.CA == "" && r.Cert == "" {
			return d.DialContext(ctx, "tcp", u.Host)
		}
		config, err := r.config(u.Hostname())
		if err != nil {
			return nil, err
		}
		return (&tls.Dialer{NetDialer: &d, Config: config}).DialContext(ctx, "tcp", u.Host)
	}
	return nil, fmt.Errorf("no way to dial %q (use unix:///path or tcp://host:port)", r.Address)
}

func (r Remote) config(host string) (*tls.Config, error) {
	config := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"}}
	if r.CA != "" {
		text, err := os.ReadFile(r.CA)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s holds no certificate", r.CA)
		}
	}
	if r.Cert != "" {
		pair, err := tls.LoadX509KeyPair(r.Cert, r.Key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
