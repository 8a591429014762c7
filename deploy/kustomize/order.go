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
)

// An order is that in which kustomize prints objects: by kind, namespace and name.
type order map[resid.Gvk]int

// orderOf asks kustomize for the order of the kinds that there are, by rendering one
// object of each.
func orderOf(parts [][]*resource.Resource) (order, error) {
	ranks := order{}
	var stubs strings.Builder
	for _, p := range parts {
		for _, r := range p {
			gvk := kindOf(r)
			if _, ok := ranks[gvk]; !ok {
				ranks[gvk] = len(ranks)
				fmt.Fprintf(&stubs, "---\n{apiVersion: %q, kind: %q, metadata: {name: x}}\n", gvk.ApiVersion(), gvk.Kind)
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

func (o order) compare(a, b *resource.Resource) int {
	place := func(r *resource.Resource) string {
		return cmp.Or(r.GetNamespace(), "~X") + "|" + r.GetName()
	}
	return cmp.Or(cmp.Compare(o[kindOf(a)], o[kindOf(b)]), strings.Compare(place(a), place(b)))
}

// merged returns all objects of parts that kustomize has sorted, in its order.
func merged(parts [][]*resource.Resource) ([]*resource.Resource, error) {
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
	return all, nil
}

// kindOf returns the kind of an object, without what kustomize knows of it.
func kindOf(r *resource.Resource) resid.Gvk {
	gvk := r.GetGvk()
	return resid.NewGvk(gvk.Group, gvk.Version, gvk.Kind)
}
