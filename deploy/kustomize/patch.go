package kustomize

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"sigs.k8s.io/kustomize/api/filters/patchjson6902"
	"sigs.k8s.io/kustomize/api/provider"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/resid"

	"github.com/slipway-ci/slipway/deploy"
)

// Patch returns objs with patches applied, one after the other, as a
// kustomization's own patches are. A patch that matches nothing, or does not
// fit what it matches, is a *[deploy.PatchError].
func Patch(objs []deploy.Object, patches []deploy.Patch) (patched []deploy.Object, err error) {
	one.Lock()
	defer one.Unlock()
	at := 0
	defer func() {
		if broken := recover(); broken != nil {
			patched, err = nil, &deploy.PatchError{Patch: at, Err: fmt.Errorf("kustomize broke down: %v", broken)}
		}
	}()
	resources := provider.NewDefaultDepProvider().GetResourceFactory()
	set, place := resmap.New(), map[*resource.Resource]int{}
	for n, o := range objs {
		r, err := resources.FromMap(o.Body)
		if err != nil {
			return nil, &deploy.ObjectError{Object: o, Err: err}
		}
		if err := set.Append(r); err != nil {
			return nil, &deploy.ObjectError{Object: o, Err: err}
		}
		place[r] = n
	}
	patched = append(patched, objs...)
	for n, p := range patches {
		at = n
		found, err := set.Select(types.Selector{
			ResId:         resid.ResId{Gvk: resid.Gvk{Group: p.Target.Group, Version: p.Target.Version, Kind: p.Target.Kind}, Name: p.Target.Name, Namespace: p.Target.Namespace},
			LabelSelector: p.Target.LabelSelector,
		})
		if err == nil && len(found) == 0 {
			err = fmt.Errorf("no object is %s%s", p.Target, others(objs, p.Target))
		}
		for _, r := range found {
			if err == nil {
				err = apply(resources, r, p)
			}
			if err == nil {
				patched[place[r]].Body, err = body(r)
			}
			if err != nil {
				err = fmt.Errorf("%s: %w", patched[place[r]], err)
				break
			}
		}
		if err != nil {
			return nil, &deploy.PatchError{Patch: n, Err: err}
		}
	}
	return patched, nil
}

// others says what there is, where a target names a kind.
func others(objs []deploy.Object, t deploy.Target) string {
	var names []string
	for _, o := range objs {
		if t.Kind == "" || o.Kind() == t.Kind {
			names = append(names, o.Kind()+" "+o.Name())
		}
	}
	if len(names) == 0 {
		return fmt.Sprintf(" (there is no %s)", t.Kind)
	}
	if len(names) > 8 {
		names = append(names[:8], "…")
	}
	return " (there are " + strings.Join(names, ", ") + ")"
}

func apply(resources *resource.Factory, to *resource.Resource, p deploy.Patch) error {
	if p.Merge == nil {
		text, err := json.Marshal(p.Ops)
		if err != nil {
			return err
		}
		return plain(to.ApplyFilter(patchjson6902.Filter{Patch: string(text)}))
	}
	merge := map[string]any{"apiVersion": to.GetApiVersion(), "kind": to.GetKind()}
	for key, value := range p.Merge {
		merge[key] = value
	}
	metadata, _ := p.Merge["metadata"].(map[string]any)
	named := map[string]any{"name": to.GetName()}
	for key, value := range metadata {
		named[key] = value
	}
	merge["metadata"] = named
	r, err := resources.FromMap(merge)
	if err != nil {
		return err
	}
	return to.ApplySmPatch(r)
}

// misplaced is how the JSON patch library says that a path is not there.
var misplaced = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(add|remove|replace|move|copy|test) (?:operation|for path:?)[^/]*(/[^': ]*).*(?:missing|nonexistent|invalid index)`)
})

// plain says in a word what the JSON patch library says in many.
func plain(err error) error {
	if err == nil {
		return nil
	}
	words := strings.Join(strings.Fields(err.Error()), " ")
	if m := misplaced().FindStringSubmatch(words); m != nil {
		return fmt.Errorf("op: %s finds no %s (want a path of the rendered object; add makes its last part)", m[1], m[2])
	}
	return errors.New(words)
}

func body(r *resource.Resource) (map[string]any, error) {
	text, err := r.MarshalJSON()
	if err != nil {
		return nil, err
	}
	return decode(text)
}
