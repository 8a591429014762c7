package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	utiljson "k8s.io/apimachinery/pkg/util/json"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-ci/slipway/deploy"
)

// item is one object on its way: as it should be, how the server serves it, and as it is.
type item struct {
	object deploy.Object // complete: with namespace and marks; Body is ours
	kind   kind
	member bool           // of the ApplySet
	awaits bool           // objects that it may need are to be made before it
	fresh  bool           // its namespace or its kind is not there yet: it cannot be read or dry-run
	turn   int            // when it is applied; see [deploy.Turns]
	set    *deploy.Set    // whose member it is; nil: nobody's
	needs  []*item        // to be ready before it is applied
	scaled bool           // an autoscaler of the set says how many replicas it has
	forced bool           // a dry-run takes fields from whoever has them: it only tells
	live   map[string]any // nil: there is none
}

// address is what makes an object that one and no other.
type address struct{ group, kind, namespace, name string }

func addressOf(o deploy.Object) address {
	return address{o.Group(), o.Kind(), o.Namespace(), o.Name()}
}

// desired returns the objects of a set as they should be in the cluster, in order.
func (c *Cluster) desired(ctx context.Context, set deploy.Set) ([]*item, error) {
	known, err := c.kindsOf(ctx, set)
	if err != nil {
		return nil, err
	}
	labels := marks(set)
	seen := map[address]bool{}
	var items []*item
	var errs []error
	for _, o := range set.Objects {
		it, err := complete(o, set, known[kindRef{o.APIVersion(), o.Kind()}], labels)
		if err == nil && seen[addressOf(it.object)] {
			err = errors.New("stands twice in the set (every object once)")
		}
		if err != nil {
			errs = append(errs, &deploy.ObjectError{Object: o, Err: err})
			continue
		}
		seen[addressOf(it.object)] = true
		it.set = &set
		items = append(items, it)
	}
	slices.SortStableFunc(items, func(a, b *item) int { return deploy.Compare(a.object, b.object) })
	return items, errors.Join(append(errs, arrange(items)...)...)
}

// arrange finds when each item is applied, and what it waits for.
func arrange(items []*item) []error {
	objs := make([]deploy.Object, len(items))
	for i, it := range items {
		objs[i] = it.object
	}
	turns, needs, errs := deploy.Turns(objs)
	scaled := deploy.Autoscaled(objs)
	for i, it := range items {
		it.turn, it.scaled = turns[i], scaled[it.object.String()]
		for _, n := range needs[i] {
			it.needs = append(it.needs, items[n])
		}
	}
	return errs
}

// leaveReplicas gives an item that an autoscaler scales the replicas that it
// has. Leaving them out would not do: those that we, or a client-side apply, once
// set would go back to 1.
func (it *item) leaveReplicas() {
	live := (deploy.Object{Body: it.live}).Field("spec", "replicas")
	spec, ok := it.object.Body["spec"].(map[string]any)
	if !it.scaled || live == nil || !ok {
		return
	}
	owned := ownedFields(it.live, it.object.APIVersion())
	if ours, err := it.inherit(); err == nil && ours != nil {
		owned = ours.owned
	}
	fields, _ := deploy.Object{Body: owned}.Field("f:spec").(map[string]any)
	_, ours := fields["f:replicas"]
	if _, wanted := spec["replicas"]; wanted || ours {
		spec["replicas"] = live
	}
}

type kindRef struct{ apiVersion, kind string }

type resolved struct {
	kind
	err   error
	fresh bool // defined by the set, and not yet in the cluster
}

// kindsOf finds how each kind of a set is served. A kind that a
// CustomResourceDefinition of the set itself defines counts as known.
func (c *Cluster) kindsOf(ctx context.Context, set deploy.Set) (map[kindRef]resolved, error) {
	conn, err := c.connected(ctx)
	if err != nil {
		return nil, err
	}
	defined := definitions(set.Objects)
	var refs []kindRef
	versions := map[string]bool{}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(c.parallel())
	for _, o := range set.Objects {
		ref := kindRef{o.APIVersion(), o.Kind()}
		if slices.Contains(refs, ref) {
			continue
		}
		refs = append(refs, ref)
		if !versions[ref.apiVersion] { // warm the cache, once for each version
			versions[ref.apiVersion] = true
			group.Go(func() error {
				_, err := conn.kinds.lookup(groupCtx, ref.apiVersion, ref.kind)
				var unknown *unknownKindError
				var bad *badVersionError
				if errors.As(err, &unknown) || errors.As(err, &bad) {
					return nil
				}
				return c.failed(ctx, "look up "+ref.apiVersion, err)
			})
		}
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	known := map[kindRef]resolved{}
	for _, ref := range refs {
		found, err := conn.kinds.lookup(ctx, ref.apiVersion, ref.kind)
		fresh := false
		if own, ok := defined[ref]; ok && err != nil {
			found, fresh, err = own, true, nil
		}
		known[ref] = resolved{kind: found, err: err, fresh: fresh}
	}
	return known, nil
}

// complete returns o as it is to be applied: with its namespace and marks, and
// without what only a server writes.
func complete(o deploy.Object, set deploy.Set, known resolved, labels map[string]string) (*item, error) {
	if known.err != nil {
		return nil, known.err
	}
	body, err := normal(o.Body)
	if err != nil {
		return nil, err
	}
	metadata, _ := body["metadata"].(map[string]any)
	if metadata == nil || o.Name() == "" {
		return nil, errors.New("has no metadata.name (give it one: what is generated cannot be applied again)")
	}
	for _, field := range []string{"creationTimestamp", "managedFields", "resourceVersion", "uid", "generation", "selfLink"} {
		delete(metadata, field)
	}
	delete(body, "status")
	switch {
	case !known.namespaced:
		delete(metadata, "namespace")
	case o.Namespace() == "":
		metadata["namespace"] = set.Namespace
	}
	marked, _ := metadata["labels"].(map[string]any)
	if marked == nil {
		marked = map[string]any{}
		metadata["labels"] = marked
	}
	for label, value := range labels {
		marked[label] = value
	}
	if (o.Kind() == "Secret" || o.Kind() == "ConfigMap") && o.Group() == "" {
		if err := onlyTexts(body, "data", "stringData"); err != nil {
			return nil, err
		}
	}
	if o.Kind() == "Secret" && o.Group() == "" {
		encodeStringData(body)
	}
	return &item{object: deploy.Object{Body: body, File: o.File, Line: o.Line, Source: o.Source}, kind: known.kind, member: true, fresh: known.fresh}, nil
}

// normal returns a copy of body that holds only what JSON has, integers as int64.
func normal(body map[string]any) (map[string]any, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("is not JSON: %w", err)
	}
	var copied map[string]any
	if err := utiljson.Unmarshal(text, &copied); err != nil {
		return nil, fmt.Errorf("is not JSON: %w", err)
	}
	dropNullTimes(copied)
	return copied, nil
}

// dropNullTimes removes "creationTimestamp: null" below metadata, which
// generators of YAML write and no server keeps.
func dropNullTimes(v any) {
	switch v := v.(type) {
	case map[string]any:
		if metadata, ok := v["metadata"].(map[string]any); ok {
			if at, ok := metadata["creationTimestamp"]; ok && at == nil {
				delete(metadata, "creationTimestamp")
			}
		}
		for _, e := range v {
			dropNullTimes(e)
		}
	case []any:
		for _, e := range v {
			dropNullTimes(e)
		}
	}
}

// definitions returns the kinds that CustomResourceDefinitions among objs define.
func definitions(objs []deploy.Object) map[kindRef]kind {
	defined := map[kindRef]kind{}
	for _, o := range objs {
		if !definesKind(o) {
			continue
		}
		group, _ := o.Field("spec", "group").(string)
		name, _ := o.Field("spec", "names", "kind").(string)
		plural, _ := o.Field("spec", "names", "plural").(string)
		versions, _ := o.Field("spec", "versions").([]any)
		for _, v := range versions {
			v, _ := v.(map[string]any)
			version, _ := v["name"].(string)
			served := kind{namespaced: o.Field("spec", "scope") == "Namespaced"}
			served.resource.Group, served.resource.Version, served.resource.Resource = group, version, plural
			defined[kindRef{group + "/" + version, name}] = served
		}
	}
	return defined
}

// definesKind reports whether o is a CustomResourceDefinition.
func definesKind(o deploy.Object) bool {
	return o.Kind() == "CustomResourceDefinition" && o.Group() == "apiextensions.k8s.io"
}
