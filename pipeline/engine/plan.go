package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/slipway-ci/slipway/pipeline"
)

// A Planner plans pipelines. The zero Planner plans every stage.
type Planner struct {
	Only []pipeline.ID // if not empty, these stages and what they need
	Skip []pipeline.ID // leaves these out, and what needs them
}

// Plan asks every stage of p what it will do in sc: stages that don't need each
// other at the same time, the others after what they need, so that an output
// which is known already is known to them. On failure it returns a
// [pipeline.ErrorList] with everything that is wrong.
func (pl *Planner) Plan(ctx context.Context, p *pipeline.Pipeline, sc pipeline.Scope) (*pipeline.Plan, error) {
	stages, err := pl.selected(p)
	if err != nil {
		return nil, err
	}
	order, err := pipeline.Order(stages)
	if err != nil {
		return nil, err
	}
	sc.Pipeline, sc.Dir, sc.File, sc.Steps = p.Name, p.Dir, p.Pos.File, new(pipeline.Results)
	g := &planning{stages: stages, scope: sc, planner: pl, steps: make([]*pipeline.Step, len(stages)), index: map[pipeline.ID]int{}}
	done := make([]chan struct{}, len(stages))
	for i, st := range stages {
		g.index[st.ID] = i
		done[i] = make(chan struct{})
	}
	errs := make([]error, len(stages))
	var wg sync.WaitGroup
	for i := range stages {
		wg.Go(func() {
			defer close(done[i])
			for _, n := range stages[i].Needs {
				<-done[g.index[n.Stage]]
			}
			g.steps[i], errs[i] = g.step(ctx, stages[i])
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	var list pipeline.ErrorList
	for i, st := range stages {
		list.Add(st.Pos, st.ID, "cannot-plan", errs[i])
	}
	if err := list.Err(); err != nil {
		return nil, err
	}

	plan := &pipeline.Plan{Pipeline: p.Name, Environment: sc.Environment.Name, Scope: sc}
	for _, i := range order {
		plan.Steps = append(plan.Steps, *g.steps[i])
	}
	idle(plan.Steps)
	for _, o := range p.Outputs {
		if plan.Outputs == nil {
			plan.Outputs = map[string]pipeline.Value{}
		}
		plan.Outputs[o.Name] = o.Value
		v, err := o.Value.Eval(sc)
		switch {
		case err == nil && !o.Value.Secret():
			plan.Outputs[o.Name] = pipeline.Known(v)
		case err != nil && !errors.Is(err, pipeline.ErrUnkept):
			list.Add(o.Value.Pos, "", "bad-value", fmt.Errorf("output %s: %w", o.Name, err))
		}
	}
	if err := list.Err(); err != nil {
		return nil, err
	}
	return plan, nil
}

// selected returns the stages that are asked for, in the order of the file.
func (pl *Planner) selected(p *pipeline.Pipeline) ([]pipeline.Stage, error) {
	for _, id := range slices.Concat(pl.Only, pl.Skip) {
		if p.Stage(id) == nil {
			var ids []string
			for _, st := range p.Stages {
				ids = append(ids, string(st.ID))
			}
			return nil, &pipeline.Error{
				Pos: p.Pos, Code: "unknown-stage",
				Err: fmt.Errorf("no stage is called %q%s (want one of %s)", id, pipeline.Nearest(string(id), ids), strings.Join(ids, ", ")),
			}
		}
	}
	if len(pl.Only) == 0 {
		return p.Stages, nil
	}
	wanted := map[pipeline.ID]bool{}
	var want func(id pipeline.ID)
	want = func(id pipeline.ID) {
		if wanted[id] {
			return
		}
		wanted[id] = true
		for _, n := range p.Stage(id).Needs {
			want(n.Stage)
		}
	}
	for _, id := range pl.Only {
		want(id)
	}
	return slices.DeleteFunc(slices.Clone(p.Stages), func(st pipeline.Stage) bool { return !wanted[st.ID] }), nil
}

// planning is a Plan in the making.
type planning struct {
	stages  []pipeline.Stage
	scope   pipeline.Scope
	planner *Planner
	steps   []*pipeline.Step
	index   map[pipeline.ID]int
}

// step plans one stage, after all it needs. It returns a nil step when a need
// has none: that error has been reported.
func (g *planning) step(ctx context.Context, st pipeline.Stage) (*pipeline.Step, error) {
	s := &pipeline.Step{ID: st.ID, Kind: st.Kind, Pos: st.Pos, Needs: st.Needs, Policy: st.Policy}
	for _, n := range st.Needs {
		if g.steps[g.index[n.Stage]] == nil {
			return nil, nil
		}
		s.After = append(s.After, n.Stage)
	}
	slices.Sort(s.After)
	sc := g.scope
	sc.Step = st.ID
	sc.Upstream = func() []pipeline.ID { return g.upstream(st) }
	if err := g.skip(s, st, sc); err != nil || s.Skip != "" {
		return s, err
	}
	act, err := st.Body.Plan(ctx, sc)
	if err != nil {
		return nil, err
	}
	s.Action = act
	for name, v := range act.Outputs {
		if len(v.Refs()) == 0 {
			got, err := v.Eval(sc)
			if err != nil {
				return nil, err
			}
			sc.Steps.Keep(pipeline.Ref{Stage: st.ID, Output: name}, got)
		}
	}
	return s, nil
}

// upstream returns every stage that st comes after, in the order of the file.
func (g *planning) upstream(st pipeline.Stage) []pipeline.ID {
	seen := map[int]bool{}
	var visit func(st pipeline.Stage)
	visit = func(st pipeline.Stage) {
		for _, n := range st.Needs {
			if i := g.index[n.Stage]; !seen[i] {
				seen[i] = true
				visit(g.stages[i])
			}
		}
	}
	visit(st)
	var ids []pipeline.ID
	for _, i := range slices.Sorted(maps.Keys(seen)) {
		ids = append(ids, g.stages[i].ID)
	}
	return ids
}

// skip decides whether s will not run, and why.
func (g *planning) skip(s *pipeline.Step, st pipeline.Stage, sc pipeline.Scope) error {
	if slices.Contains(g.planner.Skip, st.ID) {
		s.Skip = "--skip"
		return nil
	}
	for _, n := range st.Needs {
		need := g.steps[g.index[n.Stage]]
		switch {
		case need.Skip == "":
		case (!n.Optional || !need.Off) && !st.Policy.Always:
			s.Skip = fmt.Sprintf("%s is skipped", n.Stage)
			return nil
		case n.Data:
			return &pipeline.Error{
				Pos: n.Pos, Code: "no-value", Stage: st.ID,
				Err: fmt.Errorf("uses a value of %s, which is skipped (use its status alone, or don't run without it)", n.Stage),
			}
		}
	}
	if st.If == nil {
		return nil
	}
	v, err := st.If.Eval(sc)
	if err != nil {
		if errors.Is(err, pipeline.ErrUnkept) {
			err = fmt.Errorf("if must be known while planning: %w", err)
		}
		return &pipeline.Error{Pos: st.If.Pos, Code: "bad-value", Stage: st.ID, Err: err}
	}
	if yes, ok := v.(bool); !ok {
		return &pipeline.Error{Pos: st.If.Pos, Code: "wrong-type", Stage: st.ID, Err: fmt.Errorf("if is %v (want true or false)", v)}
	} else if !yes {
		s.Skip, s.Off = "its if is false", true
	}
	return nil
}

// idle marks lazy steps that no step which runs needs, by data or by order. A
// lazy step that nothing at all needs is there for its own sake, and runs.
func idle(steps []pipeline.Step) {
	at := map[pipeline.ID]int{}
	for i, s := range steps {
		at[s.ID] = i
	}
	referred := make([]bool, len(steps))
	needed := make([]bool, len(steps))
	for i := len(steps) - 1; i >= 0; i-- {
		s := &steps[i]
		s.Idle = s.Lazy && s.Do != nil && s.Skip == "" && referred[i] && !needed[i]
		runs := s.Do != nil && s.Skip == "" && !s.Idle
		for _, n := range s.Needs {
			j := at[n.Stage]
			referred[j] = true
			needed[j] = needed[j] || runs
		}
	}
}
