package stages

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/slipway-ci/slipway/pipeline"
)

// Render is the kind "render": manifests with the digests of images, in a file.
// It is for those who hand them to another tool, such as a GitOps repository.
type Render struct {
	Manifests `yaml:",inline"`
	To        string `yaml:"to,required"` // the file, relative to the pipeline file

	renderer Renderer
}

// Plan renders, and compares with the file that is there.
func (r *Render) Plan(ctx context.Context, sc pipeline.Scope) (pipeline.Action, error) {
	objs, err := r.render(ctx, r.renderer, sc)
	if err != nil {
		return pipeline.Action{}, err
	}
	act := pipeline.Action{Uses: repositories(objs)}
	origins := r.origins(sc, objs)
	preview, _, err := pin(sc, objs, origins)
	if err != nil {
		return act, err
	}
	act.Preview = func() ([]byte, error) { return r.renderer.Encode(preview) }
	text, err := act.Preview()
	if err != nil {
		return act, err
	}
	file := filepath.Join(sc.Dir, r.To)
	have, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return act, &pipeline.FieldError{Field: "to", Code: "unreadable", Err: err}
	}
	if err == nil && bytes.Equal(have, text) {
		act.Notes = []string{r.To + " is as it should be"}
		return act, nil
	}
	act.Effects = []pipeline.Effect{{Verb: "write", Object: r.To}}
	act.Do = func(_ context.Context, env *pipeline.Env) error {
		pinned, _, err := pin(env.Scope, objs, origins)
		if err != nil {
			return err
		}
		text, err := r.renderer.Encode(pinned)
		if err != nil {
			return err
		}
		return replace(file, text)
	}
	return act, nil
}

// replace writes a file whole or not at all: under another name first. A link
// is replaced, not followed.
func replace(file string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".slipway-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(text)
	if err := errors.Join(err, tmp.Chmod(0o644), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), file)
}
