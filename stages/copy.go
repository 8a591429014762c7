package stages

import (
	"context"
	"strings"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/pipeline"
)

// Copy is the kind "copy": an image goes into a repository, by digest, from the
// builder or from another repository.
type Copy struct {
	Image pipeline.Value `yaml:"image,required,image" doc:"The image to copy: of a stage, or a reference."`
	To    Target         `yaml:"to,required" doc:"Where the image goes."`

	tools Tools
}

// Outputs implements [pipeline.Outputter].
func (c *Copy) Outputs() map[string]pipeline.Type { return c.To.outputs() }

// Check implements [pipeline.Checker].
func (c *Copy) Check() []error { return c.To.check("to") }

// Plan finds out whether the repository holds the image already.
func (c *Copy) Plan(ctx context.Context, sc pipeline.Scope) (pipeline.Action, error) {
	var act pipeline.Action
	var err error
	key := keyOf(sc, c.Image)
	if c.Image, err = settled(ctx, c.tools.Registry, sc, c.Image, &act); err != nil {
		return act, err
	}
	if img, err := c.Image.Image(sc); err == nil && key == "" { // of an image from elsewhere, its digest is the key
		_, key, _ = strings.Cut(img.Digest, ":")
	}
	g, err := c.To.look(ctx, c.tools.Registry, sc, key, &act)
	if err != nil {
		return act, err
	}
	g.promise(sc.Step, &act)
	act.Effects = g.effects()
	if g.there.Digest != "" {
		act.Notes = append(act.Notes, "reuse: "+g.repository+" holds "+buildkit.Short(g.there.Digest))
		if len(g.missing) == 0 {
			return act, nil
		}
	}
	act.Builds = g.there.Digest == "" && c.Image.Type() == pipeline.Image && c.Image.Expr() != nil // the builder has it
	act.Do = func(ctx context.Context, env *pipeline.Env) error {
		img := g.there
		if img.Digest == "" {
			ref, err := c.Image.Image(env.Scope)
			if err != nil {
				return err
			}
			img = image(ref)
		}
		_, err := g.bring(ctx, env, c.tools, img)
		return err
	}
	return act, nil
}
