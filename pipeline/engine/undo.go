package engine

import (
	"context"
	"errors"

	"github.com/slipway-ci/slipway/pipeline"
)

// undo undoes the steps that s comes after, near or far, because s, which checks
// them, failed with cause: those that did something in this run and can take it
// back, the last first, and each once. What came of that is returned.
func (r *run) undo(ctx context.Context, s *pipeline.Step, steps []pipeline.Step, cause error) error {
	before := map[pipeline.ID]bool{}
	var visit func(s *pipeline.Step)
	visit = func(s *pipeline.Step) {
		for _, n := range s.Needs {
			if !before[n.Stage] {
				before[n.Stage] = true
				visit(&steps[r.at[n.Stage]])
			}
		}
	}
	visit(s)
	r.undoing.Lock()
	defer r.undoing.Unlock()
	if r.undone == nil {
		r.undone = map[pipeline.ID]bool{}
	}
	var errs []error
	for i := len(steps) - 1; i >= 0; i-- {
		step := &steps[i]
		if !before[step.ID] || step.Undo == nil || r.undone[step.ID] || r.scope.Steps.Status(step.ID) != pipeline.StatusOK {
			continue
		}
		r.undone[step.ID] = true
		env := &pipeline.Env{Scope: r.scope.Cell(step.Matrix), Sink: r.emit}
		env.Scope.Step = step.ID
		errs = append(errs, step.Undo(ctx, env, cause))
	}
	return errors.Join(errs...)
}
