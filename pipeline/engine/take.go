package engine

import (
	"context"
	"fmt"

	"github.com/slipway-ci/slipway/pipeline"
)

// action asks n what it will do: with what an earlier run kept of it, if there
// is something, or else from the start.
func (pl *Planner) action(ctx context.Context, n node, sc pipeline.Scope) (pipeline.Action, error) {
	taker, takes := n.Body.(pipeline.Taker)
	switch {
	case !takes:
	case pl.From != nil:
		kept := pl.From.Step(n.ID)
		if kept == nil || kept.Kind != n.Kind || !kept.Status.Good() {
			break
		}
		act, ok, err := taker.Take(ctx, sc, pipeline.Held{Release: pl.From.ID, Outputs: kept.Outputs})
		if err != nil || ok {
			act.From = pl.From.ID
			return act, err
		}
	case pl.Missing != nil:
		act, ok, err := taker.Take(ctx, sc, pipeline.Held{})
		if err != nil || !ok {
			break
		}
		return act, nil
	}
	return n.Body.Plan(ctx, sc)
}

// unbuilt reports the steps that would build although nothing may be built.
func (pl *Planner) unbuilt(plan *pipeline.Plan) error {
	if pl.Promotes == "" || pl.From == nil {
		return nil
	}
	var errs pipeline.ErrorList
	for _, s := range plan.Steps {
		if !s.Builds || s.Skip != "" || s.Idle || s.Do == nil {
			continue
		}
		why := "does not hold this stage"
		if kept := pl.From.Step(s.ID); kept != nil {
			why = fmt.Sprintf("says of this stage: %s", kept.Status)
		}
		errs.Add(s.Pos, s.ID, "not-released", pipeline.Stalef("%s never builds, for it promotes %s, and release %s %s (run %s again: slipway run -e %[2]s)",
			plan.Environment, pl.Promotes, pl.From.ID, why, pl.Promotes))
	}
	return errs.Err()
}
