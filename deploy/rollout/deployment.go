package rollout

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
)

const (
	revisionAnnotation = "deployment.kubernetes.io/revision"
	hashLabel          = "pod-template-hash"
)

// lookDeployment reads a Deployment. Its current pods are those of the
// ReplicaSet that has the Deployment's revision and its very template: a
// paused Deployment keeps the revision while its template has moved on.
func lookDeployment(o any, s *snapshot) picture {
	d, ok := o.(*appsv1.Deployment)
	if !ok {
		return picture{}
	}
	p := picture{
		observed: d.Status.ObservedGeneration >= d.Generation, want: replicas(d.Spec.Replicas),
		spec: &d.Spec.Template.Spec, paused: d.Spec.Paused,
	}
	if p.want == 0 {
		p.idle = "0 replicas"
	}
	newest := newestReplicaSet(d, s.sets[d.UID])
	for _, rs := range s.sets[d.UID] {
		p.take(s.pods[rs.UID], func(pod *corev1.Pod) bool {
			return rs == newest && pod.Labels[hashLabel] == rs.Labels[hashLabel]
		})
	}
	if newest != nil {
		p.uids = append(p.uids, newest.UID)
	}
	if !p.observed {
		return p
	}
	for _, c := range d.Status.Conditions {
		switch {
		case c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue:
			p.refused = c.Message
		case c.Type == appsv1.DeploymentProgressing && c.Status == corev1.ConditionFalse && c.Reason == "ProgressDeadlineExceeded":
			p.overdue = c.Message
		}
	}
	return p
}

func newestReplicaSet(d *appsv1.Deployment, sets []*appsv1.ReplicaSet) *appsv1.ReplicaSet {
	for _, rs := range sets {
		if rs.Annotations[revisionAnnotation] == d.Annotations[revisionAnnotation] && sameTemplate(d.Spec.Template, rs.Spec.Template) {
			return rs
		}
	}
	return nil
}

// sameTemplate compares as the Deployment controller does when it looks for
// the ReplicaSet of a template.
func sameTemplate(a, b corev1.PodTemplateSpec) bool {
	a, b = *a.DeepCopy(), *b.DeepCopy()
	delete(a.Labels, hashLabel)
	delete(b.Labels, hashLabel)
	return equality.Semantic.DeepEqual(a, b)
}
