package stages

import (
	"context"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/pipeline"
)

// A product is a build in one scope: what is built, where it should be, and what
// is there.
type product struct {
	*Build
	spec  buildkit.Spec
	key   string         // empty while unknown
	goal  *goal          // nil without push:
	found buildkit.Image // the image for these inputs; zero if there is none
	parts buildkit.Parts // of a build that has to be done; nil while unknown
	files []*output      // outputs that are not as they should be
}

// promise puts into act what the image will be, or is.
func (p *product) promise(step pipeline.ID, act *pipeline.Action) {
	if p.goal != nil {
		p.goal.promise(step, act)
		return
	}
	act.Outputs = map[string]pipeline.Value{
		"image":  pipeline.Promise(step, "image", pipeline.Image),
		"digest": pipeline.Promise(step, "digest", pipeline.String),
	}
	if p.found.Digest != "" {
		act.Outputs["image"], act.Outputs["digest"] = pipeline.Known(reference(p.found)), pipeline.Known(p.found.Digest)
	}
	if p.key != "" {
		act.Outputs["key"] = pipeline.Known(p.key)
	}
}

// do reaches the goal: it builds what was not found, and brings it where it
// should be.
func (p *product) do(ctx context.Context, env *pipeline.Env) error {
	img := p.found
	if img.Digest == "" {
		var err error
		if img, err = p.build(ctx, env); err != nil {
			return err
		}
		env.EndTurn() // a push waits for a registry, and no build for that
	}
	if p.goal != nil {
		at, err := p.goal.bring(ctx, env, p.tools, img)
		if err != nil {
			return err
		}
		img = at
	} else if p.found.Digest == "" {
		env.Keep("image", reference(img))
		env.Keep("digest", img.Digest)
	}
	for _, f := range p.files {
		if err := f.write(ctx, env, img); err != nil {
			return err
		}
	}
	if p.found.Digest == "" {
		p.remember(env)
	}
	return nil
}

// build builds with what was promised while planning.
func (p *product) build(ctx context.Context, env *pipeline.Env) (buildkit.Image, error) {
	spec := p.spec
	contexts := map[string]buildkit.Context{}
	for name, c := range spec.Contexts {
		if c.Image.Digest == "" && c.Folder == "" {
			ref, err := p.Contexts[name].Image(env.Scope)
			if err != nil {
				return buildkit.Image{}, err
			}
			c.Image = image(ref)
		}
		contexts[name] = c
	}
	spec.Contexts = contexts
	secrets := map[string]string{}
	for id, v := range p.Secrets {
		text, err := v.Text(env.Scope)
		if err != nil {
			return buildkit.Image{}, err
		}
		secrets[id] = text
	}
	spec.Secrets = secrets
	watch := progress(env)
	img, err := p.tools.Builder.Build(ctx, spec, func(pr buildkit.Progress) {
		if pr.Warning != nil {
			w := *pr.Warning
			w.File, pr.Warning = p.file(env.Scope, w.File), &w
		}
		watch(pr)
	})
	if err != nil {
		return img, p.located(env.Scope, err)
	}
	return img, nil
}
