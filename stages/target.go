package stages

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/pipeline"
)

// A Registry finds images and takes them from the builder.
type Registry interface {
	// Resolve returns the image that ref names. Its error wraps
	// [buildkit.ErrNotFound] when there is none, and is a
	// [buildkit.RegistryError] when the registry did not say. It changes nothing.
	Resolve(ctx context.Context, ref string) (buildkit.Image, error)
	// Push puts an image that the builder holds into repository under tags. It
	// may be called again after a failure: what is there is not sent again.
	Push(ctx context.Context, img buildkit.Image, repository string, tags []string, watch func(buildkit.Progress)) (buildkit.Image, error)
}

// A Copier puts an image that lies in one repository into another, or under
// further tags of the same.
type Copier interface {
	Copy(ctx context.Context, img buildkit.Image, repository string, tags []string, watch func(buildkit.Progress)) (buildkit.Image, error)
}

// A Target is where an image goes: push: of a build, to: of a copy.
type Target struct {
	Repository string `yaml:"repository,required,short" doc:"Such as ghcr.io/acme/web, without a tag."`
	Tags       []Tag  `yaml:"tags" doc:"Names that people use for the image. Empty ones are left out."`
	Immutable  bool   `yaml:"immutable" doc:"A tag that stands for another image is an error, and not moved."`
}

// A Tag is a name for an image, perhaps only under a condition.
type Tag struct {
	Tag string         `yaml:"tag,required,short" doc:"The tag; ${{ git.slug }} makes one of a branch."`
	If  pipeline.Value `yaml:"if,if" doc:"The image gets the tag only if this expression is true."`
}

// repositoryPattern is what a repository looks like.
//
// See https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests.
var repositoryPattern = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^([a-zA-Z0-9.-]+(:[0-9]+)?|\[[0-9a-fA-F:]+\](:[0-9]+)?)(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)+$`)
})

// check finds what is wrong with t; field is where it stands in the body.
func (t Target) check(field string) []error {
	var errs []error
	if !written(t.Repository) && !repositoryPattern().MatchString(t.Repository) {
		errs = append(errs, badRepository(field+".repository", t.Repository))
	}
	for i, tag := range t.Tags {
		if !written(tag.Tag) && tag.Tag != "" && !buildkit.IsTag(tag.Tag) {
			errs = append(errs, &pipeline.FieldError{
				Field: fmt.Sprintf("%s.tags[%d]", field, i), Code: "bad-reference",
				Err: fmt.Errorf("%q is no tag (want letters, digits, _ . and -; ${{ git.slug }} makes one of a branch)", tag.Tag),
			})
		}
	}
	return errs
}

// IsRepository reports whether text is the name of a repository, without a tag.
func IsRepository(text string) bool { return repositoryPattern().MatchString(text) }

func badRepository(field, text string) error {
	return &pipeline.FieldError{
		Field: field, Code: "bad-reference",
		Err: fmt.Errorf("%q is no repository (want one such as ghcr.io/acme/web, without a tag)", text),
	}
}

// written reports whether text has an expression that is still to be evaluated.
func written(text string) bool { return strings.Contains(text, "${{") }

// names returns the tags, without empty ones and each once. Those whose condition
// is false are not in t: the decoder leaves them out. One that names the commit
// would lie of a tree with changes that no commit holds: it gets "-dirty".
func (t Target) names(sc pipeline.Scope) []string {
	var names []string
	for _, tag := range t.Tags {
		if name := honest(sc, tag.Tag); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// outputs are what a stage promises whose image is in a repository.
func (t Target) outputs() map[string]pipeline.Type {
	return map[string]pipeline.Type{
		"image": pipeline.Pushed, "digest": pipeline.String, "key": pipeline.String,
		"repository": pipeline.String, "tags": pipeline.List, "ref": pipeline.String,
	}
}

// A goal is a Target in one scope: what should be there, and what is.
type goal struct {
	repository string
	immutable  bool
	dated      bool // the repository has to say when the image was built
	tags       []string
	key        string         // of the image that should be there; empty while unknown
	there      buildkit.Image // what the repository holds for the key; zero if nothing
	missing    []string       // tags that don't point there yet
}

// look finds out what the repository holds for key. A registry that does not
// answer becomes act.Unchecked, and the goal is planned as if nothing was there.
func (t Target) look(ctx context.Context, r Registry, sc pipeline.Scope, key string, act *pipeline.Action) (*goal, error) {
	g := &goal{repository: t.Repository, immutable: t.Immutable, key: key, tags: t.names(sc)}
	g.missing = g.tags
	if key == "" {
		return g, nil
	}
	img, err := g.resolve(ctx, r, buildkit.KeyTag(key), act)
	if err != nil || img.Digest == "" {
		return g, err
	}
	g.there, g.missing = img, nil
	for _, tag := range g.tags {
		at, err := g.resolve(ctx, r, tag, act)
		if err != nil {
			return nil, err
		}
		if at.Digest == img.Digest {
			continue
		}
		if t.Immutable && at.Digest != "" {
			return nil, &buildkit.HeldError{Ref: g.repository + ":" + tag, Digest: at.Digest}
		}
		g.missing = append(g.missing, tag)
	}
	g.there.Tags = g.tags
	return g, nil
}

// resolve looks a tag up. It returns the zero Image when there is none, or when
// the registry did not say.
func (g *goal) resolve(ctx context.Context, r Registry, tag string, act *pipeline.Action) (buildkit.Image, error) {
	return g.lookup(ctx, r, g.repository+":"+tag, act)
}

// effects are the changes that reach the goal.
func (g *goal) effects() []pipeline.Effect {
	var effects []pipeline.Effect
	if g.there.Digest == "" {
		effects = append(effects, pipeline.Effect{Verb: "push", Object: g.repository})
	}
	for _, tag := range g.missing {
		effects = append(effects, pipeline.Effect{Verb: "tag", Object: g.repository + ":" + tag})
	}
	return effects
}

// promise puts into act what the image will be, or is.
func (g *goal) promise(step pipeline.ID, act *pipeline.Action) {
	act.Outputs = map[string]pipeline.Value{
		"repository": pipeline.Known(g.repository),
		"tags":       pipeline.Known(list(g.tags)),
	}
	if g.key != "" {
		act.Outputs["key"] = pipeline.Known(g.key)
	}
	if g.there.Digest == "" {
		act.Outputs["image"] = pipeline.Promise(step, "image", pipeline.Pushed)
		act.Outputs["digest"] = pipeline.Promise(step, "digest", pipeline.String)
		act.Outputs["ref"] = pipeline.Promise(step, "ref", pipeline.String)
		return
	}
	act.Outputs["image"] = pipeline.Known(reference(g.there))
	act.Outputs["digest"] = pipeline.Known(g.there.Digest)
	act.Outputs["ref"] = pipeline.Known(g.there.Ref())
}

// all returns every tag that the image gets, the one of its key last: what it
// names is complete.
func (g *goal) all() []string {
	if g.key == "" {
		return g.tags
	}
	return append(slices.Clone(g.tags), buildkit.KeyTag(g.key))
}

// bring brings an image to where it should be: from the builder, or from another
// repository. What is there already only gets the tags that it misses.
func (g *goal) bring(ctx context.Context, env *pipeline.Env, t Tools, img buildkit.Image) (buildkit.Image, error) {
	tags, put := g.all(), t.Registry.Push
	if img.Repository != "" {
		put = t.Copier.Copy
	}
	if g.there.Digest != "" {
		if tags = g.missing; len(tags) == 0 {
			return g.there, nil
		}
	}
	if err := g.free(ctx, t.Registry, img); err != nil {
		return img, err
	}
	at, err := put(ctx, img, g.repository, tags, progress(env))
	if err != nil {
		return img, err
	}
	if g.there.Digest != "" {
		return g.there, nil
	}
	if g.dated {
		if err := t.Dater.Date(ctx, at, g.key); err != nil {
			return at, err
		}
	}
	g.keep(env, at)
	return at, nil
}

// free makes sure that no tag which may not be moved would be.
func (g *goal) free(ctx context.Context, r Registry, img buildkit.Image) error {
	if !g.immutable {
		return nil
	}
	for _, tag := range g.missing {
		ref := g.repository + ":" + tag
		at, err := r.Resolve(ctx, ref)
		if errors.Is(err, buildkit.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if at.Digest != img.Digest {
			return &buildkit.HeldError{Ref: ref, Digest: at.Digest}
		}
	}
	return nil
}

// keep keeps the promises of an image that is in its repository now.
func (g *goal) keep(env *pipeline.Env, img buildkit.Image) {
	img.Repository, img.Tags = g.repository, g.tags
	env.Keep("image", reference(img))
	env.Keep("digest", img.Digest)
	env.Keep("ref", img.Ref())
}

func list(words []string) []any {
	l := make([]any, len(words))
	for i, w := range words {
		l[i] = w
	}
	return l
}
