package registry

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/slipway-ci/slipway/buildkit"
)

// An Engine is this machine's Docker, or what speaks like it.
//
// See https://docs.docker.com/reference/api/engine/.
type Engine struct {
	Host string // unix:///path or tcp://host:port; empty means unix:///var/run/docker.sock
}

// Loaded returns the id of the image of that name; empty means that there is none.
func (e *Engine) Loaded(ctx context.Context, name string) (string, error) {
	resp, err := e.do(ctx, http.MethodGet, "/images/"+name+"/json", nil)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		var image struct{ ID string }
		if err := json.NewDecoder(resp.Body).Decode(&image); err != nil {
			return "", e.fault(err)
		}
		return image.ID, nil
	case http.StatusNotFound:
		return "", nil
	}
	return "", e.fault(fmt.Errorf("%s", resp.Status))
}

// Load gives the engine an archive.
func (e *Engine) Load(ctx context.Context, archive io.Reader) error {
	resp, err := e.do(ctx, http.MethodPost, "/images/load?quiet=1", archive)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return e.fault(err)
	}
	if resp.StatusCode != http.StatusOK {
		return e.fault(fmt.Errorf("%s: %s", resp.Status, bytes.TrimSpace(said)))
	}
	for line := range bytes.Lines(said) { // a failure may come after the status
		var event struct {
			Error string `json:"error"`
		}
		if json.Unmarshal(line, &event) == nil && event.Error != "" {
			return e.fault(fmt.Errorf("%s", event.Error))
		}
	}
	return nil
}

func (e *Engine) do(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	host := cmp.Or(e.Host, "unix:///var/run/docker.sock")
	u, err := url.Parse(host)
	if err != nil || u.Scheme != "unix" && u.Scheme != "tcp" {
		return nil, e.fault(fmt.Errorf("DOCKER_HOST is %q (want unix:///path or tcp://host:port)", host))
	}
	network, address := u.Scheme, u.Host
	if network == "unix" {
		address = u.Path
	}
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, method, "http://docker"+path, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/x-tar")
	}
	resp, err := client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, e.fault(err)
	}
	return resp, nil
}

func (e *Engine) fault(err error) error {
	host := strings.TrimPrefix(cmp.Or(e.Host, "unix:///var/run/docker.sock"), "unix://")
	return &buildkit.HostError{
		What: "the image cannot be loaded into the engine at " + host,
		Cure: "start Docker, set DOCKER_HOST, or give the output a path:", Err: err,
	}
}
