package solve

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/docker/cli/cli/config"

	"github.com/slipway-ci/slipway/buildkit"
)

// dialDocker connects to the BuildKit inside the machine's Docker: a request for
// /grpc becomes the connection, as docker buildx has it.
//
// See https://pkg.go.dev/github.com/docker/buildx/driver/docker.
func dialDocker(ctx context.Context) (net.Conn, error) {
	host, tlsDir := dockerHost()
	fail := func(err error) error {
		return &buildkit.HostError{What: "Docker at " + host + " does not answer", Cure: "start it, or set DOCKER_HOST", Err: err}
	}
	u, err := url.Parse(host)
	if err != nil {
		return nil, fail(err)
	}
	var dial Dialer
	switch u.Scheme {
	case "unix":
		dial = network("unix", u.Path)
	case "tcp":
		dial = network("tcp", u.Host)
		if tlsDir != "" {
			config, err := Certificate{Dir: tlsDir}.config(u.Hostname())
			if err != nil {
				return nil, fail(err)
			}
			config.NextProtos = nil // the request is HTTP/1.1
			dial = secured(dial, config)
		}
	default:
		return nil, fail(fmt.Errorf("%s is no address (want unix:///path or tcp://host:port)", host))
	}
	conn, err := dial(ctx)
	if err != nil {
		return nil, fail(err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	upgraded, err := hijack(&buffered{conn, bufio.NewReader(conn)}, host)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		conn.Close()
		if _, said := errors.AsType[*buildkit.HostError](err); said {
			return nil, err
		}
		return nil, fail(err)
	}
	return upgraded, nil
}

// hijack asks Docker to let a connection be one to its BuildKit, if that can hand
// out what it builds.
//
// See https://docs.docker.com/reference/api/engine/.
func hijack(conn *buffered, host string) (net.Conn, error) {
	resp, err := conn.ask(http.MethodGet, "/info", nil)
	if err != nil {
		return nil, err
	}
	var info struct {
		ServerVersion, Driver string
		DriverStatus          [][2]string
	}
	err = json.NewDecoder(resp.Body).Decode(&info)
	resp.Body.Close() // reads the rest
	if err != nil {
		return nil, fmt.Errorf("GET /info: %s: %w", resp.Status, err)
	}
	if !slices.Contains(info.DriverStatus, [2]string{"driver-type", "io.containerd.snapshotter.v1"}) {
		return nil, &buildkit.HostError{
			What: fmt.Sprintf("Docker %s at %s hands out nothing that it builds: it keeps images in a store of its own, %s", info.ServerVersion, host, info.Driver),
			Cure: `let it use containerd's, which is the default since Docker 29: "features": {"containerd-snapshotter": true} in its daemon.json; or build without --builder docker`,
		}
	}
	if resp, err = conn.ask(http.MethodPost, "/grpc", http.Header{"Connection": {"Upgrade"}, "Upgrade": {"h2c"}}); err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		resp.Body.Close()
		return nil, errors.New("it has no BuildKit: " + resp.Status)
	}
	return conn, nil
}

// ask sends a request and reads the head of the answer.
func (b *buffered) ask(method, path string, header http.Header) (*http.Response, error) {
	req, err := http.NewRequest(method, "http://docker"+path, nil) //nolint:noctx // the connection ends with the context
	if err != nil {
		return nil, err
	}
	if header != nil {
		req.Header = header
	}
	if err := req.Write(b); err != nil {
		return nil, err
	}
	return http.ReadResponse(b.r, req)
}

// buffered is a connection of which something was read ahead.
type buffered struct {
	net.Conn
	r *bufio.Reader
}

func (b *buffered) Read(p []byte) (int, error) { return b.r.Read(p) }

// dockerHost returns where the user's docker command would connect, and the
// folder of its certificates: $DOCKER_HOST, the current context, or the socket.
func dockerHost() (host, tlsDir string) {
	if host := os.Getenv("DOCKER_HOST"); host != "" {
		if os.Getenv("DOCKER_TLS_VERIFY") != "" || os.Getenv("DOCKER_TLS") != "" {
			tlsDir = os.Getenv("DOCKER_CERT_PATH")
			if tlsDir == "" {
				tlsDir = config.Dir()
			}
		}
		return host, tlsDir
	}
	name := os.Getenv("DOCKER_CONTEXT")
	if file, err := config.Load(config.Dir()); err == nil && name == "" {
		name = file.CurrentContext
	}
	id := sha256.Sum256([]byte(name))
	dir := hex.EncodeToString(id[:])
	text, err := os.ReadFile(filepath.Join(config.Dir(), "contexts", "meta", dir, "meta.json"))
	var meta struct {
		Endpoints map[string]struct{ Host string }
	}
	if err == nil && json.Unmarshal(text, &meta) == nil && strings.Contains(meta.Endpoints["docker"].Host, "://") {
		certs := filepath.Join(config.Dir(), "contexts", "tls", dir, "docker")
		if _, err := os.Stat(certs); err == nil {
			tlsDir = certs
		}
		return meta.Endpoints["docker"].Host, tlsDir
	}
	return "unix:///var/run/docker.sock", ""
}
