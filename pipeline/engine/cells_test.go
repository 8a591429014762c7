package engine

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/pipeline"
)

// with gives st a matrix with one axis, svc.
func with(st pipeline.Stage, vals ...string) pipeline.Stage {
	a := pipeline.Axis{Name: "svc"}
	for _, v := range vals {
		a.Values = append(a.Values, pipeline.Known(v))
	}
	st.Matrix = &pipeline.Matrix{Axes: []pipeline.Axis{a}}
	return st
}

// of makes st need only these cells of a stage.
func of(st pipeline.Stage, id pipeline.ID, cells ...pipeline.Value) pipeline.Stage {
	st.Needs = append(st.Needs, pipeline.Need{Stage: id, Cells: cells, Data: true})
	return st
}

// says is a body that logs which service it is for, and fails for one.
func says(log chan<- string, broken string) stub {
	return does(func(_ context.Context, env *pipeline.Env) error {
		svc := fmt.Sprint(env.Scope.Facts["matrix"].(map[string]any)["svc"])
		if svc == broken {
			return fmt.Errorf("%s is broken", svc)
		}
		log <- svc
		return nil
	})
}

func TestCells(t *testing.T) {
	same := pipeline.MatrixValue(pipeline.Pos{}, "svc")
	log := make(chan string, 10)
	stages := []pipeline.Stage{
		with(stage("svc", says(log, "web")), "cart", "web"),
		of(with(stage("unit", says(log, "")), "cart", "web"), "svc", same),
		stage("all", sleeps(0), "svc"),
		of(stage("one", sleeps(0)), "svc", pipeline.Known("cart")),
	}
	for _, tt := range []struct {
		planner Planner
		want    string
	}{
		{Planner{}, "svc[cart]=ok svc[web]=failed unit[cart]=ok unit[web]=skipped all=skipped one=ok"},
		{Planner{Only: []pipeline.ID{"unit[cart]"}}, "svc[cart]=ok unit[cart]=ok"},
		{Planner{Only: []pipeline.ID{"svc"}, Skip: []pipeline.ID{"svc[web]"}}, "svc[cart]=ok svc[web]=skipped"},
	} {
		plan, err := tt.planner.Plan(t.Context(), &pipeline.Pipeline{Stages: stages}, pipeline.Scope{})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range plan.Steps {
			want := map[pipeline.ID]string{"unit[cart]": "[svc[cart]]", "all": "[svc]", "one": "[svc[cart]]"}[s.ID]
			if got := fmt.Sprint(s.After); want != "" && got != want {
				t.Errorf("%s comes after %s, want %s", s.ID, got, want)
			}
		}
		res, _ := new(Runner).Run(t.Context(), plan)
		if got := ends(res); got != tt.want {
			t.Errorf("%+v:\ngot  %s\nwant %s", tt.planner, got, tt.want)
		}
	}
}

func TestNoCells(t *testing.T) {
	stages := []pipeline.Stage{with(stage("svc", sleeps(0))), stage("a", sleeps(0), "svc"), stage("b", sleeps(0), "svc?")}
	plan := planned(t, stages...)
	if got := plan.Steps[0].Skip; got != "its matrix is empty" {
		t.Errorf("skip = %q", got)
	}
	res, err := new(Runner).Run(t.Context(), plan)
	if got, want := ends(res), "svc=skipped a=skipped b=ok"; got != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

// TestCellErrors checks that a matrix that is wrong is one error, and what needs
// its stage none.
func TestCellErrors(t *testing.T) {
	for want, stages := range map[string][]pipeline.Stage{
		`stage svc: matrix has the cell a twice`:                                             {with(stage("svc", sleeps(0)), "a", "a"), stage("b", sleeps(0), "svc")},
		`stage b: stage svc has no cell "crat" (did you mean "cart"?) (want one of cart, b)`: {with(stage("svc", sleeps(0)), "cart", "b"), of(stage("b", sleeps(0)), "svc", pipeline.Known("crat"))},
	} {
		_, err := new(Planner).Plan(t.Context(), &pipeline.Pipeline{Stages: stages}, pipeline.Scope{})
		if err == nil || !strings.HasSuffix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	_, err := (&Planner{Only: []pipeline.ID{"svc[wbe]"}}).Plan(t.Context(), &pipeline.Pipeline{Stages: []pipeline.Stage{with(stage("svc", sleeps(0)), "cart", "web")}}, pipeline.Scope{})
	if err == nil || !strings.Contains(err.Error(), `did you mean "svc[web]"?`) {
		t.Errorf("error = %v", err)
	}
}
