package kube

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-ci/slipway/deploy"
)

// spaces holds the namespaces that a set uses and does not bring: whether each is there.
type spaces struct {
	parallel int
	mu       sync.Mutex
	state    map[string]state
}

type state int

const (
	unknown state = iota // we may not read it; it may well be there
	there
	missing
	leaving
)

// namespacesOf returns the namespaces which have to be there before items can be.
func (c *Cluster) namespacesOf(set deploy.Set, items []*item) *spaces {
	used := map[string]state{set.Namespace: unknown}
	for _, it := range items {
		if ns := it.object.Namespace(); ns != "" {
			used[ns] = unknown
		}
	}
	for _, it := range items {
		if isNamespace(it.object) {
			delete(used, it.object.Name())
		}
	}
	return &spaces{parallel: c.parallel(), state: used}
}

func isNamespace(o deploy.Object) bool { return o.Kind() == "Namespace" && o.APIVersion() == "v1" }

func (c *Cluster) readNamespaces(ctx context.Context, s *spaces) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(s.parallel)
	for _, name := range slices.Sorted(maps.Keys(s.state)) {
		group.Go(func() error {
			limited, cancel := c.limit(groupCtx)
			defer cancel()
			found, err := c.conn.dynamic.Resource(namespaces()).Get(limited, name, metav1.GetOptions{})
			result := there
			switch {
			case apierrors.IsNotFound(err):
				result = missing
			case apierrors.IsForbidden(err):
				result = unknown
			case err != nil:
				return c.failed(groupCtx, "read namespace "+name, err)
			case found.GetDeletionTimestamp() != nil:
				result = leaving
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			s.state[name] = result
			return nil
		})
	}
	return group.Wait()
}

// settle marks the items whose namespace is still to be made, and returns the
// item for the deployment's own namespace if nobody else makes that.
func (s *spaces) settle(set deploy.Set, items []*item) (made *item, err error) {
	brought := map[string]bool{} // by the set, and not there yet
	for _, it := range items {
		if isNamespace(it.object) && it.live == nil {
			brought[it.object.Name()] = true
		}
	}
	if s.state[set.Namespace] == missing {
		brought[set.Namespace] = true
		made = &item{object: deploy.Object{Body: map[string]any{
			"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": set.Namespace},
		}}, kind: kind{resource: namespaces()}, fresh: true}
	}
	var errs []error
	for _, it := range items {
		ns := it.object.Namespace()
		switch {
		case brought[ns]:
			it.fresh = true
		case s.state[ns] == missing:
			errs = append(errs, &deploy.ObjectError{Object: it.object, Err: errors.New("there is no namespace " + ns + " (create it, or put it into the kustomization)")})
		case s.state[ns] == leaving:
			errs = append(errs, &deploy.ObjectError{Object: it.object, Err: errors.New("namespace " + ns + " is being deleted (run again when it is gone)")})
		}
	}
	return made, errors.Join(errs...)
}
