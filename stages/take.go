package stages

import (
	"context"
	"errors"
	"slices"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/pipeline"
)

var (
	_ pipeline.Taker = (*Build)(nil)
	_ pipeline.Taker = (*Copy)(nil)
	_ pipeline.Taker = (*Exec)(nil)
)

// Take takes the image that an earlier run pushed. One that was not pushed has to
// be built again if anything that runs needs it.
func (b *Build) Take(ctx context.Context, sc pipeline.Scope, held pipeline.Held) (pipeline.Action, bool, error) {
	if b.Push != nil {
		return b.Push.take(ctx, b.tools, sc, held)
	}
	act := pipeline.Action{Lazy: true, Builds: true, Outputs: map[string]pipeline.Value{
		"image":  pipeline.Promise(sc.Step, "image", pipeline.Image),
		"digest": pipeline.Promise(sc.Step, "digest", pipeline.String),
	}}
	act.Effects = []pipeline.Effect{b.effect(buildkit.Spec{Dockerfile: b.Dockerfile.Path, Inline: b.Dockerfile.Inline})}
	if key, ok := held.Outputs["key"].(string); ok {
		act.Outputs["key"] = pipeline.Known(key)
	}
	act.Do = func(ctx context.Context, env *pipeline.Env) error {
		again, err := b.Plan(ctx, env.Scope)
		if err != nil {
			return err
		}
		if key, ok := again.Outputs["key"]; ok && held.Outputs["key"] != nil && key.String() != held.Outputs["key"] {
			return pipeline.Stalef("the inputs are no longer those of release %s (check its commit out, or run without --from)", held.Release)
		}
		return again.Do(ctx, env)
	}
	return act, true, nil
}

// Take takes the image that an earlier run copied, and copies on from there where
// it belongs elsewhere now.
func (c *Copy) Take(ctx context.Context, sc pipeline.Scope, held pipeline.Held) (pipeline.Action, bool, error) {
	return c.To.take(ctx, c.tools, sc, held)
}

// Take does not run again in the builder what has ended well for the same images.
// A cluster is not the one that it ran in.
func (e *Exec) Take(context.Context, pipeline.Scope, pipeline.Held) (pipeline.Action, bool, error) {
	return pipeline.Action{}, e.In != inCluster, nil
}

// take plans with the image that an earlier run put into a repository. If that
// is the one where it belongs, it gets the tags that it had not; those it had are
// not moved back to it. Another repository gets a copy.
func (t Target) take(ctx context.Context, tools Tools, sc pipeline.Scope, held pipeline.Held) (pipeline.Action, bool, error) {
	var act pipeline.Action
	tags := t.names(sc)
	g := &goal{repository: t.Repository, tags: tags, missing: tags}
	g.key, _ = held.Outputs["key"].(string)
	if held.Release == "" { // nothing is there to take: all of it is promised
		g.promise(sc.Step, &act)
		act.Notes = []string{"taken, not built"}
		return act, true, nil
	}
	ref, ok := held.Image()
	if !ok || ref.Repository == "" {
		return act, false, nil
	}
	if there, err := g.lookup(ctx, tools.Registry, ref.Repository+"@"+ref.Digest, &act); err != nil {
		return act, true, err
	} else if there.Digest == "" && len(act.Unchecked) == 0 {
		return act, true, pipeline.Stalef("release %s has %s@%s, which is no longer in the registry (run the pipeline again, so that it makes a new release)", held.Release, ref.Repository, ref.Digest)
	}
	g.there = image(ref)
	if ref.Repository == t.Repository {
		g.missing = slices.DeleteFunc(slices.Clone(tags), func(tag string) bool { return slices.Contains(ref.Tags, tag) })
	} else {
		act.Effects = append(act.Effects, pipeline.Effect{Verb: "copy", Object: t.Repository, Detail: "from " + ref.Repository})
	}
	if err := g.without(ctx, tools.Registry, &act); err != nil {
		return act, true, err
	}
	act.Notes = []string{buildkit.Short(ref.Digest) + " of release " + held.Release}
	for _, tag := range g.missing {
		act.Effects = append(act.Effects, pipeline.Effect{Verb: "tag", Object: t.Repository + ":" + tag})
	}
	if len(act.Effects) > 0 {
		act.Do = func(ctx context.Context, env *pipeline.Env) error {
			put := slices.Clone(g.missing)
			if ref.Repository != t.Repository && g.key != "" {
				put = append(put, buildkit.KeyTag(g.key))
			}
			_, err := tools.Copier.Copy(ctx, image(ref), t.Repository, put, progress(env))
			return err
		}
	}
	g.there.Repository, g.there.Tags = t.Repository, tags
	g.promise(sc.Step, &act)
	return act, true, nil
}

// without takes from g.missing the tags that stand for the image already, and
// from act the copy if the repository has the image.
func (g *goal) without(ctx context.Context, r Registry, act *pipeline.Action) error {
	if len(act.Effects) > 0 {
		there, err := g.lookup(ctx, r, g.repository+"@"+g.there.Digest, act)
		if err != nil {
			return err
		}
		if there.Digest != "" {
			act.Effects = nil
		}
	}
	var missing []string
	for _, tag := range g.missing {
		at, err := g.resolve(ctx, r, tag, act)
		if err != nil {
			return err
		}
		if at.Digest != g.there.Digest {
			missing = append(missing, tag)
		}
	}
	g.missing = missing
	return nil
}

// lookup finds what ref names. It returns the zero Image when there is nothing,
// or when the registry did not say.
func (g *goal) lookup(ctx context.Context, r Registry, ref string, act *pipeline.Action) (buildkit.Image, error) {
	img, err := r.Resolve(ctx, ref)
	var refused *buildkit.RegistryError
	switch {
	case errors.Is(err, buildkit.ErrNotFound):
		return buildkit.Image{}, nil
	case errors.As(err, &refused):
		if len(act.Unchecked) == 0 {
			act.Unchecked = append(act.Unchecked, err)
		}
		return buildkit.Image{}, nil
	}
	return img, err
}
