package stagestest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/deploy"
)

// Validate implements [stages.Validator]: it refuses objects without a name.
func (w *World) Validate(_ context.Context, objs []deploy.Object, _ string) []error {
	var errs []error
	for _, o := range slices.DeleteFunc(slices.Clone(objs), func(o deploy.Object) bool { return o.Name() != "" }) {
		errs = append(errs, &deploy.FieldError{Object: o, Path: deploy.Path{"metadata", "name"}, Code: "bad-field", Err: errors.New("has no name")})
	}
	return errs
}

// Patch implements [stages.Renderer], for operations that replace a field at the top of spec.
func (w *World) Patch(objs []deploy.Object, patches []deploy.Patch) ([]deploy.Object, error) {
	objs = slices.Clone(objs)
	for n, p := range patches {
		found := false
		for i, o := range objs {
			if o.Kind() != p.Target.Kind {
				continue
			}
			found = true
			spec, _ := o.Field("spec").(map[string]any)
			objs[i].Body, spec = maps.Clone(o.Body), maps.Clone(spec)
			objs[i].Body["spec"] = spec
			for _, op := range p.Ops {
				op, _ := op.(map[string]any)
				spec[strings.TrimPrefix(fmt.Sprint(op["path"]), "/spec/")] = op["value"]
			}
		}
		if !found {
			return nil, &deploy.PatchError{Patch: n, Err: fmt.Errorf("no object is %s", p.Target)}
		}
	}
	return objs, nil
}
