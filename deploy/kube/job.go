package kube

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/slipway-ci/slipway/deploy"
)

// jobName is the label by which the controller of Jobs marks their pods.
const jobName = "batch.kubernetes.io/job-name"

func jobs() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "jobs"}
}

func core(resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Version: "v1", Resource: resource}
}

// JobState returns what the cluster knows of a Job. It changes nothing.
func (c *Cluster) JobState(ctx context.Context, job deploy.Object) (deploy.JobState, error) {
	conn, err := c.connected(ctx)
	if err != nil {
		return deploy.JobState{}, err
	}
	limited, cancel := c.limit(ctx)
	defer cancel()
	live, err := conn.dynamic.Resource(jobs()).Namespace(job.Namespace()).Get(limited, job.Name(), metav1.GetOptions{})
	switch {
	case err == nil:
		return deploy.JobState{Phase: phase(live)}, nil
	case !apierrors.IsNotFound(err):
		return deploy.JobState{}, c.failed(ctx, "read "+job.String(), err)
	}
	_, err = conn.dynamic.Resource(namespaces()).Get(limited, job.Namespace(), metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsForbidden(err) {
		return deploy.JobState{}, c.failed(ctx, "read namespace "+job.Namespace(), err)
	}
	return deploy.JobState{NoNamespace: apierrors.IsNotFound(err)}, nil
}

func phase(live *unstructured.Unstructured) deploy.JobPhase {
	conditions, _, _ := unstructured.NestedSlice(live.Object, "status", "conditions") // what is none of these is no condition
	for _, c := range conditions {
		m, _ := c.(map[string]any)
		if m["status"] != "True" {
			continue
		}
		switch m["type"] {
		case "Complete", "SuccessCriteriaMet":
			return deploy.JobSucceeded
		case "Failed", "FailureTarget":
			return deploy.JobGaveUp
		}
	}
	if suspended, _, _ := unstructured.NestedBool(live.Object, "spec", "suspend"); suspended {
		return deploy.JobBegun
	}
	return deploy.JobRunning
}

// StartJob starts a Job, in place of one of the same name that has ended. One
// that only begun is let go. Its secrets go into a Secret that the Job owns: the
// Job is made suspended, for its UID is needed, and let go once the Secret is
// there; so whatever kills us, no pod runs without it, and no Secret is left over.
// A namespace that is not there is made. It may be called again after a failure.
func (c *Cluster) StartJob(ctx context.Context, job deploy.Job) error {
	conn, err := c.connected(ctx)
	if err != nil {
		return err
	}
	in := conn.dynamic.Resource(jobs()).Namespace(job.Object.Namespace())
	fail := func(doing string, err error) error {
		if err != nil && refused(err) {
			return &deploy.ObjectError{Object: job.Object, Err: fmt.Errorf("%s", reason(err))}
		}
		return c.failed(ctx, doing+" "+job.Object.String(), err)
	}
	live, err := in.Get(ctx, job.Object.Name(), metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fail("read", err)
	}
	if err == nil {
		switch phase(live) {
		case deploy.JobRunning:
			return nil
		case deploy.JobBegun:
		default:
			if err := c.removeJob(ctx, in, live); err != nil {
				return fail("delete", err)
			}
			live = nil
		}
	} else {
		live = nil
	}
	if live == nil {
		made := &unstructured.Unstructured{Object: jobBody(job)}
		options := metav1.CreateOptions{FieldManager: Manager}
		live, err = in.Create(ctx, made, options)
		if apierrors.IsNotFound(err) {
			space := &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": job.Object.Namespace()},
			}}
			if _, err := conn.dynamic.Resource(namespaces()).Create(ctx, space, options); err != nil && !apierrors.IsAlreadyExists(err) {
				return c.failed(ctx, "create namespace "+job.Object.Namespace(), err)
			}
			live, err = in.Create(ctx, made, options)
		}
		if err != nil {
			return fail("create", err)
		}
	}
	if len(job.Secrets) == 0 {
		return nil
	}
	secret := conn.dynamic.Resource(core("secrets")).Namespace(job.Object.Namespace())
	if _, err := secret.Apply(ctx, job.Object.Name(), secretOf(job, live), metav1.ApplyOptions{FieldManager: Manager, Force: true}); err != nil {
		return c.failed(ctx, "write the Secret of "+job.Object.String(), err)
	}
	_, err = in.Patch(ctx, job.Object.Name(), types.MergePatchType, []byte(`{"spec":{"suspend":false}}`), metav1.PatchOptions{FieldManager: Manager})
	return fail("let go", err)
}

// StopJob takes a Job away that did not begin: none of its containers has ever
// started. One that has is left to end.
func (c *Cluster) StopJob(ctx context.Context, job deploy.Object) error {
	conn, err := c.connected(ctx)
	if err != nil {
		return err
	}
	limited, cancel := c.limit(ctx)
	defer cancel()
	in := conn.dynamic.Resource(jobs()).Namespace(job.Namespace())
	live, err := in.Get(limited, job.Name(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	} else if err != nil {
		return c.failed(ctx, "read "+job.String(), err)
	}
	pods, err := conn.dynamic.Resource(core("pods")).Namespace(job.Namespace()).List(limited, metav1.ListOptions{LabelSelector: jobName + "=" + job.Name()})
	if err != nil {
		return c.failed(ctx, "list pods of "+job.String(), err)
	}
	for i := range pods.Items {
		if begun(&pods.Items[i]) {
			return nil
		}
	}
	return c.failed(ctx, "delete "+job.String(), c.removeJob(ctx, in, live))
}

// removeJob deletes a Job, and waits until its name is free.
func (c *Cluster) removeJob(ctx context.Context, in dynamic.ResourceInterface, live *unstructured.Unstructured) error {
	limited, cancel := c.limit(ctx)
	defer cancel()
	uid, background := live.GetUID(), metav1.DeletePropagationBackground
	err := in.Delete(limited, live.GetName(), metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}, PropagationPolicy: &background})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		now, err := in.Get(limited, live.GetName(), metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err), err == nil && now.GetUID() != uid:
			return nil
		case err != nil:
			return err
		}
		select {
		case <-time.After(pause):
		case <-limited.Done():
			return limited.Err()
		}
	}
}

// jobBody returns the Job as it is made: with our labels, and suspended if a
// Secret has to be made first.
func jobBody(job deploy.Job) map[string]any {
	o := job.Object
	body := runtimeCopy(o.Body)
	meta, _ := body["metadata"].(map[string]any)
	meta["labels"] = jobLabels(job)
	if spec, ok := body["spec"].(map[string]any); ok && len(job.Secrets) > 0 {
		spec["suspend"] = true
	}
	return body
}

func jobLabels(job deploy.Job) map[string]any {
	labels := map[string]any{LabelManagedBy: Manager, LabelPipeline: labelValue(job.Pipeline)}
	if job.Environment != "" {
		labels[LabelEnvironment] = labelValue(job.Environment)
	}
	return labels
}

func secretOf(job deploy.Job, owner *unstructured.Unstructured) *unstructured.Unstructured {
	texts := map[string]any{}
	for name, value := range maps.All(job.Secrets) {
		texts[name] = value
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret", "stringData": texts,
		"metadata": map[string]any{
			"name": job.Object.Name(), "namespace": job.Object.Namespace(), "labels": jobLabels(job),
			"ownerReferences": []any{map[string]any{"apiVersion": "batch/v1", "kind": "Job", "name": owner.GetName(), "uid": string(owner.GetUID())}},
		},
	}}
}

// runtimeCopy copies a JSON value.
func runtimeCopy(body map[string]any) map[string]any {
	return (&unstructured.Unstructured{Object: body}).DeepCopy().Object
}

// FollowJob gives every line that the pod of a Job writes to line, until the pod
// has ended or ctx has. A pod that never runs writes nothing.
func (c *Cluster) FollowJob(ctx context.Context, job deploy.Object, line func(string)) error {
	conn, err := c.connected(ctx)
	if err != nil {
		return err
	}
	pods := conn.dynamic.Resource(core("pods")).Namespace(job.Namespace())
	for {
		watch, err := pods.Watch(ctx, metav1.ListOptions{LabelSelector: jobName + "=" + job.Name()})
		if err != nil {
			return c.failed(ctx, "watch pods of "+job.String(), err)
		}
		for event := range watch.ResultChan() {
			pod, ok := event.Object.(*unstructured.Unstructured)
			if !ok || pod.GetDeletionTimestamp() != nil || !begun(pod) {
				continue
			}
			watch.Stop()
			return c.follow(ctx, pod, line)
		}
		watch.Stop()
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Second): // the server ended the watch
		}
	}
}

// begun reports whether a container of pod runs, or has run.
func begun(pod *unstructured.Unstructured) bool {
	statuses, _, _ := unstructured.NestedSlice(pod.Object, "status", "containerStatuses") // none yet
	for _, s := range statuses {
		m, _ := s.(map[string]any)
		state, _ := m["state"].(map[string]any)
		if state["running"] != nil || state["terminated"] != nil {
			return true
		}
	}
	return false
}

func (c *Cluster) follow(ctx context.Context, pod *unstructured.Unstructured, line func(string)) error {
	stream, err := c.conn.raw.Get().AbsPath("/api/v1/namespaces", pod.GetNamespace(), "pods", pod.GetName(), "log").Param("follow", "true").Stream(ctx)
	if err != nil {
		return c.failed(ctx, "read logs of pod "+pod.GetNamespace()+"/"+pod.GetName(), err)
	}
	defer stream.Close()
	lines := bufio.NewReaderSize(stream, 64<<10)
	for {
		text, _, err := lines.ReadLine()
		if err != nil {
			return nil // the end, of the pod or of our patience
		}
		line(string(text))
	}
}
