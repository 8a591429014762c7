package stages

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/pipeline"
)

// Restore makes an earlier revision of a deployment run again. It needs only
// the cluster, which remembers revisions, and is no kind of stage: the command
// rollback makes one.
type Restore struct {
	Set deploy.Set // the deployment; its objects don't count
	To  int        // the revision; 0: the last before the newest that was proven, and is another

	tools Tools
}

var _ pipeline.Planner = (*Restore)(nil)

// A NoRevisionError says that there is no revision to go back to.
type NoRevisionError struct {
	Deployment string
	Why        string
}

func (e *NoRevisionError) Error() string { return e.Deployment + ": " + e.Why }

// With returns r with the tools it needs.
func (r *Restore) With(t Tools) *Restore {
	r.tools = t
	return r
}

// Plan says what going back would change, and what cannot go back.
func (r *Restore) Plan(ctx context.Context, _ pipeline.Scope) (pipeline.Action, error) {
	var act pipeline.Action
	revisions, err := r.tools.Keeper.Revisions(ctx, r.Set)
	if err != nil {
		return act, err
	}
	to, err := r.choose(revisions)
	if err != nil {
		return act, err
	}
	set, lasting := to.Back()
	act.Notes = append(act.Notes, describe(*to))
	run := roller{cluster: r.tools.Cluster, rollout: r.tools.Rollout, keeper: r.tools.Keeper, registry: r.tools.Registry, run: r.tools.Run, restores: to.Number}
	run.run.Commit, run.run.Dirty = to.Run.Commit, to.Run.Dirty
	if err := run.digests(ctx, set); err != nil {
		return act, &NoRevisionError{r.Set.String(), err.Error()}
	}
	changes, err := r.tools.Cluster.Diff(ctx, set)
	if err != nil {
		return act, err
	}
	set, changes, spared := deploy.Spare(set, changes)
	for _, s := range append(lasting, spared...) {
		act.Notes = append(act.Notes, "does not go back: "+s)
	}
	var held *deploy.HeldError
	if err := r.tools.Keeper.Held(ctx, r.Set); errors.As(err, &held) {
		act.Notes = append(act.Notes, held.Error())
	} else if err != nil {
		return act, err
	}
	for _, c := range changes {
		if c.Op != deploy.Unchanged {
			act.Effects = append(act.Effects, pipeline.Effect{Verb: string(c.Op), Object: c.Object.String(), Diff: c.Diff})
		}
	}
	act.Do = func(ctx context.Context, env *pipeline.Env) error { return run.roll(ctx, env, set, changes) }
	return act, nil
}

// choose finds the revision to go back to.
func (r *Restore) choose(revisions []deploy.Revision) (*deploy.Revision, error) {
	none := func(format string, args ...any) (*deploy.Revision, error) {
		return nil, &NoRevisionError{r.Set.String(), fmt.Sprintf(format, args...)}
	}
	if len(revisions) == 0 {
		return none("no revision is remembered")
	}
	newest := revisions[0]
	to := deploy.LastProven(revisions, cmp.Or(newest.Restores, newest.Number)) // whoever goes back twice means further back
	for newest.State == deploy.StateProven && to != nil && to.Set.Content() == newest.Set.Content() {
		to = deploy.LastProven(revisions, to.Number) // that one runs already
	}
	if r.To != 0 {
		to = deploy.Find(revisions, r.To)
	}
	switch {
	case to == nil && r.To == 0:
		return none("no other revision before %d was proven, so there is none to go back to", newest.Number)
	case to == nil:
		var numbers []string
		for _, known := range revisions {
			numbers = append(numbers, fmt.Sprint(known.Number))
		}
		return none("revision %d is not remembered (there are %s)", r.To, strings.Join(numbers, ", "))
	case to.Set.Objects == nil:
		return none("revision %d was too large to be remembered (run its commit again)", to.Number)
	}
	return to, nil
}

// describe says which revision r is.
func describe(r deploy.Revision) string {
	text := fmt.Sprintf("back to revision %d, which %s", r.Number, map[deploy.State]string{
		deploy.StateProven: "was proven", deploy.StateFailed: "FAILED", deploy.StatePending: "was never proven",
	}[r.State])
	if r.Run.Commit != "" {
		text += ", of commit " + r.Run.Commit
	}
	return text
}
