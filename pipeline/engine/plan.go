package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/slipway-ci/slipway/pipeline"
)

// A Planner plans pipelines. The zero Planner plans every stage.
type Planner struct {
	Only []pipeline.ID // if not empty, these stages and what they need
	Skip []pipeline.ID // leaves these out, and what needs them

	From     *pipeline.Release // outputs are taken from it, of stages that are a [pipeline.Taker]; nil means none
	Promotes string            // environment whose release From is: nothing is built; empty means no promotion
	Missing  error             // why From is nil although there is something to promote: what it would hold is promised
}

// Plan asks every stage of p what it will do in sc: stages that don't need each
// other at the same time, the others after what they need, so that an output
// which is known already is known to them. On failure it returns a
// [pipeline.ErrorList] with everything that is wrong.
func (pl *Planner) Plan(ctx context.Context, p *pipeline.Pipeline, sc pipeline.Scope) (*pipeline.Plan, error) {
	sc.Pipeline, sc.Dir, sc.File, sc.Steps = p.Name, p.Dir, p.Pos.File, new(pipeline.Results)
	nodes, err := pl.selected(p, expand(p, &sc))
	if err != nil {
		return nil, err
	}
	stages := make([]pipeline.Stage, len(nodes))
	for i, n := range nodes {
		stages[i] = n.Stage
	}
	order, err := pipeline.Order(stages)
	if err != nil {
		return nil, err
	}
	g := &planning{nodes: nodes, scope: sc, planner: pl, steps: make([]*pipeline.Step, len(nodes)), index: map[pipeline.ID]int{}}
	done := make([]chan struct{}, len(nodes))
	for i, n := range nodes {
		g.index[n.ID] = i
		done[i] = make(chan struct{})
	}
	errs := make([]error, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() {
			defer close(done[i])
			for _, need := range n.Needs {
				<-done[g.index[need.Stage]]
			}
			g.steps[i], errs[i] = g.step(ctx, n)
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	var list pipeline.ErrorList
	for i, n := range nodes {
		list.Add(n.Pos, n.ID, "cannot-plan", errs[i])
	}
	if err := list.Err(); err != nil {
		return nil, err
	}

	plan := &pipeline.Plan{Pipeline: p.Name, Environment: sc.Environment.Name, Scope: sc, Missing: pl.Missing, Partial: len(pl.Only)+len(pl.Skip) > 0}
	if pl.From != nil {
		plan.From = pl.From.ID
	}
	for _, i := range order {
		plan.Steps = append(plan.Steps, *g.steps[i])
	}
	idle(plan.Steps)
	if err := pl.unbuilt(plan); err != nil {
		return nil, err
	}
	for _, o := range p.Outputs {
		if plan.Outputs == nil {
			plan.Outputs = map[string]pipeline.Value{}
		}
		plan.Outputs[o.Name] = o.Value.In(sc)
		if _, err := o.Value.Eval(sc); err != nil && !errors.Is(err, pipeline.ErrUnkept) {
			list.Add(o.Value.Pos, "", "bad-value", fmt.Errorf("output %s: %w", o.Name, err))
		}
	}
	if err := list.Err(); err != nil {
		return nil, err
	}
	return plan, nil
}

// planning is a Plan in the making.
type planning struct {
	nodes   []node
	scope   pipeline.Scope
	planner *Planner
	steps   []*pipeline.Step
	index   map[pipeline.ID]int
}

// step plans one node, after all it needs. It returns a nil step when a need
// has none: that error has been reported.
func (g *planning) step(ctx context.Context, n node) (*pipeline.Step, error) {
	if n.err != nil {
		return nil, n.err
	}
	s := &pipeline.Step{
		ID: n.ID, Matrix: n.matrix, Kind: n.Kind, Pos: n.Pos,
		Needs: n.Needs, After: after(n.Needs, g.scope), Policy: n.Policy,
	}
	for _, need := range n.Needs {
		if g.steps[g.index[need.Stage]] == nil {
			return nil, nil
		}
	}
	sc := g.scope.Cell(n.matrix)
	sc.Step = n.ID
	sc.Upstream = func() []pipeline.ID { return g.upstream(n) }
	if err := g.skip(s, n, sc); err != nil || s.Skip != "" {
		return s, err
	}
	act, err := g.planner.action(ctx, n, sc)
	if err != nil {
		return nil, err
	}
	if s.Action = act; s.Skip != "" { // the body had nothing to do after all
		return s, nil
	}
	for name, v := range act.Outputs {
		if len(v.Refs()) == 0 {
			got, err := v.Eval(sc)
			if err != nil {
				return nil, err
			}
			sc.Steps.Keep(pipeline.Ref{Stage: n.ID, Output: name}, got)
		}
	}
	return s, nil
}

// upstream returns every step that n comes after, in the order of the file.
func (g *planning) upstream(n node) []pipeline.ID {
	seen := map[int]bool{}
	var visit func(n node)
	visit = func(n node) {
		for _, need := range n.Needs {
			if i := g.index[need.Stage]; !seen[i] {
				seen[i] = true
				visit(g.nodes[i])
			}
		}
	}
	visit(n)
	var ids []pipeline.ID
	for _, i := range slices.Sorted(maps.Keys(seen)) {
		ids = append(ids, g.nodes[i].ID)
	}
	return ids
}

// skip decides whether s will not run, and why.
func (g *planning) skip(s *pipeline.Step, st node, sc pipeline.Scope) error {
	if st.in(g.planner.Skip) {
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
	if st.none {
		s.Skip, s.Off = "its matrix is empty", true
		return nil
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
// lazy step that nothing at all needs is there for its own sake, and runs, unless
// that is served already.
func idle(steps []pipeline.Step) {
	at := map[pipeline.ID]int{}
	for i, s := range steps {
		at[s.ID] = i
	}
	referred := make([]bool, len(steps))
	needed := make([]bool, len(steps))
	for i := len(steps) - 1; i >= 0; i-- {
		s := &steps[i]
		s.Idle = s.Lazy && s.Do != nil && s.Skip == "" && (referred[i] || s.Served) && !needed[i]
		runs := s.Do != nil && s.Skip == "" && !s.Idle && (s.From == "" || s.Builds) // what is taken from a registry needs nobody
		for _, n := range s.Needs {
			j := at[n.Stage]
			referred[j] = true
			needed[j] = needed[j] || runs
		}
	}
}
