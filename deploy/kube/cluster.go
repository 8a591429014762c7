package kube

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/slipway-ci/slipway/deploy"
)

// Manager is the field manager under which everything is applied.
const Manager = "slipway"

// A Cluster is a connection to one cluster. It is made at the first use, once,
// and may be used by many goroutines. The zero value is the cluster that
// kubectl would talk to; inside a pod without a kubeconfig, the pod's own.
type Cluster struct {
	Kubeconfig string        // path; empty: $KUBECONFIG, then ~/.kube/config, then the pod's service account
	Context    string        // of the kubeconfig; empty: its current one
	Namespace  string        // of the kubeconfig's context, overridden; empty: as the context says
	UserAgent  string        // empty: "slipway"
	TakeFrom   []string      // field managers whose fields are taken over, such as "kubectl-client-side-apply"; empty: a field of another stays, and is an error
	Timeout    time.Duration // of one request that is no watch and no log, with all that is asked again; 0: 30 seconds
	Parallel   int           // requests at a time; 0: 8
	Term       time.Duration // how long the Lease of a deployment is good for unless it is renewed; 0: a minute
	Keep       int           // revisions of a deployment that are remembered; 0: 10
	Dial       Dialer        // how to reach the server; nil: TCP with a limit of 5 seconds
	Log        *slog.Logger  // for developers; nil: nothing is logged

	connect sync.Once
	conn    *connection
	connErr error
	tries   tries
}

// A Dialer opens a connection to an address, as [net.Dialer] does.
type Dialer func(ctx context.Context, network, address string) (net.Conn, error)

// REST returns the configuration of the connection. Callers copy it before they change it.
func (c *Cluster) REST(ctx context.Context) (*rest.Config, error) {
	conn, err := c.connected(ctx)
	if err != nil {
		return nil, err
	}
	return conn.config, nil
}

// Dynamic returns a client for objects of any kind. Its requests have no
// time limit but the one of their context.
func (c *Cluster) Dynamic(ctx context.Context) (dynamic.Interface, error) {
	conn, err := c.connected(ctx)
	if err != nil {
		return nil, err
	}
	return conn.dynamic, nil
}

// Resource returns the resource that serves a kind, and whether its objects
// live in namespaces. It asks the server once for each group and version.
func (c *Cluster) Resource(ctx context.Context, apiVersion, kind string) (resource schema.GroupVersionResource, namespaced bool, err error) {
	conn, err := c.connected(ctx)
	if err != nil {
		return schema.GroupVersionResource{}, false, err
	}
	k, err := conn.kinds.lookup(ctx, apiVersion, kind)
	if err != nil {
		return schema.GroupVersionResource{}, false, c.failed(ctx, "look up "+kind+" in "+apiVersion, err)
	}
	return k.resource, k.namespaced, nil
}

// Logs streams what a container wrote: of its previous run if previous is
// set, and only the last tail lines if tail is positive. The caller closes it.
func (c *Cluster) Logs(ctx context.Context, namespace, pod, container string, previous bool, tail int64) (io.ReadCloser, error) {
	return c.stream(ctx, namespace, pod, container, previous, false, tail)
}

// Follow is Logs that goes on until the container, or ctx, ends.
func (c *Cluster) Follow(ctx context.Context, namespace, pod, container string, previous bool, tail int64) (io.ReadCloser, error) {
	return c.stream(ctx, namespace, pod, container, previous, true, tail)
}

func (c *Cluster) stream(ctx context.Context, namespace, pod, container string, previous, follow bool, tail int64) (io.ReadCloser, error) {
	conn, err := c.connected(ctx)
	if err != nil {
		return nil, err
	}
	req := conn.raw.Get().AbsPath("/api/v1/namespaces", namespace, "pods", pod, "log").Param("container", container)
	if previous {
		req.Param("previous", "true")
	}
	if follow {
		req.Param("follow", "true")
	}
	if tail > 0 {
		req.Param("tailLines", fmt.Sprint(tail))
	}
	stream, err := req.Stream(ctx)
	if err != nil {
		return nil, c.failed(ctx, "read logs of pod "+namespace+"/"+pod, err)
	}
	return stream, nil
}

// DefaultNamespace returns the namespace of objects and deployments that name
// none: the Cluster's, the context's, the pod's own, or "default". It asks no server.
func (c *Cluster) DefaultNamespace() (string, error) {
	if c.Namespace != "" {
		return c.Namespace, nil
	}
	namespace, _, err := c.kubeconfig().Namespace()
	if err != nil {
		if _, why := c.load(); why != nil { // it says what is missing
			return "", why
		}
		return "", &deploy.ClusterError{Doing: "read kubeconfig", Err: err}
	}
	return namespace, nil
}

// Server returns the URL of the API server; it asks no server.
func (c *Cluster) Server(ctx context.Context) (string, error) {
	conn, err := c.connected(ctx)
	if err != nil {
		return "", err
	}
	return conn.server, nil
}

func (c *Cluster) log() *slog.Logger {
	if c.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Log
}

func (c *Cluster) parallel() int {
	if c.Parallel > 0 {
		return c.Parallel
	}
	return 8
}
