package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-ci/slipway/pipeline"
)

// stub is a body that gives an action.
type stub func(sc pipeline.Scope) (pipeline.Action, error)

func (s stub) Plan(_ context.Context, sc pipeline.Scope) (pipeline.Action, error) { return s(sc) }

// does returns a body whose Do is do.
func does(do func(ctx context.Context, env *pipeline.Env) error) stub {
	return func(pipeline.Scope) (pipeline.Action, error) { return pipeline.Action{Do: do}, nil }
}

func sleeps(d time.Duration) stub {
	return does(func(ctx context.Context, _ *pipeline.Env) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

func fails(err error) stub {
	return does(func(context.Context, *pipeline.Env) error { return err })
}

// stage makes a stage that needs others: "x" by order, "x.out" by data, "x?"
// optionally.
func stage(id string, body pipeline.Planner, needs ...string) pipeline.Stage {
	st := pipeline.Stage{ID: pipeline.ID(id), Body: body, Pos: pipeline.Pos{File: "f", Line: 1}}
	for _, n := range needs {
		name, out, _ := strings.Cut(strings.TrimSuffix(n, "?"), ".")
		st.Needs = append(st.Needs, pipeline.Need{Stage: pipeline.ID(name), Data: out != "", Optional: strings.HasSuffix(n, "?")})
	}
	return st
}

func planned(t *testing.T, stages ...pipeline.Stage) *pipeline.Plan {
	t.Helper()
	plan, err := new(Planner).Plan(t.Context(), &pipeline.Pipeline{Name: "p", Stages: stages}, pipeline.Scope{})
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// ends returns "id=status" of every step, in the order of the plan.
func ends(res *Result) string {
	var s []string
	for _, st := range res.Steps {
		s = append(s, fmt.Sprintf("%s=%s", st.ID, st.Status))
	}
	return strings.Join(s, " ")
}

func TestParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plan := planned(t, stage("c", sleeps(time.Second), "a", "b"), stage("a", sleeps(2*time.Second)), stage("b", sleeps(3*time.Second)))
		for limit, want := range map[int]time.Duration{0: 4 * time.Second, 1: 6 * time.Second} {
			began := time.Now()
			res, err := (&Runner{Parallel: limit}).Run(t.Context(), plan)
			if err != nil || ends(res) != "a=ok b=ok c=ok" {
				t.Errorf("%s, %v", ends(res), err)
			}
			if took := time.Since(began); took != want {
				t.Errorf("with a limit of %d the run took %v, want %v", limit, took, want)
			}
		}
	})
}

// TestTurns has four steps of which two may be at work for a second each, before they wait
// for somebody else for an hour. The time before a turn is nobody's: no timeout runs.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stages []pipeline.Stage
		for _, id := range []string{"a", "b", "c", "d"} {
			st := stage(id, stub(func(pipeline.Scope) (pipeline.Action, error) {
				return pipeline.Action{Turn: true, Do: func(_ context.Context, env *pipeline.Env) error {
					time.Sleep(time.Second)
					env.EndTurn()
					time.Sleep(time.Hour)
					env.EndTurn()
					return nil
				}}, nil
			}))
			st.Policy.Timeout = time.Hour + time.Second + time.Millisecond
			stages = append(stages, st)
		}
		for limit, want := range map[int]time.Duration{0: time.Second, 1: 4 * time.Second, 2: 2 * time.Second, 4: time.Second} {
			began, begun := time.Now(), map[time.Duration]int{}
			res, err := (&Runner{Turns: limit, Sink: func(ev pipeline.Event) {
				if ev.Type == pipeline.EventStart && ev.Step != "" {
					begun[time.Since(began)]++
				}
			}}).Run(t.Context(), planned(t, stages...))
			if err != nil || ends(res) != "a=ok b=ok c=ok d=ok" {
				t.Errorf("%d turns: %s, %v", limit, ends(res), err)
			}
			if took := time.Since(began); took != time.Hour+want {
				t.Errorf("with %d turns the run took %v, want %v", limit, took, time.Hour+want)
			}
			for at, n := range begun {
				if limit > 0 && n > limit {
					t.Errorf("with %d turns %d steps began after %v", limit, n, at)
				}
			}
			for _, st := range res.Steps {
				if st.Elapsed != time.Hour+time.Second {
					t.Errorf("with %d turns %s took %v", limit, st.ID, st.Elapsed)
				}
			}
		}
	})
}

// TestCancelTurns ends a run in which one step works, and another waits for its turn.
func TestCancelTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turn := func(body stub) stub {
			return func(sc pipeline.Scope) (pipeline.Action, error) {
				act, err := body(sc)
				act.Turn = true
				return act, err
			}
		}
		enough := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(enough) })
		begun := 0
		res, err := (&Runner{Turns: 1, Sink: func(ev pipeline.Event) {
			if ev.Type == pipeline.EventStart && ev.Step != "" {
				begun++
			}
		}}).Run(ctx, planned(t, stage("a", turn(sleeps(time.Hour))), stage("b", turn(sleeps(time.Hour)))))
		if !errors.Is(err, enough) || ends(res) != "a=canceled b=canceled" || begun != 1 {
			t.Errorf("%s, %v, %d began", ends(res), err, begun)
		}
		// A step that fails gives its turn back.
		res, err = (&Runner{Turns: 1}).Run(t.Context(), planned(t, stage("a", turn(fails(enough))), stage("b", turn(sleeps(0)))))
		if got := ends(res); got != "a=failed b=ok" {
			t.Errorf("%s, %v", got, err)
		}
	})
}

func TestFailureStopsOnlyWhatNeedsIt(t *testing.T) {
	bad := errors.New("bad")
	always := stage("clean", sleeps(0), "b")
	always.Policy.Always = true
	plan := planned(t, stage("a", fails(bad)), stage("b", sleeps(0), "a"), stage("c", sleeps(0)), stage("d", sleeps(0), "c"), always)
	res, err := new(Runner).Run(t.Context(), plan)
	if !errors.Is(err, bad) {
		t.Errorf("error = %v", err)
	}
	if got, want := ends(res), "a=failed c=ok b=skipped d=ok clean=ok"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		st := stage("a", does(func(context.Context, *pipeline.Env) error {
			if n++; n < 3 {
				return errors.New("not yet")
			}
			return nil
		}))
		for _, tt := range []struct {
			retries int
			want    pipeline.Status
			pauses  time.Duration
		}{{2, pipeline.StatusOK, 3 * time.Second}, {1, pipeline.StatusFailed, time.Second}, {0, pipeline.StatusFailed, 0}} {
			n = 0
			st.Policy.Retries = tt.retries
			began := time.Now()
			res, _ := new(Runner).Run(t.Context(), planned(t, st))
			if res.Status != tt.want || time.Since(began) != tt.pauses {
				t.Errorf("%d retries: %s after %v, want %s after %v", tt.retries, res.Status, time.Since(began), tt.want, tt.pauses)
			}
		}
	})
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := stage("a", sleeps(time.Hour))
		st.Policy = pipeline.Policy{Timeout: time.Minute, Retries: 5}
		began := time.Now()
		_, err := new(Runner).Run(t.Context(), planned(t, st))
		var timeout *TimeoutError
		if !errors.As(err, &timeout) || time.Since(began) != time.Minute {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		st.Policy.Timeout = 2 * time.Hour
		if _, err := new(Runner).Run(t.Context(), planned(t, st)); err != nil {
			t.Error(err)
		}
	})
}

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(cause) })
		res, err := new(Runner).Run(ctx, planned(t, stage("a", sleeps(time.Hour)), stage("b", sleeps(0), "a"), stage("c", sleeps(0))))
		if !errors.Is(err, cause) {
			t.Errorf("error = %v", err)
		}
		if got, want := ends(res), "a=canceled c=ok b=canceled"; got != want || res.Status != pipeline.StatusCanceled {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

// gives is a lazy body that promises out.
func gives(id pipeline.ID) stub {
	return func(pipeline.Scope) (pipeline.Action, error) {
		return pipeline.Action{
			Lazy: true, Outputs: map[string]pipeline.Value{"out": pipeline.Promise(id, "out", pipeline.String)},
			Do: func(_ context.Context, env *pipeline.Env) error {
				env.Keep("out", "kept by "+string(id))
				return nil
			},
		}, nil
	}
}

// nothing is a body that has nothing to do.
var nothing stub = func(pipeline.Scope) (pipeline.Action, error) { return pipeline.Action{}, nil }

func TestLazy(t *testing.T) {
	for name, tt := range map[string]struct {
		user stub
		want string
	}{
		"needed":     {sleeps(0), "a=ok b=ok"},
		"not needed": {nothing, "a=reused b=reused"},
	} {
		res, err := new(Runner).Run(t.Context(), planned(t, stage("a", gives("a")), stage("b", tt.user, "a.out")))
		if err != nil || ends(res) != tt.want {
			t.Errorf("%s: got %s, %v, want %s", name, ends(res), err, tt.want)
		}
	}
	for name, tt := range map[string]struct {
		stages []pipeline.Stage
		want   string
	}{
		"nobody needs it": {[]pipeline.Stage{stage("a", gives("a"))}, "a=ok"},
		"a gate":          {[]pipeline.Stage{stage("a", gives("a")), stage("b", nothing, "a.out"), stage("c", sleeps(0), "a")}, "a=ok b=reused c=ok"},
	} {
		res, _ := new(Runner).Run(t.Context(), planned(t, tt.stages...))
		if got := ends(res); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

func TestPromises(t *testing.T) {
	value := pipeline.Promise("a", "out", pipeline.String)
	got := ""
	user := does(func(_ context.Context, env *pipeline.Env) error {
		var err error
		got, err = value.Text(env.Scope)
		return err
	})
	plan := planned(t, stage("a", gives("a")), stage("b", user, "a.out"))
	for range 2 { // a plan can be run again
		if _, err := new(Runner).Run(t.Context(), plan); err != nil || got != "kept by a" {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if _, err := value.Eval(plan.Scope); !errors.Is(err, pipeline.ErrUnkept) {
		t.Errorf("running changed the plan: %v", err)
	}
}

// condition is an Expr that is a constant.
type condition bool

func (condition) Refs() []pipeline.Ref               { return nil }
func (condition) Type() pipeline.Type                { return pipeline.Bool }
func (condition) Secret() bool                       { return false }
func (c condition) Eval(pipeline.Scope) (any, error) { return bool(c), nil }

func TestSkips(t *testing.T) {
	off := stage("off", sleeps(0))
	v := pipeline.Written(pipeline.Pos{}, condition(false))
	off.If = &v
	stages := []pipeline.Stage{off, stage("a", sleeps(0), "off"), stage("b", sleeps(0), "off?"), stage("c", sleeps(0), "a?"), stage("d", sleeps(0))}
	for _, tt := range []struct {
		planner Planner
		want    string
	}{
		{Planner{}, "off=skipped d=ok a=skipped b=ok c=skipped"},
		{Planner{Skip: []pipeline.ID{"d", "off"}}, "off=skipped d=skipped a=skipped b=skipped c=skipped"},
		{Planner{Only: []pipeline.ID{"b"}}, "off=skipped b=ok"},
	} {
		plan, err := tt.planner.Plan(t.Context(), &pipeline.Pipeline{Stages: stages}, pipeline.Scope{})
		if err != nil {
			t.Fatal(err)
		}
		res, err := new(Runner).Run(t.Context(), plan)
		if err != nil || ends(res) != tt.want {
			t.Errorf("%+v:\ngot  %s\nwant %s\n%v", tt.planner, ends(res), tt.want, err)
		}
	}
	if _, err := (&Planner{Only: []pipeline.ID{"of"}}).Plan(t.Context(), &pipeline.Pipeline{Stages: stages}, pipeline.Scope{}); err == nil || !strings.Contains(err.Error(), `did you mean "off"?`) {
		t.Errorf("--only of: %v", err)
	}
}

// TestNoValue checks that nothing plans to use a value that will not be there.
func TestNoValue(t *testing.T) {
	off := stage("off", gives("off"))
	v := pipeline.Written(pipeline.Pos{}, condition(false))
	off.If = &v
	always := stage("a", sleeps(0), "off.out")
	always.Policy.Always = true
	for _, st := range []pipeline.Stage{stage("a", sleeps(0), "off.out?"), always} {
		if _, err := new(Planner).Plan(t.Context(), &pipeline.Pipeline{Stages: []pipeline.Stage{off, st}}, pipeline.Scope{}); err == nil || !strings.Contains(err.Error(), "which is skipped") {
			t.Errorf("error = %v", err)
		}
	}
}

// TestUndone checks that what planning knew of a step is forgotten when the
// step does not come about.
func TestUndone(t *testing.T) {
	known := stub(func(pipeline.Scope) (pipeline.Action, error) {
		return pipeline.Action{Outputs: map[string]pipeline.Value{"out": pipeline.Known("x")}, Do: func(context.Context, *pipeline.Env) error { return errors.New("no") }}, nil
	})
	res, _ := new(Runner).Run(t.Context(), planned(t, stage("a", known)))
	if len(res.Steps[0].Outputs) != 0 {
		t.Errorf("outputs of a failed step: %v", res.Steps[0].Outputs)
	}
}

// TestPlanErrors checks that all errors come at once, and none that only follows.
func TestPlanErrors(t *testing.T) {
	broken := stub(func(pipeline.Scope) (pipeline.Action, error) { return pipeline.Action{}, errors.New("broken") })
	_, err := new(Planner).Plan(t.Context(), &pipeline.Pipeline{Stages: []pipeline.Stage{
		stage("a", broken), stage("b", broken, "a"), stage("c", broken),
	}}, pipeline.Scope{})
	var list pipeline.ErrorList
	if !errors.As(err, &list) || len(list) != 2 {
		t.Errorf("error = %v, want those of a and c", err)
	}
}

func TestEvents(t *testing.T) {
	var got []string
	r := Runner{Sink: func(ev pipeline.Event) { got = append(got, fmt.Sprintf("%s %s%s", ev.Type, ev.Step, ev.Status)) }}
	if _, err := r.Run(t.Context(), planned(t, stage("a", gives("a")))); err != nil {
		t.Fatal(err)
	}
	want := "[start  start a output a finish aok finish ok]"
	if s := fmt.Sprint(got); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
}
