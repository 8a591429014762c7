package stages

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/pipeline"
)

// A Cluster holds objects.
type Cluster interface {
	// Check makes sure that the cluster is the one with this UID; an empty UID
	// means any. It returns the namespace of what names none, and changes nothing.
	Check(ctx context.Context, uid string) (namespace string, err error)
	// Diff says what Apply would change. It changes nothing.
	Diff(ctx context.Context, set deploy.Set) ([]deploy.Change, error)
	// Apply makes the cluster hold set. It stops, before it has changed
	// anything, when it would have to change more than planned. It may be called
	// again after a failure: what is as it should be is not written again.
	Apply(ctx context.Context, set deploy.Set, planned []deploy.Change, watch func(deploy.Status)) error
}

// A Rollout watches what becomes of objects.
type Rollout interface {
	// Wait returns when every workload of set is proven to run what it is pinned
	// to, or has failed, or the time is up. The error is a
	// [deploy.RolloutError] when one failed. It changes nothing.
	Wait(ctx context.Context, set deploy.Set, changes []deploy.Change, timeout time.Duration, watch func(deploy.Status)) ([]deploy.Verdict, error)
	// Readable returns an error unless text is a condition that Wait can evaluate.
	Readable(text string) error
}

// DefaultTimeout is how long a deploy waits for its workloads when its stage
// has no timeout.
const DefaultTimeout = 10 * time.Minute

// Deploy is the kind "deploy": render, pin, diff, apply, wait, prove.
type Deploy struct {
	Manifests `yaml:",inline"`
	Name      string      `yaml:"name" doc:"Name of the deployment, to which its inventory belongs. Default: the stage's id."`
	Namespace string      `yaml:"namespace" doc:"Namespace of objects that name none. Default: the environment's."`
	OnFailure string      `yaml:"onFailure" enum:"leave,rollback" doc:"What to do when the rollout fails: leave (the default) or rollback, to the last revision that was proven. A third of the timeout is kept for that."`
	Adopt     bool        `yaml:"adopt" doc:"Take over objects that Helm, Argo CD or Flux manage. Without it they are an error: two tools would undo each other's work."`
	Force     []string    `yaml:"force" doc:"Fields to take from whoever has them, as the error about them names them: spec.replicas, or spec.template for all in it."`
	Readiness []Readiness `yaml:"readiness" doc:"When objects that run no pods are ready, and what need not be. The first rule that fits an object counts."`

	renderer  Renderer
	validator Validator
	registry  Registry
	cluster   Cluster
	rollout   Rollout
	keeper    Keeper
	run       deploy.Run
	approved  []deploy.Risk
}

// Check implements [pipeline.Checker].
func (d *Deploy) Check() []error {
	choices := []string{"leave", rollback}
	errs := append(d.Manifests.Check(), d.checkReadiness()...)
	if d.OnFailure == "" || written(d.OnFailure) || slices.Contains(choices, d.OnFailure) {
		return errs
	}
	return append(errs, &pipeline.FieldError{Field: "onFailure", Code: "bad-value", Err: errors.New("onFailure is neither leave nor rollback" + pipeline.Nearest(d.OnFailure, choices))})
}

// Plan renders the manifests and asks the cluster what would change. Digests
// that a build has yet to give are [deploy.Unknown].
func (d *Deploy) Plan(ctx context.Context, sc pipeline.Scope) (pipeline.Action, error) {
	objs, err := d.render(ctx, d.renderer, sc)
	if err != nil {
		return pipeline.Action{}, err
	}
	act := pipeline.Action{Uses: repositories(objs)}
	name, err := d.name(sc.Step)
	if err != nil {
		return act, err
	}
	set := deploy.Set{
		Pipeline: sc.Pipeline, Name: name, Environment: sc.Environment.Name,
		Namespace: cmp.Or(d.Namespace, sc.Environment.Namespace),
		Adopt:     d.Adopt, Force: d.Force,
	}
	if err := d.settle(ctx, d.registry, sc, &act); err != nil {
		return act, err
	}
	origins := d.origins(sc, objs)
	if set.Objects, set.Pins, err = pin(sc, objs, origins); err != nil {
		return act, err
	}
	if set.Readies, err = d.readiness(set); err != nil {
		return act, err
	}
	if err := validate(ctx, d.validator, set.Objects, set.Namespace); err != nil {
		return act, err
	}
	act.Notes = notes(set)
	act.Preview = func() ([]byte, error) { return d.renderer.Encode(d.shown(set.Objects)) }
	changes, err := d.diff(ctx, sc, &set)
	var unreachable *deploy.ClusterError
	switch {
	case errors.As(err, &unreachable):
		act.Unchecked = append(act.Unchecked, err)
		for _, o := range objs {
			act.Effects = append(act.Effects, pipeline.Effect{Verb: "apply", Object: o.String()})
		}
	case err != nil:
		return act, err
	}
	if deploy.Changing(changes) {
		var held *deploy.HeldError
		if err := d.keeper.Held(ctx, set); errors.As(err, &held) {
			act.Notes = append(act.Notes, held.Error())
		} else if err != nil {
			return act, err
		}
	}
	act.Held = deploy.Unapproved(changes, d.approved)
	for _, c := range changes {
		if c.Op != deploy.Unchanged {
			act.Effects = append(act.Effects, pipeline.Effect{Verb: string(c.Op), Object: c.Object.String(), Diff: readable(c.Diff)})
		}
	}
	act.Do = func(ctx context.Context, env *pipeline.Env) error {
		set := set
		if set.Objects, set.Pins, err = pin(env.Scope, objs, origins); err != nil {
			return err
		}
		for _, n := range notes(set) {
			env.Emit(pipeline.Event{Type: pipeline.EventWarning, Text: n})
		}
		return d.roller().roll(ctx, env, set, changes)
	}
	if d.OnFailure == rollback && deploy.Changing(changes) { // else it is not this run's to take back
		act.Undo = func(ctx context.Context, env *pipeline.Env, cause error) error {
			set := set
			if set.Objects, set.Pins, err = pin(env.Scope, objs, origins); err != nil {
				return err
			}
			return d.roller().undo(ctx, env, set, cause)
		}
	}
	return act, nil
}

var plainCell = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(,[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
})

// name returns the name of the deployment: for one cell of a matrix rollout.cart,
// which no stage can be called, for two deployments must not share an inventory.
func (d *Deploy) name(step pipeline.ID) (string, error) {
	stage := step.Stage()
	if d.Name != "" || stage == step {
		return cmp.Or(d.Name, string(step)), nil
	}
	cell := strings.TrimSuffix(strings.TrimPrefix(string(step), string(stage)+"["), "]")
	if !plainCell().MatchString(cell) {
		return "", &pipeline.FieldError{Field: "name", Code: "bad-name", Err: fmt.Errorf("%q cannot be part of a deployment's name (give each cell a name:, made of values of matrix)", cell)}
	}
	return string(stage) + "." + strings.ReplaceAll(cell, ",", "."), nil
}

// diff asks the cluster what would change, once it is the right one.
func (d *Deploy) diff(ctx context.Context, sc pipeline.Scope, set *deploy.Set) ([]deploy.Change, error) {
	namespace, err := d.cluster.Check(ctx, sc.Environment.ClusterUID)
	set.Namespace = cmp.Or(set.Namespace, namespace, "default")
	if err != nil {
		return nil, err
	}
	return d.cluster.Diff(ctx, *set)
}

// readable replaces the digest that stands for a promise.
func readable(diff string) string {
	return strings.ReplaceAll(diff, deploy.Unknown, "(known after the build)")
}

// notes says which containers run what they are told elsewhere.
func notes(set deploy.Set) []string {
	var notes []string
	pinned := map[string]bool{}
	for _, p := range set.Pins {
		pinned[p.Object+" "+p.Container] = true
	}
	for _, o := range set.Objects {
		for _, c := range deploy.Containers(o) {
			if !pinned[o.String()+" "+c.Name()] {
				notes = append(notes, fmt.Sprintf("%s: container %s runs %s as it is written, and nothing proves that (pin it with images:, or let a stage before this one push it)", o, c.Name(), c.Image()))
			}
		}
	}
	return notes
}

// red gives each failed verdict the place of its manifest.
func red(err error) error {
	var failed *deploy.RolloutError
	if !errors.As(err, &failed) {
		return err
	}
	var list pipeline.ErrorList
	for _, v := range failed.Verdicts {
		one := &pipeline.Error{Code: string(v.Code), Err: &deploy.RolloutError{Verdicts: []deploy.Verdict{v}}}
		if v.File != "" {
			one.Pos = pipeline.Pos{File: v.File, Line: v.Line, Col: 1}
		}
		list = append(list, one)
	}
	return list
}

// patience returns how long workloads may take: a verdict has to be there
// before the stage's own timeout ends everything.
func patience(ctx context.Context) time.Duration {
	end, ok := ctx.Deadline()
	if !ok {
		return DefaultTimeout
	}
	left := time.Until(end)
	return left - min(left/10, 5*time.Second)
}

// tell emits the verdict on a workload, and the last words of what died.
func tell(env *pipeline.Env, v deploy.Verdict) {
	if v.Code == deploy.Applied { // it runs nothing, and was named when it was applied
		return
	}
	for _, line := range v.Log {
		env.Emit(pipeline.Event{Type: pipeline.EventLog, Task: v.Pod + "/" + v.Container, Text: line})
	}
	status := pipeline.StatusOK
	if v.Failed() {
		status = pipeline.StatusFailed
	}
	env.Emit(pipeline.Event{
		Type: pipeline.EventVerdict, Task: v.Object, Text: v.String(), Status: status,
		Code: string(v.Code), File: v.File, Line: v.Line, Cure: v.Cure,
	})
}

// With returns d with the tools it needs, for those who make one without a file.
func (d *Deploy) With(t Tools) *Deploy {
	d.renderer, d.validator, d.registry, d.cluster, d.rollout, d.keeper, d.run = t.Renderer, t.Validator, t.Registry, t.Cluster, t.Rollout, t.Keeper, t.Run
	d.approved = t.Approved
	return d
}

func (d *Deploy) roller() roller {
	return roller{cluster: d.cluster, rollout: d.rollout, keeper: d.keeper, registry: d.registry, run: d.run, back: d.OnFailure == rollback}
}
