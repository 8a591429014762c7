package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/buildkit/inputs"
	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/deploy/kube"
	"github.com/slipway-ci/slipway/deploy/kustomize"
	"github.com/slipway-ci/slipway/deploy/schema"
	"github.com/slipway-ci/slipway/pipeline"
	"github.com/slipway-ci/slipway/pipeline/facts"
)

// renderDiff prints how the manifests differ between a commit and the files that are here,
// or between two commits, written A..B. It asks nobody.
func (a *app) renderDiff(ctx context.Context, b bare, refs string, names []string, detailed bool) error {
	here, err := a.folder(b)
	if err != nil {
		return err
	}
	before, after, two := strings.Cut(refs, "..")
	if before == "" || two && after == "" {
		return usagef("--diff %s (want a commit, or two as A..B)", refs)
	}
	from, err := a.renderedAt(ctx, b, here, before)
	if err != nil {
		return err
	}
	to, err := a.renderedAt(ctx, b, here, after)
	if err != nil {
		return err
	}
	plan, err := between(from, to, names, a.approved())
	if err != nil {
		return err
	}
	if err := a.printDiff(plan); err != nil {
		return err
	}
	if detailed && plan.Effects() > 0 {
		return &toldError{code: exitChanges}
	}
	return nil
}

// folder returns the one that paths of the user start from: the pipeline file's, or the
// working folder where there is none.
func (a *app) folder(b bare) (string, error) {
	if b.kustomize != "" {
		return os.Getwd()
	}
	return filepath.Abs(filepath.Dir(a.flags.file))
}

// renderedAt plans with the files of a commit, or with those in here where ref is empty. Facts
// about git are those of here, so that only what the files say differs.
func (a *app) renderedAt(ctx context.Context, b bare, here, ref string) (*pipeline.Plan, error) {
	w := a.world()
	a.isolate(w)
	a.checkout = here
	if ref == "" {
		return a.rendered(ctx, w, b)
	}
	temp, err := os.MkdirTemp("", "slipway-render-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(temp)
	if temp, err = filepath.EvalSymlinks(temp); err != nil { // as on macOS
		return nil, err
	}
	dir, err := facts.Checkout(ctx, here, ref, temp)
	if err != nil {
		return nil, usagef("--diff %s: %v", ref, err)
	}
	plan, err := a.renderedIn(ctx, w, b, dir)
	names := commitNames(ref, dir)
	if err != nil {
		return nil, at(ref, names, err)
	}
	for n := range plan.Steps {
		plan.Steps[n].Pos.File = names.Replace(plan.Steps[n].Pos.File)
	}
	return plan, nil
}

func (a *app) renderedIn(ctx context.Context, w *world, b bare, dir string) (*pipeline.Plan, error) {
	if b.kustomize != "" {
		return a.bareIn(ctx, w, b, dir)
	}
	file := a.flags.file
	defer func() { a.flags.file = file }()
	a.flags.file = filepath.Join(dir, filepath.Base(file))
	return a.planned(ctx, w, nil)
}

// commitNames gives places in dir, which holds the files of a commit, the names that git has for them.
func commitNames(ref, dir string) *strings.Replacer {
	here, _ := os.Getwd()
	shown, _ := filepath.Rel(here, dir)
	return strings.NewReplacer(dir+string(filepath.Separator), ref+":", shown+string(filepath.Separator), ref+":")
}

// at makes an error one about a commit.
func at(ref string, place *strings.Replacer, err error) error {
	var list pipeline.ErrorList
	if !errors.As(err, &list) {
		return fmt.Errorf("at %s: %w", ref, err)
	}
	for _, e := range list {
		e.Pos.File = place.Replace(e.Pos.File)
		e.Err = &placed{e.Err, place}
	}
	return list
}

// placed is an error whose words name places that others know by another name.
type placed struct {
	err   error
	place *strings.Replacer
}

func (e *placed) Error() string { return e.place.Replace(e.err.Error()) }
func (e *placed) Unwrap() error { return e.err }

// between returns a plan with the effects that lead from the manifests of one plan to those of another.
func between(from, to *pipeline.Plan, names []string, approved []deploy.Risk) (*pipeline.Plan, error) {
	diff := *to
	diff.Steps, diff.Outputs, diff.Release = nil, nil, ""
	var ids []pipeline.ID
	places, previews := map[pipeline.ID]pipeline.Pos{}, map[pipeline.ID][2]map[string]deploy.Object{}
	for n, plan := range []*pipeline.Plan{from, to} {
		for _, s := range plan.Steps {
			if s.Preview == nil || s.Skip != "" || len(names) > 0 && !slices.Contains(names, string(s.ID.Stage())) {
				continue
			}
			text, err := s.Preview()
			if err != nil {
				return nil, err
			}
			both, known := previews[s.ID]
			if both[n], err = parsed(text); err != nil {
				return nil, err
			}
			if previews[s.ID], places[s.ID] = both, s.Pos; !known {
				ids = append(ids, s.ID)
			}
		}
	}
	if len(ids) == 0 {
		return nil, usagef("no stage renders manifests (want one of kind deploy or render)")
	}
	for _, id := range ids {
		changes := leads(previews[id][0], previews[id][1])
		step := pipeline.Step{ID: id, Pos: places[id], Kind: "render"}
		step.Held = deploy.Unapproved(changes, approved)
		for _, c := range changes {
			step.Effects = append(step.Effects, pipeline.Effect{Verb: string(c.Op), Object: c.Object.String(), Diff: strings.ReplaceAll(c.Diff, deploy.Unknown, "(known after the build)")})
		}
		diff.Steps = append(diff.Steps, step)
	}
	return &diff, nil
}

// leads returns what leads from some objects to others.
func leads(from, to map[string]deploy.Object) []deploy.Change {
	var changes []deploy.Change
	for _, name := range pipeline.Keys(to) {
		old, there := from[name]
		if !there {
			changes = append(changes, deploy.Change{Object: to[name], Op: deploy.Create})
		} else if fields, differ := kube.Difference(old.Body, to[name].Body); differ {
			changes = append(changes, deploy.Change{Object: to[name], Op: deploy.Configure, Diff: fields, Live: old.Body})
		}
	}
	for _, name := range pipeline.Keys(from) {
		if _, stays := to[name]; !stays {
			changes = append(changes, deploy.Change{Object: from[name], Op: deploy.Delete, Live: from[name].Body})
		}
	}
	return changes
}

// parsed returns the objects of manifests by their addresses.
func parsed(text []byte) (map[string]deploy.Object, error) {
	objs, err := kustomize.Decode(text)
	all := map[string]deploy.Object{}
	for _, o := range objs {
		all[o.String()] = o
	}
	return all, err
}

// errUnasked is what registries and clusters say that are not to be asked.
var errUnasked = errors.New("nobody is asked with --diff")

// unasked is a registry and a cluster that nobody asks. Images have no digests
// and no inputs then, as where they cannot be reached.
type unasked struct{ *inputs.Reader }

// isolate takes from w all that would ask a registry or a cluster while planning.
func (a *app) isolate(w *world) {
	nobody := unasked{&inputs.Reader{State: filepath.Join(w.state, "inputs")}}
	w.tools.Inputs, w.tools.Registry, w.tools.Cluster = nobody, nobody, nobody
	w.tools.Validator = &schema.Validator{Version: a.flags.kubeVersion}
}

// Resolve implements [stages.Registry].
func (unasked) Resolve(_ context.Context, ref string) (buildkit.Image, error) {
	return buildkit.Image{}, &buildkit.RegistryError{Ref: ref, Err: errUnasked}
}

// Push implements [stages.Registry].
func (unasked) Push(_ context.Context, _ buildkit.Image, repository string, _ []string, _ func(buildkit.Progress)) (buildkit.Image, error) {
	return buildkit.Image{}, &buildkit.RegistryError{Ref: repository, Err: errUnasked}
}

// Inputs implements [stages.Inputs].
func (unasked) Inputs(_ context.Context, spec buildkit.Spec) (buildkit.Inputs, error) {
	return buildkit.Inputs{}, &buildkit.RegistryError{Ref: spec.Context, Err: errUnasked}
}

// Check implements [stages.Cluster].
func (unasked) Check(context.Context, string) (string, error) {
	return "", &deploy.ClusterError{Err: errUnasked}
}

// Diff implements [stages.Cluster].
func (unasked) Diff(context.Context, deploy.Set) ([]deploy.Change, error) {
	return nil, &deploy.ClusterError{Err: errUnasked}
}

// Apply implements [stages.Cluster].
func (unasked) Apply(context.Context, deploy.Set, []deploy.Change, func(deploy.Status)) error {
	return &deploy.ClusterError{Err: errUnasked}
}
