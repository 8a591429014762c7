package stagestest

import (
	"context"

	"github.com/slipway-ci/slipway/deploy"
)

// JobState implements [stages.Jobs].
func (w *World) JobState(_ context.Context, job deploy.Object) (deploy.JobState, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.Jobs[job.Namespace()+"/"+job.Name()]; ok {
		return deploy.JobState{Phase: deploy.JobSucceeded}, nil
	}
	return deploy.JobState{}, nil
}

// StartJob runs a Job, which succeeds unless FailExec is set.
func (w *World) StartJob(_ context.Context, job deploy.Job) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.did("job %s", job.Object.Name())
	if w.FailExec == nil {
		if w.Jobs == nil {
			w.Jobs = map[string]deploy.Job{}
		}
		w.Jobs[job.Object.Namespace()+"/"+job.Object.Name()] = job
	}
	return nil
}

// FollowJob implements [stages.Jobs].
func (w *World) FollowJob(_ context.Context, _ deploy.Object, line func(string)) error {
	line("done")
	return nil
}

// StopJob implements [stages.Jobs].
func (w *World) StopJob(context.Context, deploy.Object) error { return nil }
