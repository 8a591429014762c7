package stages

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/buildkit"
	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/pipeline"
)

// A Keeper lets one run at a time change a deployment, and remembers what it
// consisted of.
type Keeper interface {
	// Lock calls do while nobody else may change the deployment. It changes
	// nothing before that but the deployment's namespace, if planned lists it, and
	// the lock. It fails with a [deploy.LockedError] or [deploy.HeldError] where
	// somebody else is at it, or wants it to stay.
	Lock(ctx context.Context, set deploy.Set, planned []deploy.Change, run deploy.Run, watch func(deploy.Status), do func(context.Context, Turn) error) error
	// Held returns a [deploy.HeldError] while the deployment is to stay as it is.
	Held(ctx context.Context, set deploy.Set) error
	// Revisions returns what is remembered, the newest first. It changes nothing.
	Revisions(ctx context.Context, set deploy.Set) ([]deploy.Revision, error)
}

// A Turn is what may be done while a deployment is locked.
type Turn interface {
	// Apply is that of [Cluster]; it remembers the set as a revision that is
	// pending. Restores is the number of the revision it goes back to, or 0. Ready
	// is called with what others depend on, before those are applied.
	Apply(ctx context.Context, set deploy.Set, planned []deploy.Change, restores int, ready func(context.Context, []deploy.Object) error) error
	// Conclude deletes what the plan deletes, if err is nil, and remembers what
	// became of the revision.
	Conclude(ctx context.Context, verdicts []deploy.Verdict, err error) error
}

// rollback is what onFailure can be, beside leave.
const rollback = "rollback"

// A roller applies sets and stays until it is proven what runs.
type roller struct {
	cluster  Cluster
	rollout  Rollout
	keeper   Keeper
	registry Registry
	run      deploy.Run
	back     bool // a rollout that fails goes back to the last revision that was proven
	restores int  // the revision that is gone back to; 0: none
}

// roll makes the cluster hold set. Where nothing is to change, nothing is
// written, and what runs is proven all the same.
func (r roller) roll(ctx context.Context, env *pipeline.Env, set deploy.Set, planned []deploy.Change) error {
	watch := func(s deploy.Status) {
		env.Emit(pipeline.Event{Type: pipeline.EventNote, Task: s.Object, Text: s.Message})
	}
	if !deploy.Changing(planned) {
		if err := r.cluster.Apply(ctx, set, planned, watch); err != nil {
			return err
		}
		_, err := r.prove(ctx, env, set, planned, watch)
		return red(err)
	}
	return r.keeper.Lock(ctx, set, planned, r.running(env.Scope), watch, func(ctx context.Context, turn Turn) error {
		err := r.change(ctx, env, turn, set, planned, watch)
		if err == nil || ctx.Err() != nil || !r.back || !failed(err) {
			return red(err)
		}
		return r.goBack(ctx, env, turn, set, err, 0, watch)
	})
}

// undo goes back behind the revision that this run made, because what checks it
// failed with cause. Where somebody else has deployed since, theirs stays.
func (r roller) undo(ctx context.Context, env *pipeline.Env, set deploy.Set, cause error) error {
	watch := func(s deploy.Status) {
		env.Emit(pipeline.Event{Type: pipeline.EventNote, Task: s.Object, Text: s.Message})
	}
	err := r.keeper.Lock(ctx, set, nil, r.running(env.Scope), watch, func(ctx context.Context, turn Turn) error {
		revisions, err := r.keeper.Revisions(ctx, set)
		if err != nil || len(revisions) == 0 {
			return err
		}
		if now, ours := pinsOf(revisions[0].Set), pinsOf(set); !slices.Equal(now, ours) {
			env.Emit(pipeline.Event{Type: pipeline.EventWarning, Text: fmt.Sprintf("not rolled back: revision %d is of somebody else", revisions[0].Number)})
			return nil
		}
		return r.goBack(ctx, env, turn, set, cause, revisions[0].Number, watch)
	})
	var back *deploy.RolledBackError
	switch {
	case errors.As(err, &back):
		return back
	case errors.Is(err, cause): // why it is not rolled back has been said
		return nil
	}
	return err
}

// pinsOf returns what a set is pinned to.
func pinsOf(set deploy.Set) []string {
	var pins []string
	for _, p := range set.Pins {
		pins = append(pins, p.Object+" "+p.Container+" "+p.Ref)
	}
	slices.Sort(pins)
	return pins
}

// change applies set in our turn, proves it, and concludes.
func (r roller) change(ctx context.Context, env *pipeline.Env, turn Turn, set deploy.Set, planned []deploy.Change, watch func(deploy.Status)) error {
	err := turn.Apply(ctx, set, planned, r.restores, func(ctx context.Context, objs []deploy.Object) error {
		return r.ready(ctx, env, set, objs, watch)
	})
	var verdicts []deploy.Verdict
	if err == nil {
		verdicts, err = r.prove(ctx, env, set, planned, watch)
	}
	concluded := turn.Conclude(ctx, verdicts, err)
	if err == nil || ctx.Err() != nil {
		return errors.Join(err, concluded)
	}
	if concluded != nil {
		env.Emit(pipeline.Event{Type: pipeline.EventWarning, Text: concluded.Error()})
	}
	return err
}

func (r roller) prove(ctx context.Context, env *pipeline.Env, set deploy.Set, planned []deploy.Change, watch func(deploy.Status)) ([]deploy.Verdict, error) {
	limit := patience(ctx)
	if r.back {
		limit -= limit / 3 // so that there is time to go back
	}
	verdicts, err := r.rollout.Wait(ctx, set, planned, limit, watch)
	for _, v := range verdicts {
		tell(env, v)
	}
	return verdicts, err
}

// ready waits for those objects of set that others depend on, as it waits for
// all in the end.
func (r roller) ready(ctx context.Context, env *pipeline.Env, set deploy.Set, needed []deploy.Object, watch func(deploy.Status)) error {
	part := set
	part.Objects = slices.DeleteFunc(slices.Clone(set.Objects), func(o deploy.Object) bool {
		return !slices.ContainsFunc(needed, func(n deploy.Object) bool {
			return n.APIVersion() == o.APIVersion() && n.Kind() == o.Kind() && n.Name() == o.Name() &&
				(n.Namespace() == "" || n.Namespace() == cmp.Or(o.Namespace(), set.Namespace))
		})
	})
	var changes []deploy.Change // whoever changed them
	for _, o := range part.Objects {
		changes = append(changes, deploy.Change{Object: o, Op: deploy.Configure})
	}
	verdicts, err := r.rollout.Wait(ctx, part, changes, patience(ctx), watch)
	if err != nil {
		for _, v := range verdicts {
			tell(env, v)
		}
	}
	return err
}

// failed reports whether err is about the deployment itself, so that what ran
// before may well do better.
func failed(err error) bool {
	var rollout *deploy.RolloutError
	var object *deploy.ObjectError
	return errors.As(err, &rollout) || errors.As(err, &object)
}

// goBack makes the last proven revision run again after cause, of those before a
// number unless that is 0. A first release
// that failed is left as it is, for there is nothing to go back to.
func (r roller) goBack(ctx context.Context, env *pipeline.Env, turn Turn, set deploy.Set, cause error, before int, watch func(deploy.Status)) error {
	stays := func(format string, args ...any) error {
		env.Emit(pipeline.Event{Type: pipeline.EventWarning, Text: "not rolled back: " + fmt.Sprintf(format, args...)})
		return red(cause)
	}
	revisions, err := r.keeper.Revisions(ctx, set)
	if err != nil {
		return stays("%v", err)
	}
	to := deploy.LastProven(revisions, before)
	switch {
	case to == nil:
		return stays("no earlier revision of %s was proven, so it is left as it is", set)
	case to.Set.Objects == nil:
		return stays("revision %d was too large to be remembered", to.Number)
	}
	env.Emit(pipeline.Event{Type: pipeline.EventWarning, Text: fmt.Sprintf("rolling back to revision %d, because: %s", to.Number, strings.SplitN(cause.Error(), "\n", 2)[0])})
	old, lasting := to.Back()
	if err := r.digests(ctx, old); err != nil {
		return stays("%v", err)
	}
	planned, err := r.cluster.Diff(ctx, old)
	if err != nil {
		return stays("%v", err)
	}
	old, planned, spared := deploy.Spare(old, planned)
	again := r
	again.back, again.restores = false, to.Number
	if err := again.change(ctx, env, turn, old, planned, watch); err != nil {
		if ctx.Err() != nil {
			return err
		}
		return stays("revision %d does not run either: %v", to.Number, err)
	}
	var list pipeline.ErrorList
	if !errors.As(red(cause), &list) {
		list = pipeline.ErrorList{{Code: "failed", Err: cause}}
	}
	return append(slices.Clone(list), &pipeline.Error{Code: deploy.RolledBack, Err: &deploy.RolledBackError{To: to.Number, Stays: strings.Join(append(lasting, spared...), ", ")}})
}

// digests says which pinned image its registry no longer has. One that does not
// answer says nothing.
func (r roller) digests(ctx context.Context, set deploy.Set) error {
	seen := map[string]bool{}
	for _, p := range set.Pins {
		ref := p.Repository() + "@" + p.Digest
		if seen[ref] {
			continue
		}
		seen[ref] = true
		if _, err := r.registry.Resolve(ctx, ref); errors.Is(err, buildkit.ErrNotFound) {
			return fmt.Errorf("the registry no longer has %s, which container %s of %s needs (push it again, or choose another revision)", ref, p.Container, p.Object)
		}
	}
	return nil
}

// running returns who runs, with what the scope knows.
func (r roller) running(sc pipeline.Scope) deploy.Run {
	run := r.run
	git, ci := facts(sc, "git"), facts(sc, "ci")
	if sha, ok := git["sha"].(string); ok {
		run.Commit = sha
		run.Dirty, _ = git["dirty"].(bool)
	}
	run.URL, _ = ci["url"].(string)
	return run
}

// facts returns a fact that is a map, and may have to be found out.
func facts(sc pipeline.Scope, name string) map[string]any {
	fact := sc.Facts[name]
	if lazy, ok := fact.(func() any); ok {
		fact = lazy()
	}
	found, _ := fact.(map[string]any)
	return found
}
