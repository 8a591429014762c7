package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"k8s.io/client-go/rest"

	"github.com/slipway-ci/slipway/deploy"
)

// askTimeout is how long one question through the API server may take.
const askTimeout = 10 * time.Second

// Ask asks a Service from inside of the cluster, through the proxy of the API
// server: http://NAME[.NAMESPACE[.svc…]][:PORT]/path, in namespace if the host
// names none. Of all ways in, it needs the least: the verb get (create for POST)
// on services/proxy, no pod, no image. An answer of the API server itself, such
// as 503 while no pod is ready, is an Answer like others; a [deploy.ClusterError]
// says that we may not ask, or that there is no cluster to ask.
//
// See https://kubernetes.io/docs/tasks/access-application-cluster/access-cluster-services/.
func (c *Cluster) Ask(ctx context.Context, namespace string, r deploy.Request) (deploy.Answer, error) {
	conn, err := c.connected(ctx)
	if err != nil {
		return deploy.Answer{}, err
	}
	path, err := proxyPath(namespace, r.URL)
	if err != nil {
		return deploy.Answer{}, err
	}
	client, err := rest.HTTPClientFor(conn.config)
	if err != nil {
		return deploy.Answer{}, c.failed(ctx, "ask "+path, err)
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	limited, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	base, _, err := rest.DefaultServerUrlFor(conn.config)
	if err != nil {
		return deploy.Answer{}, c.failed(ctx, "ask "+path, err)
	}
	req, err := http.NewRequestWithContext(limited, r.Method, strings.TrimSuffix(base.String(), "/")+path, nil)
	if err != nil {
		return deploy.Answer{}, err
	}
	if r.Header != nil {
		req.Header = r.Header.Clone()
	}
	resp, err := client.Do(req)
	if err != nil {
		return deploy.Answer{}, c.failed(ctx, "ask "+path, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, deploy.AnswerLimit))
	if err != nil {
		return deploy.Answer{}, c.failed(ctx, "ask "+path, err)
	}
	if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden && strings.Contains(string(body), `services/proxy`) {
		return deploy.Answer{}, c.failed(ctx, "ask "+path, fmt.Errorf("the API server says %d (in: cluster needs the verb get on services/proxy, and create for POST)", resp.StatusCode))
	}
	return deploy.Answer{Status: resp.StatusCode, Header: resp.Header, Body: body}, nil
}

// proxyPath returns the path at which the API server leads to a URL.
func proxyPath(namespace, text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil {
		return "", errors.New("it is no URL")
	}
	labels := strings.Split(u.Hostname(), ".")
	if len(labels) > 1 {
		namespace = labels[1]
	}
	if labels[0] == "" || namespace == "" || len(labels) > 2 && labels[2] != "svc" {
		return "", fmt.Errorf("%s is no Service (want http://NAME or http://NAME.NAMESPACE)", u.Host)
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443"}[u.Scheme]
	}
	if port == "" {
		port = "80"
	}
	service := labels[0] + ":" + port
	if u.Scheme == "https" {
		service = "https:" + service
	}
	path := "/api/v1/namespaces/" + url.PathEscape(namespace) + "/services/" + url.PathEscape(service) + "/proxy" + u.EscapedPath()
	if u.RawQuery != "" {
		path += "?" + u.RawQuery
	}
	return path, nil
}
