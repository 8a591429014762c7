package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/slipway-ci/slipway/pipeline"
)

// A Runner runs plans. The zero Runner is ready to use.
type Runner struct {
	Parallel int           // steps at once; zero means no limit: builders and the cluster limit themselves
	Turns    int           // steps at once of those that take turns, until they end theirs; zero means no limit
	Sink     pipeline.Sink // nil discards events
}

// A Result says how a run ended. It is complete even when Run returns an error.
type Result struct {
	Status pipeline.Status
	Steps  []pipeline.ReleaseStep // in the order of the plan
	Scope  pipeline.Scope         // with every output that became known
}

// A TimeoutError says that a step took longer than its timeout allows.
type TimeoutError struct{ Limit time.Duration }

func (e *TimeoutError) Error() string {
	return fmt.Sprintf("took longer than its timeout of %v", e.Limit)
}

// Run runs every step of plan. It returns a [pipeline.ErrorList] if steps
// failed, and the cause of ctx if the run was interrupted. A step that failed
// keeps what needs it from running, and nothing else.
func (r *Runner) Run(ctx context.Context, plan *pipeline.Plan) (*Result, error) {
	run := &run{
		scope: plan.Scope, sink: r.Sink, at: map[pipeline.ID]int{}, turns: newTurns(r.Turns),
		out: make([]pipeline.ReleaseStep, len(plan.Steps)), errs: make([]error, len(plan.Steps)),
	}
	run.scope.Steps = run.scope.Steps.Clone()
	done := make([]chan struct{}, len(plan.Steps))
	for i, s := range plan.Steps {
		run.at[s.ID] = i
		done[i] = make(chan struct{})
	}
	slots := newTurns(r.Parallel)
	began := time.Now()
	run.emit(pipeline.Event{Type: pipeline.EventStart, Text: plan.Pipeline, Total: int64(len(plan.Steps))})
	var wg sync.WaitGroup
	for i := range plan.Steps {
		wg.Go(func() {
			defer close(done[i])
			for _, n := range plan.Steps[i].Needs {
				<-done[run.at[n.Stage]]
			}
			defer slots.take(ctx)()
			run.step(ctx, i, plan.Steps)
		})
	}
	wg.Wait()

	res := &Result{Status: pipeline.StatusOK, Steps: run.out, Scope: run.scope}
	var errs pipeline.ErrorList
	for i, s := range plan.Steps {
		if run.out[i].Status == pipeline.StatusFailed {
			res.Status = pipeline.StatusFailed
			errs.Add(s.Pos, s.ID, "failed", run.errs[i])
		}
	}
	err := errs.Err()
	if ctx.Err() != nil {
		res.Status = pipeline.StatusCanceled
		err = errors.Join(context.Cause(ctx), err)
	}
	run.emit(pipeline.Event{Type: pipeline.EventFinish, Status: res.Status, Elapsed: time.Since(began)})
	return res, err
}

// run is a Run in progress.
type run struct {
	scope  pipeline.Scope
	sinkMu sync.Mutex
	sink   pipeline.Sink
	at     map[pipeline.ID]int
	turns  turns
	out    []pipeline.ReleaseStep
	errs   []error

	undoing sync.Mutex // one step at a time is undone
	undone  map[pipeline.ID]bool
}

func (r *run) emit(ev pipeline.Event) {
	r.sinkMu.Lock()
	defer r.sinkMu.Unlock()
	if r.sink != nil {
		ev.Time = time.Now()
		r.sink(ev)
	}
}

// step runs steps[i], whose needs have ended.
func (r *run) step(ctx context.Context, i int, steps []pipeline.Step) {
	s, end := &steps[i], func() {}
	status, why := r.before(ctx, s, steps)
	if status == "" && s.Turn {
		end = r.turns.take(ctx)
		defer end()
		status, why = r.before(ctx, s, steps) // the run may have ended meanwhile
	}
	began := time.Now() // a step that waits for its turn has not begun: not for its timeout either
	var err error
	if status == "" {
		r.emit(pipeline.Event{Type: pipeline.EventStart, Step: s.ID})
		env := &pipeline.Env{Scope: r.scope.Cell(s.Matrix), Sink: r.emit, Turn: end}
		env.Scope.Step = s.ID
		status = pipeline.StatusOK
		if err = attempt(ctx, s, env); err != nil {
			status, why = pipeline.StatusFailed, err.Error()
			if ctx.Err() != nil {
				status = pipeline.StatusCanceled
			} else if s.Checks {
				err = errors.Join(err, r.undo(ctx, s, steps, err))
			}
		}
	}
	if !status.Good() { // what planning knew did not come about
		r.scope.Steps.Drop(s.ID)
	}
	r.scope.Steps.End(s.ID, status)
	r.errs[i] = err
	r.out[i] = pipeline.ReleaseStep{ID: s.ID, Kind: s.Kind, Status: status, From: s.From, Outputs: r.scope.Steps.Outputs(s.ID), Elapsed: time.Since(began)}
	if err != nil {
		r.out[i].Error = err.Error()
	}
	r.emit(pipeline.Event{Type: pipeline.EventFinish, Step: s.ID, Status: status, Text: why, Elapsed: time.Since(began)})
}

// before returns how s ends without running, and why, or "" if it runs.
func (r *run) before(ctx context.Context, s *pipeline.Step, steps []pipeline.Step) (pipeline.Status, string) {
	if s.Skip != "" {
		return pipeline.StatusSkipped, s.Skip
	}
	if ctx.Err() != nil {
		return pipeline.StatusCanceled, context.Cause(ctx).Error()
	}
	for _, n := range s.Needs {
		st := r.scope.Steps.Status(n.Stage)
		if !st.Good() && !(n.Optional && steps[r.at[n.Stage]].Off) && !s.Policy.Always {
			return pipeline.StatusSkipped, fmt.Sprintf("%s %s", n.Stage, st)
		}
	}
	if s.Idle {
		return pipeline.StatusReused, "not needed"
	}
	if s.Do == nil && s.From != "" {
		return pipeline.StatusReused, "taken from release " + s.From
	}
	if s.Do == nil {
		return pipeline.StatusReused, "nothing to do"
	}
	return "", ""
}

// longestPause is the most that is waited before a further attempt; the first
// pause is a second, and each is twice the one before.
const longestPause = 30 * time.Second

// attempt performs the action of s under its policy.
func attempt(ctx context.Context, s *pipeline.Step, env *pipeline.Env) error {
	if d := s.Policy.Timeout; d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, d, &TimeoutError{Limit: d})
		defer cancel()
	}
	for n := 0; ; n++ {
		err := s.Do(ctx, env)
		switch {
		case err == nil:
			return nil
		case ctx.Err() == nil && n < s.Policy.Retries:
			env.Emit(pipeline.Event{Type: pipeline.EventRetry, Text: err.Error(), Done: int64(n + 1), Total: int64(s.Policy.Retries)})
			select {
			case <-time.After(min(time.Second<<min(n, 10), longestPause)):
			case <-ctx.Done():
			}
		case errors.Is(err, ctx.Err()) && ctx.Err() != nil:
			return context.Cause(ctx) // "context deadline exceeded" says less than its cause
		default:
			return err
		}
	}
}
