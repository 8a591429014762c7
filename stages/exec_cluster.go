package stages

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/pipeline"
)

// Jobs runs commands in a cluster, as Jobs whose names stand for their content.
type Jobs interface {
	// JobState says how far a Job is. It changes nothing.
	JobState(ctx context.Context, job deploy.Object) (deploy.JobState, error)
	// StartJob starts a Job, in place of one of the same name that has ended; one
	// that runs goes on. It may be called again after a failure.
	StartJob(ctx context.Context, job deploy.Job) error
	// FollowJob gives every line that the Job writes to line, until it has ended
	// or ctx has. It changes nothing.
	FollowJob(ctx context.Context, job deploy.Object, line func(string)) error
	// StopJob takes a Job away whose container has never started, and leaves
	// every other one.
	StopJob(ctx context.Context, job deploy.Object) error
}

// inCluster is the place of what happens in the cluster.
const inCluster = "cluster"

// jobContainer is the name of the container of a Job.
const jobContainer = "exec"

// A Source is an object of the cluster that gives environment variables.
type Source struct {
	Secret    string `yaml:"secret,short" doc:"Name of a Secret that is in the namespace."`
	ConfigMap string `yaml:"configMap" doc:"Name of a ConfigMap that is in the namespace."`
}

// Resources are what a container asks for, and what it may have at most.
type Resources struct {
	Requests map[string]string `yaml:"requests" doc:"What is kept free for it: {cpu: 100m, memory: 64Mi}."`
	Limits   map[string]string `yaml:"limits" doc:"What it may use at most."`
}

// checkCluster finds what cannot be in the cluster, and what can be nowhere else.
func (e *Exec) checkCluster() []error {
	var errs []error
	fail := func(field, code, text string) {
		errs = append(errs, &pipeline.FieldError{Field: field, Code: code, Err: errors.New(text)})
	}
	if places := []string{"builder", inCluster}; e.In != "" && !written(e.In) && !slices.Contains(places, e.In) {
		fail("in", "bad-value", "in is neither builder nor cluster"+pipeline.Nearest(e.In, places))
		return errs
	}
	if e.In != inCluster {
		for field, there := range map[string]bool{"envFrom": e.EnvFrom != nil, "serviceAccount": e.ServiceAccount != "", "resources": e.Resources != nil, "rerun": e.Rerun} {
			if there {
				fail(field, "wrong-place", field+" is for in: cluster (add that, or leave it out)")
			}
		}
		return errs
	}
	for field, there := range map[string]bool{"network": e.Network != "", "cache": e.Cache} {
		if there {
			fail(field, "wrong-place", field+" is for the builder, not for in: cluster (leave it out; what has succeeded in the cluster is not run again)")
		}
	}
	if _, err := strconv.Atoi(e.User); err != nil && e.User != "" && !written(e.User) {
		fail("user", "bad-value", "in the cluster, user is a number (want one such as 65532)")
	}
	if e.Image.Type() == pipeline.Image {
		fail("image", "not-pushed", "this image is in no registry, so no node can pull it (give its stage push:, or copy it to a repository)")
	}
	for i, s := range e.EnvFrom {
		if (s.Secret == "") == (s.ConfigMap == "") {
			fail(fmt.Sprintf("envFrom[%d]", i), "bad-value", "want one of secret: and configMap:")
		}
	}
	return errs
}

// planCluster finds out whether the Job has succeeded already, as far as its
// content is known.
func (e *Exec) planCluster(ctx context.Context, sc pipeline.Scope) (pipeline.Action, error) {
	act := pipeline.Action{Effects: []pipeline.Effect{{Verb: "run", Object: "Job of " + e.image(sc), Detail: e.words(sc)}}}
	var err error
	if e.Image, err = settled(ctx, e.registry, sc, e.Image, &act); err != nil {
		return act, err
	}
	act.Do = e.runJob
	namespace, err := e.namespace(ctx, sc)
	var unreachable *deploy.ClusterError
	if errors.As(err, &unreachable) {
		act.Unchecked = append(act.Unchecked, err)
		return act, nil
	} else if err != nil {
		return act, err
	}
	job, err := e.job(sc, namespace)
	switch {
	case errors.Is(err, pipeline.ErrUnkept), err == nil && len(act.Unchecked) > 0: // it has a name once its image has
		return act, nil
	case err != nil:
		return act, err
	}
	state, err := e.jobs.JobState(ctx, job.Object)
	if errors.As(err, &unreachable) {
		act.Unchecked = append(act.Unchecked, err)
		return act, nil
	} else if err != nil {
		return act, err
	}
	act.Effects[0].Object = job.Object.String()
	switch {
	case state.Phase == deploy.JobSucceeded && !e.Rerun:
		return pipeline.Action{Notes: []string{job.Object.String() + " has succeeded (rerun: true runs it every time)"}}, nil
	case state.Phase == deploy.JobRunning:
		act.Notes = append(act.Notes, job.Object.String()+" runs since an earlier run, which is waited for")
		act.Effects = nil
	case state.Phase == deploy.JobGaveUp:
		act.Effects = append([]pipeline.Effect{{Verb: "delete", Object: job.Object.String(), Detail: "it failed"}}, act.Effects...)
	case state.Phase == deploy.JobSucceeded:
		act.Effects = append([]pipeline.Effect{{Verb: "delete", Object: job.Object.String(), Detail: "it has ended"}}, act.Effects...)
	}
	if state.NoNamespace {
		act.Effects = append([]pipeline.Effect{{Verb: "create", Object: "Namespace " + namespace}}, act.Effects...)
	}
	return act, nil
}

// namespace returns where Jobs go, once the cluster is the one that is meant.
func (e *Exec) namespace(ctx context.Context, sc pipeline.Scope) (string, error) {
	namespace, err := e.cluster.Check(ctx, sc.Environment.ClusterUID)
	return cmp.Or(sc.Environment.Namespace, namespace, "default"), err
}

// runJob runs the Job, or waits for the one that runs.
func (e *Exec) runJob(ctx context.Context, env *pipeline.Env) error {
	namespace, err := e.namespace(ctx, env.Scope)
	if err != nil {
		return err
	}
	job, err := e.job(env.Scope, namespace)
	if err != nil {
		return err
	}
	state, err := e.jobs.JobState(ctx, job.Object)
	switch {
	case err != nil:
		return err
	case state.Phase == deploy.JobSucceeded && !e.Rerun:
		env.Notef("%s has succeeded", job.Object)
		return nil
	case state.Phase == deploy.JobRunning:
		env.Notef("waiting for %s, which runs", job.Object)
	default:
		if err := e.jobs.StartJob(ctx, job); err != nil {
			return err
		}
	}
	return e.awaitJob(ctx, env, job)
}

// lastLines is how long the end of a log is waited for after the verdict.
const lastLines = 3 * time.Second

// awaitJob passes on what the Job writes, and returns when it has ended. A Job is
// not ended with us: half a migration is worse than a late one.
func (e *Exec) awaitJob(ctx context.Context, env *pipeline.Env, job deploy.Job) error {
	following, stop := context.WithCancelCause(ctx)
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		err := e.jobs.FollowJob(following, job.Object, func(line string) {
			env.Emit(pipeline.Event{Type: pipeline.EventLog, Task: job.Object.Name(), Text: line})
		})
		if err != nil && following.Err() == nil {
			env.Notef("its log cannot be followed: %v", err)
		}
	}()
	set := deploy.Set{Pipeline: job.Pipeline, Name: job.Object.Name(), Environment: job.Environment, Namespace: job.Object.Namespace(), Objects: []deploy.Object{job.Object}}
	for _, c := range deploy.Containers(job.Object) {
		_, digest, _ := strings.Cut(c.Image(), "@")
		set.Pins = append(set.Pins, deploy.Pin{Object: job.Object.String(), Container: c.Name(), Ref: c.Image(), Digest: digest})
	}
	limit := time.Duration(0)
	if _, ok := ctx.Deadline(); ok {
		limit = patience(ctx)
	}
	_, err := e.rollout.Wait(ctx, set, []deploy.Change{{Object: job.Object, Op: deploy.Create}}, limit, func(s deploy.Status) {
		env.Emit(pipeline.Event{Type: pipeline.EventNote, Task: s.Object, Text: s.Message})
	})
	select {
	case <-followed:
	case <-time.After(lastLines):
	case <-ctx.Done():
	}
	stop(nil)
	<-followed
	var red *deploy.RolloutError
	switch {
	case errors.As(err, &red) && red.Verdicts[0].Code == deploy.Deadline:
		return fmt.Errorf("%s goes on in the cluster, and the next run waits for it: %w", job.Object, &deploy.JobError{Verdict: red.Verdicts[0]})
	case errors.As(err, &red):
		failed := &deploy.JobError{Verdict: red.Verdicts[0]}
		if failed.Verdict.Code == deploy.JobFailed {
			return failed
		}
		return errors.Join(failed, e.jobs.StopJob(ctx, job.Object)) // else it would begin when nobody looks
	case ctx.Err() != nil:
		env.Notef("%s goes on in the cluster, and the next run waits for it", job.Object)
	}
	return err
}

var notInNames = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[^a-z0-9]+`) })

// job returns the Job with all that was promised. Its name has a hash over
// everything that decides what it does; of secrets, only that they are there, so
// that a new password does not run a migration again.
func (e *Exec) job(sc pipeline.Scope, namespace string) (deploy.Job, error) {
	job := deploy.Job{Pipeline: sc.Pipeline, Environment: sc.Environment.Name, Secrets: map[string]string{}}
	cmd, err := e.command(sc)
	if err != nil {
		return job, err
	}
	if cmd.Image.Repository == "" {
		return job, &pipeline.FieldError{Field: "image", Code: "not-pushed", Err: errors.New("this image is in no registry, so no node can pull it (give its stage push:, or copy it to a repository)")}
	}
	var env, envFrom []any
	plain := map[string]string{}
	for _, name := range pipeline.Keys(cmd.Env) {
		plain[name] = cmd.Env[name]
		if slices.Contains(cmd.Secrets, name) {
			job.Secrets[name], plain[name] = cmd.Env[name], ""
		}
	}
	b, err := json.Marshal([]any{1, cmd.Image.Digest, cmd.Args, cmd.Dir, cmd.User, plain, pipeline.Keys(job.Secrets), e.EnvFrom, e.ServiceAccount, e.Resources})
	if err != nil {
		return job, err
	}
	base := strings.Trim(notInNames().ReplaceAllString(strings.ToLower(sc.Pipeline+"-"+string(sc.Step)), "-"), "-")
	name := fmt.Sprintf("%s-%x", strings.TrimRight(base[:min(len(base), 52)], "-"), sha256.Sum256(b))
	name = name[:strings.LastIndexByte(name, '-')+11] // ten digits; 63 is the most
	for _, key := range pipeline.Keys(plain) {
		v := map[string]any{"name": key, "value": plain[key]}
		if _, secret := job.Secrets[key]; secret {
			v = map[string]any{"name": key, "valueFrom": map[string]any{"secretKeyRef": map[string]any{"name": name, "key": key}}}
		}
		env = append(env, v)
	}
	for _, s := range e.EnvFrom {
		kind, from := "secretRef", s.Secret
		if s.ConfigMap != "" {
			kind, from = "configMapRef", s.ConfigMap
		}
		envFrom = append(envFrom, map[string]any{kind: map[string]any{"name": from}})
	}
	container := map[string]any{
		"name": jobContainer, "image": sc.Registries.Pulled(cmd.Image.Ref()),
		"securityContext": map[string]any{"allowPrivilegeEscalation": false, "capabilities": map[string]any{"drop": []any{"ALL"}}},
	}
	set(container, "command", texts(cmd.Args))
	set(container, "env", env)
	set(container, "envFrom", envFrom)
	if cmd.Dir != "" {
		container["workingDir"] = cmd.Dir
	}
	if e.Resources != nil {
		container["resources"] = map[string]any{"requests": object(e.Resources.Requests), "limits": object(e.Resources.Limits)}
	}
	// What Pod Security calls restricted:
	// https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted.
	security := map[string]any{"runAsNonRoot": true, "seccompProfile": map[string]any{"type": "RuntimeDefault"}}
	if cmd.User != "" {
		user, err := strconv.ParseInt(cmd.User, 10, 64)
		if err != nil {
			return job, &pipeline.FieldError{Field: "user", Code: "bad-value", Err: errors.New("in the cluster, user is a number (want one such as 65532)")}
		}
		security["runAsUser"] = user
	}
	pod := map[string]any{
		"restartPolicy": "Never", "securityContext": security, "containers": []any{container},
		"automountServiceAccountToken": e.ServiceAccount != "",
	}
	if e.ServiceAccount != "" {
		pod["serviceAccountName"] = e.ServiceAccount
	}
	job.Object = deploy.Object{Body: map[string]any{
		"apiVersion": "batch/v1", "kind": "Job", "metadata": map[string]any{"name": name, "namespace": namespace},
		"spec": map[string]any{"backoffLimit": int64(0), "template": map[string]any{"spec": pod}},
	}}
	return job, nil
}

// set puts a list into body unless it is empty.
func set(body map[string]any, key string, list []any) {
	if len(list) > 0 {
		body[key] = list
	}
}

func texts(words []string) []any {
	var l []any
	for _, w := range words {
		l = append(l, w)
	}
	return l
}

func object(m map[string]string) map[string]any {
	o := map[string]any{}
	for k, v := range m {
		o[k] = v
	}
	return o
}
