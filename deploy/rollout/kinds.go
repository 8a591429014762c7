package rollout

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// A picture is what the judge sees of one workload, whatever its kind.
type picture struct {
	found    bool
	deleted  bool            // it is there, but on its way out
	observed bool            // its controller has acted on the present generation
	want     int             // pods that must be ready, or must have succeeded
	idle     string          // why nothing runs; empty where something should
	spec     *corev1.PodSpec // of the pods, as the API server holds it
	note     string          // what else to know, such as a partition

	current []*corev1.Pod // of the current revision, not on their way out
	old     []*corev1.Pod // of earlier revisions, not on their way out
	leaving []*corev1.Pod // being deleted
	failed  []*corev1.Pod // ended with a failure

	finishes bool   // its pods count when they have succeeded, not when they are ready
	retries  bool   // its controller counts failures and gives up by itself
	complete bool   // it finishes, and has
	failure  string // its controller, or the pod itself, gave up; in the cluster's words
	refused  string // its controller may not create pods; in the API server's words
	overdue  string // its own progress deadline has passed; in its controller's words
	paused   bool
	ordered  bool // its controller waits for each pod before it goes on to the next

	uids    []types.UID // whose events speak of the workload itself
	written time.Time   // when its spec was last written, by the API server's clock
}

// kinds is the table of the kinds that run pods, and how each is read.
func kinds() map[string]func(any, *snapshot) picture {
	return map[string]func(any, *snapshot) picture{
		"Deployment":            lookDeployment,
		"StatefulSet":           lookStatefulSet,
		"DaemonSet":             lookDaemonSet,
		"ReplicaSet":            lookReplicaSet,
		"ReplicationController": lookReplicationController,
		"Job":                   lookJob,
		"CronJob":               lookCronJob,
		"Pod":                   lookPod,
	}
}

// look returns the picture of w in s.
func look(w workload, s *snapshot) picture {
	o, ok := s.objects[w.key()]
	if !ok {
		return picture{}
	}
	p := kinds()[w.object.Kind()](o, s)
	p.found = true
	if o, ok := o.(metav1.Object); ok {
		p.deleted = o.GetDeletionTimestamp() != nil
		p.uids = append(p.uids, o.GetUID())
		p.written = specWritten(o)
	}
	return p
}

// kindOf returns the kind of an object that a typed client returned, which
// does not say it itself.
func kindOf(o metav1.Object) string {
	switch o := o.(type) {
	case *appsv1.Deployment:
		return "Deployment"
	case *appsv1.StatefulSet:
		return "StatefulSet"
	case *appsv1.DaemonSet:
		return "DaemonSet"
	case *appsv1.ReplicaSet:
		return "ReplicaSet"
	case *corev1.ReplicationController:
		return "ReplicationController"
	case *batchv1.Job:
		return "Job"
	case *batchv1.CronJob:
		return "CronJob"
	case *corev1.Pod:
		return "Pod"
	case *appsv1.ControllerRevision:
		return "ControllerRevision"
	case *unstructured.Unstructured:
		return o.GetKind()
	}
	return ""
}

// specWritten returns when o was last written other than through its status.
func specWritten(o metav1.Object) time.Time {
	var last time.Time
	for _, m := range o.GetManagedFields() {
		if m.Subresource != "status" && m.Time != nil && m.Time.After(last) {
			last = m.Time.Time
		}
	}
	return last
}

// replicas returns what n says, or the API's default.
func replicas(n *int32) int {
	if n == nil {
		return 1
	}
	return int(*n)
}

// take sorts pods into p: isCurrent tells those of the current revision.
func (p *picture) take(pods []*corev1.Pod, isCurrent func(*corev1.Pod) bool) {
	for _, pod := range pods {
		switch {
		case pod.DeletionTimestamp != nil:
			p.leaving = append(p.leaving, pod)
		case pod.Status.Phase == corev1.PodFailed:
			p.failed = append(p.failed, pod)
		case isCurrent(pod):
			p.current = append(p.current, pod)
		default:
			p.old = append(p.old, pod)
		}
	}
}

// ready returns the current pods that count.
func (p *picture) ready() []*corev1.Pod {
	var ready []*corev1.Pod
	for _, pod := range p.current {
		if p.finishes && pod.Status.Phase == corev1.PodSucceeded || !p.finishes && isReady(pod) {
			ready = append(ready, pod)
		}
	}
	return ready
}

func isReady(pod *corev1.Pod) bool {
	c := condition(pod, corev1.PodReady)
	return c != nil && c.Status == corev1.ConditionTrue
}

func condition(pod *corev1.Pod, t corev1.PodConditionType) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == t {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}
