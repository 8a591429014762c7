package rollout

import (
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-ci/slipway/deploy"
)

var (
	pinned = "sha256:" + strings.Repeat("a", 64)
	other  = "sha256:" + strings.Repeat("b", 64)
	image  = "localhost:5000/shop/web:main@" + pinned
	start  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

// A cast is a workload that is well, with all that belongs to it. Tests spoil
// one thing of it.
type cast struct {
	work    workload
	dep     *appsv1.Deployment
	rs      *appsv1.ReplicaSet
	sts     *appsv1.StatefulSet
	ds      *appsv1.DaemonSet
	rev     *appsv1.ControllerRevision
	job     *batchv1.Job
	cron    *batchv1.CronJob
	pods    []*corev1.Pod
	more    []metav1.Object
	answers map[question]answer
	exact   bool
	timeUp  bool
}

func (c *cast) snapshot() *snapshot {
	var objs []metav1.Object
	if c.dep != nil {
		objs = append(objs, c.dep)
	}
	if c.rs != nil {
		objs = append(objs, c.rs)
	}
	if c.sts != nil {
		objs = append(objs, c.sts)
	}
	if c.ds != nil {
		objs = append(objs, c.ds, c.rev)
	}
	if c.job != nil {
		objs = append(objs, c.job)
	}
	if c.cron != nil {
		objs = append(objs, c.cron)
	}
	for _, p := range c.pods {
		objs = append(objs, p)
	}
	s := newSnapshot(append(objs, c.more...))
	s.answers, s.exact, s.timeUp = c.answers, c.exact, c.timeUp
	return s
}

// after judges c now and again when d has passed, as the watcher would.
func (c *cast) after(d time.Duration, table []rule) outcome {
	s := c.snapshot()
	o := judge(start, c.work, s, table)
	if d == 0 {
		return o
	}
	s.since = map[string]time.Time{}
	for _, symptom := range o.symptoms {
		s.since[symptom] = start
	}
	return judge(start.Add(d), c.work, s, table)
}

func work(kind string, pins ...string) workload {
	w := workload{namespace: "shop", changed: true, object: deploy.Object{
		File: "deploy/web.yaml", Line: 7,
		Body: map[string]any{"apiVersion": "apps/v1", "kind": kind, "metadata": map[string]any{"name": "web", "namespace": "shop"}},
	}}
	for _, name := range pins {
		w.pins = append(w.pins, deploy.Pin{Object: w.object.String(), Container: name, Init: name == "init", Ref: image, Digest: pinned})
	}
	return w
}

func template() corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyAlways,
			Containers: []corev1.Container{{
				Name: "web", Image: image, ReadinessProbe: &corev1.Probe{},
				Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("128Mi")}},
			}},
		},
	}
}

func meta(name, uid string, owner *metav1.ObjectMeta) metav1.ObjectMeta {
	m := metav1.ObjectMeta{Name: name, Namespace: "shop", UID: types.UID(uid), Generation: 2, Labels: map[string]string{}, Annotations: map[string]string{}}
	if owner != nil {
		yes := true
		m.OwnerReferences = []metav1.OwnerReference{{Name: owner.Name, UID: owner.UID, Controller: &yes}}
	}
	return m
}

// pod returns a ready pod that runs what was pinned.
func pod(name string, owner *metav1.ObjectMeta, label, revision string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: meta(name, "uid-"+name, owner), Spec: template().Spec}
	p.Labels[label] = revision
	p.Status = corev1.PodStatus{
		Phase: corev1.PodRunning,
		Conditions: []corev1.PodCondition{
			{Type: corev1.PodScheduled, Status: corev1.ConditionTrue},
			{Type: corev1.PodReady, Status: corev1.ConditionTrue},
		},
		ContainerStatuses: []corev1.ContainerStatus{{
			Name: "web", Ready: true, ContainerID: "containerd://1", ImageID: "localhost:5000/shop/web@" + pinned,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
		}},
	}
	return p
}

func deployment() *cast {
	two := int32(2)
	c := &cast{work: work("Deployment", "web")}
	c.dep = &appsv1.Deployment{
		ObjectMeta: meta("web", "d", nil), Spec: appsv1.DeploymentSpec{Replicas: &two, Template: template()},
		Status: appsv1.DeploymentStatus{ObservedGeneration: 2},
	}
	c.dep.Annotations[revisionAnnotation] = "4"
	c.rs = &appsv1.ReplicaSet{ObjectMeta: meta("web-4", "rs", &c.dep.ObjectMeta), Spec: appsv1.ReplicaSetSpec{Template: template()}}
	c.rs.Annotations[revisionAnnotation] = "4"
	c.rs.Labels[hashLabel], c.rs.Spec.Template.Labels[hashLabel] = "h4", "h4"
	c.pods = []*corev1.Pod{pod("web-4-a", &c.rs.ObjectMeta, hashLabel, "h4"), pod("web-4-b", &c.rs.ObjectMeta, hashLabel, "h4")}
	return c
}

// replicaSet is one that stands in the manifests itself.
func replicaSet() *cast {
	c := deployment()
	c.work, c.dep = work("ReplicaSet", "web"), nil
	c.rs.Name, c.rs.OwnerReferences, c.rs.Spec.Replicas = "web", nil, ptr(int32(2))
	c.rs.Status.ObservedGeneration = 2
	return c
}

func statefulSet() *cast {
	three := int32(3)
	c := &cast{work: work("StatefulSet", "web")}
	c.sts = &appsv1.StatefulSet{
		ObjectMeta: meta("web", "s", nil), Spec: appsv1.StatefulSetSpec{Replicas: &three, Template: template()},
		Status: appsv1.StatefulSetStatus{ObservedGeneration: 2, UpdateRevision: "r2", CurrentRevision: "r1"},
	}
	for i := range 3 {
		c.pods = append(c.pods, pod(fmt.Sprint("web-", i), &c.sts.ObjectMeta, revisionLabel, "r2"))
	}
	return c
}

func daemonSet() *cast {
	c := &cast{work: work("DaemonSet", "web")}
	c.ds = &appsv1.DaemonSet{
		ObjectMeta: meta("web", "ds", nil), Spec: appsv1.DaemonSetSpec{Template: template()},
		Status: appsv1.DaemonSetStatus{ObservedGeneration: 2, DesiredNumberScheduled: 1},
	}
	c.rev = &appsv1.ControllerRevision{ObjectMeta: meta("web-2", "cr2", &c.ds.ObjectMeta), Revision: 2}
	c.rev.Labels[revisionLabel] = "h2"
	c.pods = []*corev1.Pod{pod("web-x", &c.ds.ObjectMeta, revisionLabel, "h2")}
	return c
}

func job() *cast {
	c := &cast{work: work("Job", "web")}
	c.job = &batchv1.Job{
		ObjectMeta: meta("web", "j", nil), Spec: batchv1.JobSpec{Template: template()},
		Status: batchv1.JobStatus{Succeeded: 1, Conditions: []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}}},
	}
	p := pod("web-x", &c.job.ObjectMeta, "job-name", "web")
	p.Spec.RestartPolicy = corev1.RestartPolicyNever
	p.Status.Phase = corev1.PodSucceeded
	p.Status.Conditions[1].Status = corev1.ConditionFalse
	p.Status.ContainerStatuses[0].Ready = false
	p.Status.ContainerStatuses[0].State = dead(0, "Completed")
	c.pods = []*corev1.Pod{p}
	return c
}

func cronJob() *cast {
	c := &cast{work: work("CronJob", "web")}
	c.cron = &batchv1.CronJob{ObjectMeta: meta("web", "c", nil), Spec: batchv1.CronJobSpec{
		Schedule: "0 3 * * *", JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: template()}},
	}}
	return c
}

func barePod() *cast {
	c := &cast{work: work("Pod", "web")}
	c.pods = []*corev1.Pod{pod("web", nil, "app", "web")}
	return c
}

func (c *cast) first() *corev1.ContainerStatus { return &c.pods[0].Status.ContainerStatuses[0] }

// put gives the first pod's container a state; only a running one leaves it ready.
func (c *cast) put(state corev1.ContainerState) {
	c.first().State = state
	if state.Running == nil {
		c.unready()
	}
}

func (c *cast) unready() {
	c.first().Ready = false
	c.pods[0].Status.Conditions[1].Status = corev1.ConditionFalse
}

// event adds a warning about the object with uid.
func (c *cast) event(uid types.UID, reason, message string) {
	n := len(c.more)
	c.more = append(c.more, &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("e", n), Namespace: "shop"}, Type: corev1.EventTypeWarning,
		InvolvedObject: corev1.ObjectReference{UID: uid}, Reason: reason, Message: message,
		LastTimestamp: metav1.NewTime(start.Add(time.Duration(n) * time.Second)),
	})
}

func waits(reason, message string) corev1.ContainerState {
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
}

func dead(code int32, reason string) corev1.ContainerState {
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason}}
}

func ptr[T any](v T) *T { return &v }
