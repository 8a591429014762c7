package stages

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/pipeline"
)

// A Survey finds out what a run would ask of a cluster, without one: planning with
// its kinds fills it in. It stands in for the cluster, in which there is nothing.
type Survey struct {
	Namespace string // of what names none

	Sets []deploy.Set // what deploys consist of
	Jobs []SurveyJob
	Asks []SurveyAsk

	mu     sync.Mutex
	inside map[pipeline.ID]bool
}

// A SurveyJob is where a Job runs.
type SurveyJob struct {
	Namespace string
	Secret    bool // it reads a Secret of its own
}

// A SurveyAsk is a request through the API server.
type SurveyAsk struct {
	Namespace string
	Request   deploy.Request // without a URL where that is not known yet
}

// Kinds returns the kinds of stage slipway knows, such that planning with them
// tells s.
func (s *Survey) Kinds(t Tools) []pipeline.Kind {
	t.Cluster, t.Keeper, t.Jobs = s, s, s
	kinds := Kinds(t)
	for i, k := range kinds {
		made := k.New
		switch k.Name {
		case "exec":
			kinds[i].New = func() pipeline.Planner { return &surveyedExec{*made().(*Exec), s} }
		case "verify":
			kinds[i].New = func() pipeline.Planner { return &surveyedVerify{*made().(*Verify), s} }
		}
	}
	return kinds
}

// Inside reports whether a step needs a cluster.
func (s *Survey) Inside(step pipeline.Step) bool { return step.Kind == "deploy" || s.inside[step.ID] }

func (s *Survey) tell(step pipeline.ID, add func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inside == nil {
		s.inside = map[pipeline.ID]bool{}
	}
	if step != "" {
		s.inside[step] = true
	}
	add()
}

// Check implements [Cluster]: every cluster is the one that is meant.
func (s *Survey) Check(context.Context, string) (string, error) { return s.Namespace, nil }

// Diff implements [Cluster]: all of a set is new.
func (s *Survey) Diff(_ context.Context, set deploy.Set) ([]deploy.Change, error) {
	s.tell("", func() { s.Sets = append(s.Sets, set) })
	var changes []deploy.Change
	for _, o := range set.Objects {
		changes = append(changes, deploy.Change{Object: o, Op: deploy.Create})
	}
	return changes, nil
}

// errSurvey is why nothing is done.
var errSurvey = errors.New("this is a survey, which changes nothing")

// Apply implements [Cluster]; it does nothing.
func (s *Survey) Apply(context.Context, deploy.Set, []deploy.Change, func(deploy.Status)) error {
	return errSurvey
}

// Held implements [Keeper]: nothing is held.
func (s *Survey) Held(context.Context, deploy.Set) error { return nil }

// Lock implements [Keeper]; it does nothing.
func (s *Survey) Lock(context.Context, deploy.Set, []deploy.Change, deploy.Run, func(deploy.Status), func(context.Context, Turn) error) error {
	return errSurvey
}

// Revisions implements [Keeper]: there are none.
func (s *Survey) Revisions(context.Context, deploy.Set) ([]deploy.Revision, error) { return nil, nil }

// JobState implements [Jobs]: there is none.
func (s *Survey) JobState(context.Context, deploy.Object) (deploy.JobState, error) {
	return deploy.JobState{}, nil
}

// StartJob implements [Jobs]; it does nothing.
func (s *Survey) StartJob(context.Context, deploy.Job) error { return errSurvey }

// FollowJob implements [Jobs]; it does nothing.
func (s *Survey) FollowJob(context.Context, deploy.Object, func(string)) error { return errSurvey }

// StopJob implements [Jobs]; it does nothing.
func (s *Survey) StopJob(context.Context, deploy.Object) error { return errSurvey }

var (
	_ Cluster = (*Survey)(nil)
	_ Keeper  = (*Survey)(nil)
	_ Jobs    = (*Survey)(nil)
)

// command tells of an exec, if it runs in a cluster.
func (s *Survey) command(sc pipeline.Scope, e *Exec) {
	if e.In != inCluster {
		return
	}
	job := SurveyJob{Namespace: cmp.Or(sc.Environment.Namespace, s.Namespace)}
	for _, v := range e.Env {
		job.Secret = job.Secret || v.Secret()
	}
	s.tell(sc.Step, func() { s.Jobs = append(s.Jobs, job) })
}

// surveyedExec tells where it runs.
type surveyedExec struct {
	Exec
	survey *Survey
}

// Plan is that of [Exec].
func (e *surveyedExec) Plan(ctx context.Context, sc pipeline.Scope) (pipeline.Action, error) {
	e.survey.command(sc, &e.Exec)
	return e.Exec.Plan(ctx, sc)
}

// surveyedVerify tells whom it asks.
type surveyedVerify struct {
	Verify
	survey *Survey
}

// Plan is that of [Verify].
func (v *surveyedVerify) Plan(ctx context.Context, sc pipeline.Scope) (pipeline.Action, error) {
	switch h := v.HTTP; {
	case v.Exec != nil:
		v.survey.command(sc, v.Exec)
	case h.In == inCluster:
		ask := SurveyAsk{Namespace: cmp.Or(sc.Environment.Namespace, v.survey.Namespace)}
		ask.Request.Method = cmp.Or(strings.ToUpper(h.Method), http.MethodGet)
		if u, err := h.url(sc); err == nil {
			ask.Request.URL = u.String()
		}
		v.survey.tell(sc.Step, func() { v.survey.Asks = append(v.survey.Asks, ask) })
	}
	return v.Verify.Plan(ctx, sc)
}
