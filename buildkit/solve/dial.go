package solve

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/moby/buildkit/client/connhelper"
	_ "github.com/moby/buildkit/client/connhelper/dockercontainer" // docker-container://NAME
	_ "github.com/moby/buildkit/client/connhelper/kubepod"         // kube-pod://NAME?namespace=…&context=…&container=…
	"github.com/moby/buildkit/client/connhelper/ssh"               // ssh://USER@HOST

	"github.com/slipway-ci/slipway/buildkit"
)

// A Dialer connects to a buildkitd.
type Dialer func(ctx context.Context) (net.Conn, error)

// A Certificate is how a buildkitd on TCP and we know each other. The zero value
// is no TLS, as buildctl has it.
type Certificate struct {
	Dir        string // has ca.pem, cert.pem and key.pem, or ca.crt, tls.crt and tls.key
	ServerName string // in the buildkitd's certificate; empty: the host of its address
}

// How we notice that a machine is gone that does not say so: about 30 s.
const dialTime = 10 * time.Second

func keepAlive() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 4}
}

// Dial returns what connects to the buildkitd at an address: unix:///path,
// tcp://host:port (with TLS if there is a certificate), kube-pod://name,
// docker-container://name, ssh://host, or "docker" for the machine's Docker.
// Nothing is connected before it is called.
func Dial(address string, cert Certificate) (Dialer, error) {
	if address == "docker" {
		return dialDocker, nil
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("builder %q: %w", address, err)
	}
	var dial Dialer
	switch {
	case u.Scheme == "unix" && u.Host == "" && u.Path != "":
		dial = network("unix", u.Path)
	case u.Scheme == "tcp" && u.Port() != "" && strings.Trim(u.Path, "/") == "":
		dial = network("tcp", u.Host)
		if cert.Dir != "" {
			config, err := cert.config(u.Hostname())
			if err != nil {
				return nil, fmt.Errorf("builder %s: %w", address, err)
			}
			dial = secured(dial, config)
		}
	case u.Scheme == "ssh":
		spec, err := ssh.SpecFromURL(u)
		if err != nil {
			return nil, fmt.Errorf("builder %q: %w", address, err)
		}
		dial = spoken(dialSSH(spec))
	default:
		helper, err := connhelper.GetConnectionHelper(address)
		if err != nil || helper == nil {
			return nil, fmt.Errorf("builder %q is no address (want unix:///path, tcp://host:port, kube-pod://name, docker-container://name, ssh://host, or docker)", address)
		}
		dial = spoken(func(ctx context.Context) (net.Conn, error) { return helper.ContextDialer(ctx, "") })
	}
	return func(ctx context.Context) (net.Conn, error) {
		conn, err := dial(ctx)
		if err == nil || ctx.Err() != nil {
			return conn, err
		}
		cure := "start a buildkitd there, or mend --builder or BUILDKIT_HOST"
		if missing, ok := errors.AsType[*exec.Error](err); ok {
			cure = "install " + missing.Name + ", through which it is reached"
		}
		return nil, &buildkit.HostError{What: "the builder at " + address + " does not answer", Cure: cure, Err: err}
	}, nil
}

func network(kind, address string) Dialer {
	return func(ctx context.Context) (net.Conn, error) {
		d := net.Dialer{Timeout: dialTime, KeepAliveConfig: keepAlive()}
		return d.DialContext(ctx, kind, address)
	}
}

func secured(dial Dialer, config *tls.Config) Dialer {
	return func(ctx context.Context) (net.Conn, error) {
		conn, err := dial(ctx)
		if err != nil {
			return nil, err
		}
		limited, cancel := context.WithTimeout(ctx, dialTime)
		defer cancel()
		secure := tls.Client(conn, config)
		if err := secure.HandshakeContext(limited); err != nil {
			conn.Close()
			return nil, err
		}
		return secure, nil
	}
}

// config reads the files of a certificate.
func (c Certificate) config(host string) (*tls.Config, error) {
	ca, err := c.file("ca.pem", "ca.crt")
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	text, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate", ca)
	}
	config := &tls.Config{RootCAs: pool, ServerName: host, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"}}
	if c.ServerName != "" {
		config.ServerName = c.ServerName
	}
	cert, err := c.file("cert.pem", "tls.crt")
	if err != nil {
		return nil, err
	}
	key, err := c.file("key.pem", "tls.key")
	if err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cert, err)
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}

func (c Certificate) file(names ...string) (string, error) {
	for _, name := range names {
		path := filepath.Join(c.Dir, name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		} else if !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
	}
	return "", fmt.Errorf("%s has no %s", c.Dir, strings.Join(names, " or "))
}
