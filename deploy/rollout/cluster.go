package rollout

import (
	"context"
	"io"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

// A Cluster is a connection to one cluster, of which only what reads is used.
// Its methods may be called more than once, by many goroutines. Where it has
// [Logs] too, verdicts end with the last words of what died; where it has a
// method Server, errors name the API server.
type Cluster interface {
	// Dynamic returns a client for objects of any kind.
	Dynamic(context.Context) (dynamic.Interface, error)
	// Resource returns what a kind is called in paths, and whether it lives in namespaces.
	Resource(ctx context.Context, apiVersion, kind string) (schema.GroupVersionResource, bool, error)
}

// Logs reads what a container wrote: of its run before the present one if
// previous is set, at most tail lines. The caller closes it.
type Logs interface {
	Logs(ctx context.Context, namespace, pod, container string, previous bool, tail int64) (io.ReadCloser, error)
}

// A Resolver asks a registry whether reported is the image that pinned is in
// repository: the same digest, one of its platform manifests, their config
// digest, or another index or manifest with the same config. It is asked again
// after an error.
type Resolver interface {
	Equivalent(ctx context.Context, repository, pinned, reported string) (bool, error)
}

// serverOf returns the URL of c's API server, which is empty where c does not know it.
func serverOf(ctx context.Context, c Cluster) string {
	s, ok := c.(interface {
		Server(context.Context) (string, error)
	})
	if !ok {
		return ""
	}
	server, err := s.Server(ctx)
	if err != nil {
		return ""
	}
	return server
}
