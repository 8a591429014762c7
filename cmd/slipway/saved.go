package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/pipeline"
)

// saved returns plan as it is saved. A plan that could not be checked is no
// promise of what a run does.
func (a *app) saved(p *pipeline.Pipeline, plan *pipeline.Plan) (*pipeline.SavedPlan, error) {
	if err := plan.Unchecked(); err != nil {
		return nil, err
	}
	text, err := json.Marshal(plan)
	if err != nil {
		return nil, err
	}
	s := &pipeline.SavedPlan{
		Version: pipeline.SavedVersion, Pipeline: plan.Pipeline, Environment: plan.Environment, Namespace: a.flags.namespace,
		File: a.source, Vars: map[string]any{}, Only: a.flags.only, Skip: a.flags.skip, From: a.flags.from, Rendered: map[pipeline.ID]string{}, Plan: text,
	}
	s.Commit, _ = commit(plan.Scope)
	vars, _ := plan.Scope.Facts["vars"].(map[string]any)
	for _, v := range p.Vars {
		if v.Type == pipeline.Secret {
			s.Secrets = append(s.Secrets, v.Name)
		} else {
			s.Vars[v.Name] = vars[v.Name]
		}
	}
	for _, step := range plan.Steps {
		if step.Preview == nil {
			continue
		}
		text, err := step.Preview()
		if err != nil {
			return nil, err
		}
		s.Rendered[step.ID] = fmt.Sprintf("sha256:%x", sha256.Sum256(text))
	}
	return s, nil
}

// savePlan writes plan to a file, whole or not at all.
func (a *app) savePlan(p *pipeline.Pipeline, plan *pipeline.Plan, name string) error {
	s, err := a.saved(p, plan)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(filepath.Dir(name))
	if err != nil {
		return usagef("--save: %w", err)
	}
	defer root.Close()
	base := filepath.Base(name)
	tmp := ".slipway-" + base
	var masked strings.Builder
	if _, err := a.mask(&masked).Write(append(text, '\n')); err != nil {
		return err
	}
	if err := root.WriteFile(tmp, []byte(masked.String()), 0o644); err != nil {
		return usagef("--save: %w", errors.Join(err, root.Remove(tmp)))
	}
	return root.Rename(tmp, base)
}

// resumed makes the plan anew that was saved in a file. What it would do now has
// to be what it would have done then.
func (a *app) resumed(ctx context.Context, w *world, name string) (*pipeline.Plan, error) {
	text, err := readInput(name, "want what slipway plan --save wrote")
	if err != nil {
		return nil, err
	}
	s, err := pipeline.ReadSavedPlan(text)
	if err != nil {
		return nil, usagef("%s: %w", name, err)
	}
	if err := a.adopt(s); err != nil {
		return nil, err
	}
	p, err := a.load(w.tools)
	if err != nil {
		return nil, err
	}
	env, err := a.chosen(p)
	if err != nil {
		return nil, err
	}
	plan, err := a.planFor(ctx, w, p, env, nil)
	if err != nil {
		return nil, err
	}
	now, err := a.saved(p, plan)
	if err != nil {
		return nil, err
	}
	lines, err := s.Differences(now)
	if err != nil {
		return nil, err
	}
	if s.Pipeline != now.Pipeline {
		lines = append([]string{"it is of the pipeline " + s.Pipeline}, lines...)
	}
	if len(lines) > 0 {
		return nil, pipeline.Stalef("%s is no longer what a run would do (look at a new plan):\n  %s", name, strings.Join(lines, "\n  "))
	}
	return plan, nil
}

// adopt sets the flags that a saved plan was made with. Only secrets may be given
// beside it: everything else was decided when it was saved.
func (a *app) adopt(s *pipeline.SavedPlan) error {
	f := &a.flags
	if f.environment != "" && f.environment != s.Environment {
		return usagef("the saved plan is for %s, not %s (leave out --environment)", orNone([]string{s.Environment}), f.environment)
	}
	if len(f.only)+len(f.skip)+len(f.from) > 0 || f.namespace != "" {
		return usagef("the saved plan says what runs, and from what (leave out --only, --skip, --from and --namespace)")
	}
	for _, v := range f.vars {
		if name, _, _ := strings.Cut(v, "="); !slices.Contains(s.Secrets, name) {
			return usagef("--var %s: the saved plan has the values of vars (only secrets can be given)", name)
		}
	}
	f.environment, f.only, f.skip, f.from, f.namespace = s.Environment, s.Only, s.Skip, s.From, s.Namespace
	for _, name := range pipeline.Keys(s.Vars) {
		text, ok := s.Vars[name].(string)
		if !ok {
			b, err := json.Marshal(s.Vars[name])
			if err != nil {
				return err
			}
			text = string(b)
		}
		f.vars = append(f.vars, name+"="+text)
	}
	return nil
}
