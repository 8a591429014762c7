package stagestest

import (
	"context"
	"errors"
	"slices"

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
