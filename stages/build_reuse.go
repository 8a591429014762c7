package stages

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/pipeline"
)

// A History remembers the inputs of the last build of each name. It is of this
// machine, and may forget.
type History interface {
	// Last returns the inputs of the last build, or nil.
	Last(name string) (buildkit.Parts, error)
	// Note makes Last return them.
	Note(name string, parts buildkit.Parts) error
}

// A Dater knows when images were built, which nothing inside of them says.
type Dater interface {
	// Built returns when the repository's image was last built for the key, or the
	// zero time if that is not known there. It changes nothing.
	Built(ctx context.Context, img buildkit.Image, key string) (time.Time, error)
	// Date notes in the image's repository that it was built now for the key.
	Date(ctx context.Context, img buildkit.Image, key string) error
}

// Reuse says where an image for the same inputs is looked for.
type Reuse struct {
	Allowed    *bool         `yaml:"allowed,short" doc:"Whether an image is reused at all. Default: true."`
	Repository string        `yaml:"repository" doc:"Where to look, besides push.repository. Nothing is written there."`
	MaxAge     time.Duration `yaml:"maxAge" doc:"Build anew what was built longer ago. Default: no matter when."`
}

func (r Reuse) check(field string) []error {
	if r.Repository != "" && !written(r.Repository) && !repositoryPattern().MatchString(r.Repository) {
		return []error{badRepository(field+".repository", r.Repository)}
	}
	return nil
}

func (r Reuse) allowed() bool { return r.Allowed == nil || *r.Allowed }

// look finds the image for the key: where it is pushed to, then where reuse says.
func (p *product) look(ctx context.Context, sc pipeline.Scope, act *pipeline.Action) error {
	key := p.key
	if !p.Reuse.allowed() {
		key = ""
	}
	var err error
	if p.Push != nil {
		if p.goal, err = p.Push.look(ctx, p.tools.Registry, sc, key, act); err != nil {
			return err
		}
		p.goal.key, p.goal.dated = p.key, p.Reuse.MaxAge > 0
		p.found = p.goal.there
	}
	if from := p.Reuse.Repository; p.found.Digest == "" && from != "" && key != "" {
		there := &goal{repository: from}
		if p.found, err = there.resolve(ctx, p.tools.Registry, buildkit.KeyTag(key), act); err != nil {
			return err
		}
	}
	if p.found.Digest == "" {
		return nil
	}
	if stale, err := p.stale(ctx, act); stale || err != nil {
		p.found = buildkit.Image{}
		if p.goal != nil {
			p.goal.there, p.goal.missing = buildkit.Image{}, p.goal.tags
		}
		return err
	}
	act.Notes = append(act.Notes, "reuse: "+p.found.Repository+" holds "+buildkit.Short(p.found.Digest)+" for these inputs")
	return nil
}

// stale reports whether the image was built too long ago.
func (p *product) stale(ctx context.Context, act *pipeline.Action) (bool, error) {
	if p.Reuse.MaxAge == 0 {
		return false, nil
	}
	built, err := p.tools.Dater.Built(ctx, p.found, p.key)
	var refused *buildkit.RegistryError
	switch {
	case errors.As(err, &refused):
		act.Unchecked = append(act.Unchecked, err)
		return false, nil
	case err != nil:
		return false, err
	case built.IsZero():
		act.Notes = append(act.Notes, "build: "+p.found.Repository+" does not say when its image for these inputs was built")
		return true, nil
	case time.Since(built) > p.Reuse.MaxAge:
		act.Notes = append(act.Notes, fmt.Sprintf("build: the image for these inputs was built on %s, longer ago than %s", built.UTC().Format(time.DateTime), p.Reuse.MaxAge))
		return true, nil
	}
	return false, nil
}

// why says which inputs moved since the last build.
func (p *product) why(ctx context.Context, sc pipeline.Scope, act *pipeline.Action) error {
	if p.key == "" { // something is not known, which act.Unchecked says
		return nil
	}
	var err error
	if p.parts, err = p.tools.Inputs.Parts(ctx, p.spec); err != nil {
		return p.located(sc, err)
	}
	before, err := p.tools.History.Last(p.name(sc))
	if err != nil {
		return err
	}
	moved := p.parts.Moved(before)
	note := ""
	switch {
	case before == nil && p.Push != nil && p.Reuse.allowed():
		note = p.goal.repository + " holds no image for these inputs, and no earlier build is known here"
	case before == nil:
		return nil
	case len(moved) > 0:
		note = buildkit.Summary(moved)
	case !p.Reuse.allowed():
		note = "reuse is off"
	case p.Push != nil:
		note = p.goal.repository + " holds no image for these inputs, which have not changed"
	default:
		return nil // the builder's own cache will have it
	}
	act.Notes = append(act.Notes, "build: "+note)
	return nil
}

// remember makes the inputs the last ones.
func (p *product) remember(env *pipeline.Env) {
	if p.parts == nil {
		return
	}
	if err := p.tools.History.Note(p.name(env.Scope), p.parts); err != nil {
		env.Emit(pipeline.Event{Type: pipeline.EventWarning, Text: err.Error()})
	}
}

// name is what the history calls a build.
func (p *product) name(sc pipeline.Scope) string {
	return sc.Pipeline + "/" + sc.Environment.Name + "/" + string(sc.Step)
}
