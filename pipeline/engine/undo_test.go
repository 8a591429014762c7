package engine

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/slipway-ci/slipway/pipeline"
)

// TestUndo checks that a failing check undoes what it comes after, once, the last
// first; and that other failures undo nothing.
func TestUndo(t *testing.T) {
	for name, tt := range map[string]struct {
		checks bool
		want   []pipeline.ID
	}{"a check": {true, []pipeline.ID{"web", "db"}}, "no check": {false, nil}} {
		var undone []pipeline.ID
		takes := func(do func(context.Context, *pipeline.Env) error) stub {
			return func(pipeline.Scope) (pipeline.Action, error) {
				return pipeline.Action{Do: do, Undo: func(_ context.Context, env *pipeline.Env, cause error) error {
					undone = append(undone, env.Scope.Step)
					return errors.New("back, for " + cause.Error())
				}}, nil
			}
		}
		good := func(context.Context, *pipeline.Env) error { return nil }
		check := func(pipeline.Scope) (pipeline.Action, error) {
			return pipeline.Action{Checks: tt.checks, Do: func(context.Context, *pipeline.Env) error { return errors.New("no answer") }}, nil
		}
		_, err := new(Runner).Run(t.Context(), planned(t,
			stage("db", takes(good)), stage("web", takes(good), "db"), stage("other", takes(good)),
			stage("idle", takes(nil)), stage("smoke", stub(check), "web", "idle"), stage("load", stub(check), "web")))
		if !slices.Equal(undone, tt.want) {
			t.Errorf("%s: undone %v, want %v", name, undone, tt.want)
		}
		if tt.checks && !slices.Contains(errorTexts(err), "stage smoke: no answer\nback, for no answer\nback, for no answer") &&
			!slices.Contains(errorTexts(err), "stage load: no answer\nback, for no answer\nback, for no answer") {
			t.Errorf("%s: errors %q", name, errorTexts(err))
		}
	}
}

// errorTexts returns each error of a run without its place.
func errorTexts(err error) []string {
	var list pipeline.ErrorList
	var texts []string
	if errors.As(err, &list) {
		for _, e := range list {
			texts = append(texts, "stage "+string(e.Stage)+": "+e.Err.Error())
		}
	}
	return texts
}
