package rollout

import (
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// lookJob reads a Job. Its failures are its own to count, so a container that
// dies is no verdict until the Job gives up; FailureTarget says so while the
// pods that show why are still there.
func lookJob(o any, s *snapshot) picture {
	job, ok := o.(*batchv1.Job)
	if !ok {
		return picture{}
	}
	p := picture{observed: true, want: int(job.Status.Succeeded), spec: &job.Spec.Template.Spec, finishes: true, retries: true}
	switch {
	case job.Spec.Completions != nil:
		p.want = int(*job.Spec.Completions)
	case p.want == 0:
		p.want = 1
	}
	for _, c := range job.Status.Conditions {
		if c.Status != corev1.ConditionTrue {
			continue
		}
		switch c.Type {
		case batchv1.JobComplete:
			p.complete = true
		case batchv1.JobFailed, batchv1.JobFailureTarget:
			p.failure = strings.TrimSuffix(c.Reason+": "+c.Message, ": ")
		}
	}
	p.take(s.pods[job.UID], func(*corev1.Pod) bool { return true })
	switch {
	case job.Spec.Suspend != nil && *job.Spec.Suspend && !p.complete:
		p.idle = "the Job is suspended"
	case p.want == 0:
		p.idle = "0 completions"
	case p.complete && len(p.ready()) == 0:
		p.idle = "the Job has completed and its pods are gone"
	}
	return p
}

// lookCronJob reads a CronJob. Nothing of it runs until its time has come.
func lookCronJob(o any, _ *snapshot) picture {
	cron, ok := o.(*batchv1.CronJob)
	if !ok {
		return picture{}
	}
	idle := "a CronJob runs at " + cron.Spec.Schedule
	if cron.Spec.Suspend != nil && *cron.Spec.Suspend {
		idle = "the CronJob is suspended"
	}
	return picture{observed: true, idle: idle, spec: &cron.Spec.JobTemplate.Spec.Template.Spec}
}
