package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
)

// kind is how the server serves objects of one kind.
type kind struct {
	resource   schema.GroupVersionResource
	namespaced bool
}

// kinds knows what the server serves. It asks for a group and version when
// that is first needed, and remembers the answer: a set of objects uses few of
// the many that a cluster has, and each is one small request.
type kinds struct {
	client rest.Interface
	limit  func(context.Context) (context.Context, context.CancelFunc)

	mu    sync.Mutex
	known map[schema.GroupVersion]map[string]kind
}

// lookup finds a kind. A kind that the server does not have is an [unknownKindError].
func (k *kinds) lookup(ctx context.Context, apiVersion, name string) (kind, error) {
	gv, err := schema.ParseGroupVersion(apiVersion)
	if err != nil || gv.Version == "" {
		return kind{}, &badVersionError{apiVersion}
	}
	k.mu.Lock()
	known, asked := k.known[gv]
	k.mu.Unlock()
	if !asked {
		known, err = k.ask(ctx, gv)
		if err != nil {
			return kind{}, err
		}
		k.mu.Lock()
		if k.known == nil {
			k.known = map[schema.GroupVersion]map[string]kind{}
		}
		k.known[gv] = known
		k.mu.Unlock()
	}
	if found, ok := known[name]; ok {
		return found, nil
	}
	return kind{}, &unknownKindError{apiVersion: apiVersion, kind: name, served: k.served(ctx, gv), kinds: slices.Sorted(maps.Keys(known))}
}

// preferred finds a kind in the version that the server prefers.
func (k *kinds) preferred(ctx context.Context, gk schema.GroupKind) (kind, error) {
	if gk.Group == "" {
		return k.lookup(ctx, "v1", gk.Kind)
	}
	k.mu.Lock()
	for gv, known := range k.known {
		if found, ok := known[gk.Kind]; ok && gv.Group == gk.Group { // any version will do, and this one costs nothing
			k.mu.Unlock()
			return found, nil
		}
	}
	k.mu.Unlock()
	var group metav1.APIGroup
	err := k.get(ctx, &group, groupPath(gk.Group))
	switch {
	case apierrors.IsNotFound(err):
		return kind{}, &unknownKindError{apiVersion: gk.Group, kind: gk.Kind}
	case err != nil:
		return kind{}, err
	}
	var last error
	for _, version := range append([]metav1.GroupVersionForDiscovery{group.PreferredVersion}, group.Versions...) {
		var found kind
		if found, last = k.lookup(ctx, version.GroupVersion, gk.Kind); last == nil {
			return found, nil
		}
	}
	return kind{}, last
}

// forget drops what is remembered of a group, because a definition in it is being written.
func (k *kinds) forget(group string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	maps.DeleteFunc(k.known, func(gv schema.GroupVersion, _ map[string]kind) bool { return gv.Group == group })
}

func (k *kinds) ask(ctx context.Context, gv schema.GroupVersion) (map[string]kind, error) {
	var list metav1.APIResourceList
	known := map[string]kind{}
	err := k.get(ctx, &list, groupPath(gv.Group), gv.Version)
	if apierrors.IsNotFound(err) {
		return known, nil
	}
	if err != nil {
		return nil, err
	}
	for _, r := range list.APIResources {
		if !strings.Contains(r.Name, "/") { // a subresource
			known[r.Kind] = kind{resource: gv.WithResource(r.Name), namespaced: r.Namespaced}
		}
	}
	return known, nil
}

// served returns the versions of a group that the server has, the preferred one first.
func (k *kinds) served(ctx context.Context, gv schema.GroupVersion) []string {
	var group metav1.APIGroup
	if gv.Group == "" || k.get(ctx, &group, groupPath(gv.Group)) != nil {
		return nil
	}
	served := []string{group.PreferredVersion.GroupVersion}
	for _, v := range group.Versions {
		if v.GroupVersion != served[0] {
			served = append(served, v.GroupVersion)
		}
	}
	return served
}

func (k *kinds) get(ctx context.Context, into any, path ...string) error {
	ctx, cancel := k.limit(ctx)
	defer cancel()
	result := k.client.Get().AbsPath(path...).Do(ctx)
	if err := result.Error(); err != nil { // in the server's words, which Raw would not give
		return err
	}
	body, err := result.Raw()
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}

func groupPath(group string) string {
	if group == "" {
		return "/api"
	}
	return "/apis/" + group
}

// An unknownKindError says that neither the server nor the set defines a kind.
type unknownKindError struct {
	apiVersion, kind string
	served           []string // versions of the group that the server has
	kinds            []string // what the server has in apiVersion
}

func (e *unknownKindError) Error() string {
	group, _, _ := strings.Cut(e.apiVersion, "/")
	switch {
	case len(e.served) > 0 && !slices.Contains(e.served, e.apiVersion):
		return fmt.Sprintf("the cluster does not serve %s (write apiVersion: %s)", e.apiVersion, e.served[0])
	case len(e.kinds) > 0 && !strings.Contains(group, "."):
		return fmt.Sprintf("the cluster has no kind %s in %s (check apiVersion and kind)", e.kind, e.apiVersion)
	}
	return fmt.Sprintf("the cluster has no kind %s in %s (install its CustomResourceDefinition first, or put it into the same kustomization)", e.kind, e.apiVersion)
}

// A badVersionError says that an apiVersion is no group and version.
type badVersionError struct{ apiVersion string }

func (e *badVersionError) Error() string {
	return fmt.Sprintf("apiVersion %q is no API version (want one like apps/v1)", e.apiVersion)
}
