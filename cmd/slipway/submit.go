package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/deploy/kube"
	"github.com/slipway-ci/slipway/deploy/runner"
	"github.com/slipway-ci/slipway/pipeline/report"
)

// submit applies what slipway needs in a cluster, and follows its Jobs, the one
// that builds first: the other is submitted once that has ended well.
func (a *app) submit(ctx context.Context, w *world, s runner.Spec) error {
	var first, jobs []deploy.Object
	for _, o := range s.Objects() {
		if o.Kind() == "Job" {
			jobs = append(jobs, o)
		} else {
			first = append(first, o)
		}
	}
	if err := w.cluster.Put(ctx, first); err != nil {
		return err
	}
	if s.Schedule != "" {
		for _, o := range first {
			if o.Kind() == "CronJob" {
				fmt.Fprintf(a.stdout, "%s runs at %q\n", o, s.Schedule)
			}
		}
		return nil
	}
	for _, job := range jobs {
		if err := w.cluster.Put(ctx, []deploy.Object{job}); err != nil {
			return err
		}
		fmt.Fprintf(a.stderr, "%s submitted\n", job)
		if err := a.followJob(ctx, w, job, s.Deadline); err != nil {
			return err
		}
	}
	return nil
}

// lastOutput is how long the end of a log is waited for after a Job has ended.
const lastOutput = 3 * time.Second

// followJob shows what a Job writes until it has ended, and returns a [toldError]
// with the exit code of its run. A Job is not ended with us.
func (a *app) followJob(ctx context.Context, w *world, job deploy.Object, deadline time.Duration) error {
	following, stop := context.WithCancelCause(ctx)
	out := a.mask(a.stderr)
	if a.flags.progress == "quiet" {
		out = io.Discard
	}
	followed := make(chan struct{})
	var end *kube.PodExit
	go func() {
		defer close(followed)
		var exit sync.WaitGroup
		exit.Go(func() { end, _ = w.cluster.JobExit(following, job) })
		err := w.cluster.FollowJob(following, job, func(line string) { fmt.Fprintln(out, report.Tame(line)) })
		if err != nil && following.Err() == nil {
			fmt.Fprintf(out, "its log cannot be followed: %v\n", err)
		}
		exit.Wait()
	}()
	set := deploy.Set{Name: job.Name(), Namespace: job.Namespace(), Objects: []deploy.Object{job}}
	said := ""
	_, err := w.tools.Rollout.Wait(ctx, set, []deploy.Change{{Object: job, Op: deploy.Create}}, deadline+time.Minute, func(s deploy.Status) {
		if said == "" { // while it waits for a node or an image; then its log says more
			fmt.Fprintf(out, "%s  %s\n", s.Object, s.Message)
		}
		said = s.Message
	})
	limit := time.NewTimer(lastOutput)
	defer limit.Stop()
	select {
	case <-followed:
	case <-limit.C:
	case <-ctx.Done():
	}
	stop(nil)
	<-followed
	if ctx.Err() != nil {
		fmt.Fprintf(a.stderr, "%s goes on in the cluster (kubectl -n %s delete job %s ends it)\n", job, job.Namespace(), job.Name())
		return context.Cause(ctx)
	}
	return a.jobEnd(job, end, err)
}

// jobEnd says how a Job ended: with what its run left, or else with failure, which
// is what could be seen of it from outside.
func (a *app) jobEnd(job deploy.Object, end *kube.PodExit, failure error) error {
	var red *deploy.RolloutError
	late := failure != nil && strings.Contains(failure.Error(), "DeadlineExceeded")
	switch {
	case failure != nil && !errors.As(failure, &red):
		return failure
	case failure == nil:
		fmt.Fprintf(a.stdout, "%s  ok\n", job)
		return nil
	case late:
		end = &kube.PodExit{Code: exitTimeout}
	case end == nil || end.Code == 0:
		return &deploy.JobError{Verdict: red.Verdicts[0]}
	}
	var v verdict
	if json.Unmarshal([]byte(end.Message), &v) != nil || v.Cause == "" {
		v.Cause = cmp.Or(end.Message, failure.Error())
	}
	fmt.Fprintf(a.mask(a.stdout), "%s  failed, exit code %d: %s\n", job, end.Code, report.Tame(v.Cause))
	return &toldError{code: end.Code}
}
