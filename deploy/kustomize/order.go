package kustomize

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/resid"

	"github.com/slipway-ci/slipway/deploy"
)

// An order is that in which kustomize prints objects: by kind, namespace and name.
type order map[resid.Gvk]int

// A placed object is one that was rendered, with what its place in the order depends on.
type placed struct {
	kind  resid.Gvk
	place string // namespace and name
	body  map[string]any
}

// place keeps of an object that kustomize rendered what is needed.
func place(r *resource.Resource) (placed, error) {
	body, err := bodyOf(r)
	return placed{kindOf(r), cmp.Or(r.GetNamespace(), "~X") + "|" + r.GetName(), body}, err
}

// orderOf asks kustomize for the order of the kinds that there are, by rendering one
// object of each.
func orderOf(parts [][]placed) (order, error) {
	ranks := order{}
	var stubs strings.Builder
	for _, p := range parts {
		for _, o := range p {
			if _, ok := ranks[o.kind]; !ok {
				ranks[o.kind] = len(ranks)
				fmt.Fprintf(&stubs, "---\n{apiVersion: %q, kind: %q, metadata: {name: x}}\n", o.kind.ApiVersion(), o.kind.Kind)
			}
		}
	}
	files := filesys.MakeFsInMemory()
	if err := errors.Join(files.WriteFile("/kustomization.yaml", []byte("resources: [stubs.yaml]")), files.WriteFile("/stubs.yaml", []byte(stubs.String()))); err != nil {
		return nil, err
	}
	sorted, err := build(files, "/")
	if err != nil {
		return nil, err
	}
	for n, r := range sorted {
		ranks[kindOf(r)] = n
	}
	return ranks, nil
}

func (o order) compare(a, b placed) int {
	return cmp.Or(cmp.Compare(o[a.kind], o[b.kind]), strings.Compare(a.place, b.place))
}

// merged returns all objects of parts that kustomize has sorted, in its order.
func merged(parts [][]placed) ([]deploy.Object, error) {
	o, err := orderOf(parts)
	if err != nil {
		return nil, err
	}
	for _, p := range parts {
		if !slices.IsSortedFunc(p, o.compare) {
			return nil, errors.New("kustomize has another order")
		}
	}
	all := slices.Concat(parts...)
	slices.SortFunc(all, o.compare)
	objs := make([]deploy.Object, len(all))
	for n, p := range all {
		objs[n].Body = p.body
	}
	return objs, nil
}

// kindOf returns the kind of an object, without what kustomize knows of it.
func kindOf(r *resource.Resource) resid.Gvk {
	gvk := r.GetGvk()
	return resid.NewGvk(gvk.Group, gvk.Version, gvk.Kind)
}
