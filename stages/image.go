package stages

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/pipeline"
)

// keyOf returns the input key of the image that v is, if it is known: if one
// stage gives the image, and nothing but that. Of an expression that chooses
// between images, no key is known while they are promised.
func keyOf(sc pipeline.Scope, v pipeline.Value) string {
	refs := v.Refs()
	if len(refs) != 1 || refs[0].Output != "image" || v.Type() != pipeline.Image && v.Type() != pipeline.Pushed {
		return ""
	}
	built := refs[0]
	built.Output = "key"
	key, err := sc.Output(built)
	if err != nil {
		return ""
	}
	return fmt.Sprint(key)
}

// literal returns the image that v names by its reference, as the registry has
// it now. A registry that does not answer becomes act.Unchecked.
func literal(ctx context.Context, r Registry, sc pipeline.Scope, v pipeline.Value, act *pipeline.Action) (pipeline.ImageRef, error) {
	ref, err := v.Text(sc)
	if err != nil {
		return pipeline.ImageRef{}, &pipeline.Error{Pos: v.Pos, Code: "bad-value", Err: err}
	}
	img, err := r.Resolve(ctx, ref)
	var refused *buildkit.RegistryError
	switch {
	case errors.As(err, &refused):
		act.Unchecked = append(act.Unchecked, &pipeline.Error{Pos: v.Pos, Code: "registry", Stage: sc.Step, Err: err})
		return pipeline.ImageRef{}, nil
	case err != nil:
		return pipeline.ImageRef{}, &pipeline.Error{Pos: v.Pos, Code: "no-image", Err: fmt.Errorf("%s: %w (want a reference such as repository:tag, or ${{ stages.NAME.image }})", ref, err)}
	}
	return reference(img), nil
}

// settled returns v, or, if it is the reference of an image, that image.
func settled(ctx context.Context, r Registry, sc pipeline.Scope, v pipeline.Value, act *pipeline.Action) (pipeline.Value, error) {
	if got, err := v.Eval(sc); err != nil || pipeline.TypeOf(got) != pipeline.String {
		return v, nil // a promise, or an image already
	}
	img, err := literal(ctx, r, sc, v, act)
	return pipeline.Known(img), err
}

// within returns path as seen from dir, unless it is absolute.
func within(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

func reference(img buildkit.Image) pipeline.ImageRef {
	return pipeline.ImageRef{Digest: img.Digest, Repository: img.Repository, Tags: img.Tags}
}

func image(ref pipeline.ImageRef) buildkit.Image {
	return buildkit.Image{Digest: ref.Digest, Repository: ref.Repository, Tags: ref.Tags}
}
