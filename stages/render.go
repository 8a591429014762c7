package stages

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/slipway-ci/slipway/pipeline"
)

// Render is the kind "render": manifests with the digests of images, in a file.
// It is for those who hand them to another tool, such as a GitOps repository.
type Render struct {
	Manifests `yaml:",inline"`
	To        string `yaml:"to,required" doc:"The file to write, relative to the pipeline file."`

	renderer  Renderer
	validator Validator
	registry  Registry
}

// Plan renders, and compares with the file that is there.
func (r *Render) Plan(ctx context.Context, sc pipeline.Scope) (pipeline.Action, error) {
	objs, err := r.render(ctx, r.renderer, sc)
	if err != nil {
		return pipeline.Action{}, err
	}
	act := pipeline.Action{Uses: repositories(objs)}
	if err := r.settle(ctx, r.registry, sc, &act); err != nil {
		return act, err
	}
	origins := r.origins(sc, objs)
	preview, _, err := pin(sc, objs, origins)
	if err != nil {
		return act, err
	}
	if err := validate(ctx, r.validator, preview, sc.Environment.Namespace); err != nil {
		return act, err
	}
	act.Preview = func() ([]byte, error) { return r.renderer.Encode(r.shown(preview)) }
	text, err := r.renderer.Encode(preview)
	if err != nil {
		return act, err
	}
	have, err := read(sc.Dir, r.To)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return act, &pipeline.FieldError{Field: "to", Code: "unreadable", Err: fmt.Errorf("%w (want a path below the pipeline file's folder)", err)}
	}
	if err == nil && bytes.Equal(have, text) {
		act.Notes = []string{r.To + " is as it should be"}
		return act, nil
	}
	act.Effects = []pipeline.Effect{{Verb: "write", Object: r.To}}
	if len(r.Secrets) > 0 {
		act.Notes = append(act.Notes, r.To+" holds secrets: it is readable by its owner alone, and should not be committed")
	}
	act.Do = func(_ context.Context, env *pipeline.Env) error {
		pinned, _, err := pin(env.Scope, objs, origins)
		if err != nil {
			return err
		}
		text, err := r.renderer.Encode(pinned)
		if err != nil {
			return err
		}
		return replace(sc.Dir, r.To, text, r.mode())
	}
	return act, nil
}

// mode returns the permissions of the file: others may not read secrets.
func (r *Render) mode() fs.FileMode {
	if len(r.Secrets) > 0 {
		return 0o600
	}
	return 0o644
}
