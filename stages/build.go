package stages

import (
	"context"
	"errors"
	"path/filepath"
	"strings"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/pipeline"
)

// Inputs finds out what a build depends on. It reads files and may ask a
// registry for the digests of base images; it changes nothing.
type Inputs interface {
	Inputs(ctx context.Context, spec buildkit.Spec) (buildkit.Inputs, error)
}

// A Builder builds images and holds them.
type Builder interface {
	// Build builds spec and leaves the image in the builder, nowhere else. It
	// may be called again after a failure.
	Build(ctx context.Context, spec buildkit.Spec, watch func(buildkit.Progress)) (buildkit.Image, error)
}

// Build is the kind "build". It promises the image and its digest, and with
// push: its repository, tags and reference.
type Build struct {
	Context    string                    `yaml:"context" doc:"The folder that is sent to the builder. Default: that of the pipeline file."`
	Include    []string                  `yaml:"include" doc:"What of the context is sent and hashed, as patterns. Default: all but .git and what .dockerignore names."`
	Dockerfile string                    `yaml:"dockerfile" doc:"Path of the Dockerfile within the context. Default: Dockerfile."`
	Target     string                    `yaml:"target" doc:"Stage of the Dockerfile to build. Default: the last."`
	Platforms  []string                  `yaml:"platforms" doc:"Such as linux/amd64 and linux/arm64. Default: the builder's own."`
	Args       map[string]string         `yaml:"args" doc:"Values of ARG in the Dockerfile. They end up in the image, so no secret may stand here."`
	Contexts   map[string]pipeline.Value `yaml:"contexts,image" doc:"Images by the name that FROM and COPY --from use for them."`
	Secrets    map[string]pipeline.Value `yaml:"secrets,secret" doc:"Secrets by id, for RUN --mount=type=secret,id=…. They don't end up in the image."`
	Push       *Target                   `yaml:"push" doc:"Where the image goes. What is there for the same inputs is not built again. Default: only other stages can use the image."`

	inputs   Inputs
	builder  Builder
	registry Registry
	copier   Copier
}

// Outputs implements [pipeline.Outputter].
func (b *Build) Outputs() map[string]pipeline.Type {
	if b.Push == nil {
		return map[string]pipeline.Type{"image": pipeline.Image, "digest": pipeline.String, "key": pipeline.String}
	}
	return b.Push.outputs()
}

// Check implements [pipeline.Checker].
func (b *Build) Check() []error {
	if b.Push == nil {
		return nil
	}
	return b.Push.check("push")
}

// Plan finds the input key, and with it the image that the repository may
// already hold. A build that is not pushed is lazy: others need it or nobody does.
func (b *Build) Plan(ctx context.Context, sc pipeline.Scope) (pipeline.Action, error) {
	act := pipeline.Action{Lazy: b.Push == nil}
	spec, key, err := b.spec(ctx, sc, &act)
	if err != nil {
		return act, err
	}
	what := b.effect()
	if b.Push == nil {
		act.Builds = true
		act.Effects = []pipeline.Effect{what}
		act.Outputs = map[string]pipeline.Value{
			"image":  pipeline.Promise(sc.Step, "image", pipeline.Image),
			"digest": pipeline.Promise(sc.Step, "digest", pipeline.String),
		}
		if key != "" {
			act.Outputs["key"] = pipeline.Known(key)
		}
		act.Do = func(ctx context.Context, env *pipeline.Env) error {
			_, err := b.build(ctx, env, spec)
			return err
		}
		return act, nil
	}
	g, err := b.Push.look(ctx, b.registry, key, &act)
	if err != nil {
		return act, err
	}
	g.promise(sc.Step, &act)
	if g.there.Digest != "" {
		act.Notes = append(act.Notes, "reuse: "+g.repository+" holds "+buildkit.Short(g.there.Digest)+" for these inputs")
		act.Effects = g.effects()
		if len(g.missing) > 0 {
			act.Do = func(ctx context.Context, env *pipeline.Env) error {
				_, err := b.copier.Copy(ctx, g.there, g.repository, g.missing, progress(env))
				return err
			}
		}
		return act, nil
	}
	act.Effects, act.Builds = append([]pipeline.Effect{what}, g.effects()...), true
	act.Do = func(ctx context.Context, env *pipeline.Env) error {
		img, err := b.build(ctx, env, spec)
		if err != nil {
			return err
		}
		if img, err = b.registry.Push(ctx, img, g.repository, g.all(), progress(env)); err != nil {
			return err
		}
		g.keep(env, img)
		return nil
	}
	return act, nil
}

// effect is the build itself.
func (b *Build) effect() pipeline.Effect {
	file := buildkit.Spec{Dockerfile: b.Dockerfile}.DockerfileName()
	return pipeline.Effect{Verb: "build", Object: filepath.ToSlash(filepath.Join(b.Context, file)), Detail: strings.Join(b.Platforms, ", ")}
}

// spec returns what to build and the input key. The key is empty, and
// act.Unchecked says why, when a registry did not tell what a base is.
func (b *Build) spec(ctx context.Context, sc pipeline.Scope, act *pipeline.Action) (buildkit.Spec, string, error) {
	spec := buildkit.Spec{
		Context: within(sc.Dir, b.Context), Include: b.Include, Dockerfile: b.Dockerfile,
		Target: b.Target, Platforms: b.Platforms, Args: b.Args,
		Contexts: map[string]buildkit.Context{}, Secrets: map[string]string{},
	}
	known := true
	for name, v := range b.Contexts {
		c, err := b.named(ctx, sc, v, act)
		if err != nil {
			return spec, "", err
		}
		known = known && c.Key != ""
		spec.Contexts[name] = c
	}
	for id := range b.Secrets {
		spec.Secrets[id] = ""
	}
	if !known { // the stage that could not be checked says so itself
		return spec, "", nil
	}
	in, err := b.inputs.Inputs(ctx, spec)
	var refused *buildkit.RegistryError
	switch {
	case errors.As(err, &refused):
		act.Unchecked = append(act.Unchecked, err)
		return spec, "", nil
	case errors.Is(err, buildkit.ErrNoDockerfile) && b.Dockerfile != "":
		return spec, "", &pipeline.FieldError{Field: "dockerfile", Code: "no-dockerfile", Err: b.relative(sc, err)}
	case errors.Is(err, buildkit.ErrNoDockerfile):
		return spec, "", &pipeline.FieldError{Field: "context", Code: "no-dockerfile", Err: b.relative(sc, err)}
	case errors.Is(err, buildkit.ErrNoContext):
		return spec, "", &pipeline.FieldError{Field: "context", Code: "no-context", Err: b.relative(sc, err)}
	case err != nil:
		return spec, "", b.located(sc, err)
	}
	spec.Bases = in.Bases
	return spec, in.Key, nil
}

// located gives a fault in the Dockerfile its place in that file, which says
// more than the place of the stage.
func (b *Build) located(sc pipeline.Scope, err error) error {
	var solve *buildkit.SolveError
	if !errors.As(err, &solve) || solve.Line == 0 {
		return err
	}
	file := filepath.Join(within(filepath.Dir(sc.File), b.Context), solve.File)
	return &pipeline.Error{Pos: pipeline.Pos{File: file, Line: solve.Line, Col: 1}, Code: "build-failed", Err: err}
}

// relative returns err with the context as the user wrote it.
func (b *Build) relative(sc pipeline.Scope, err error) error {
	written := filepath.ToSlash(filepath.Clean(b.Context))
	if written != "." && !strings.HasPrefix(written, "..") && !filepath.IsAbs(b.Context) {
		written = "./" + written
	}
	return errors.New(strings.ReplaceAll(err.Error(), within(sc.Dir, b.Context), written))
}

// named returns the named context that v is. While planning, an image that
// another stage builds is known by its input key.
func (b *Build) named(ctx context.Context, sc pipeline.Scope, v pipeline.Value, act *pipeline.Action) (buildkit.Context, error) {
	c := buildkit.Context{Key: keyOf(sc, v)}
	if c.Key != "" || len(v.Refs()) > 0 {
		return c, nil
	}
	img, err := literal(ctx, b.registry, sc, v, act)
	return buildkit.Context{Key: img.Digest, Image: image(img)}, err
}

// build builds spec with what was promised while planning.
func (b *Build) build(ctx context.Context, env *pipeline.Env, spec buildkit.Spec) (buildkit.Image, error) {
	contexts := map[string]buildkit.Context{}
	for name, c := range spec.Contexts {
		if c.Image.Digest == "" {
			ref, err := b.Contexts[name].Image(env.Scope)
			if err != nil {
				return buildkit.Image{}, err
			}
			c.Image = image(ref)
		}
		contexts[name] = c
	}
	spec.Contexts = contexts
	secrets := map[string]string{}
	for id, v := range b.Secrets {
		text, err := v.Text(env.Scope)
		if err != nil {
			return buildkit.Image{}, err
		}
		secrets[id] = text
	}
	spec.Secrets = secrets
	img, err := b.builder.Build(ctx, spec, progress(env))
	if err != nil {
		return img, b.located(env.Scope, err)
	}
	if b.Push == nil {
		env.Keep("image", reference(img))
		env.Keep("digest", img.Digest)
	}
	return img, nil
}
