package rollout

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// lookDaemonSet reads a DaemonSet, which wants a pod on each node that its
// controller counted. The newest ControllerRevision names the current pods: a
// template that came back keeps its pods, although their template generation
// is an older one.
func lookDaemonSet(o any, s *snapshot) picture {
	set, ok := o.(*appsv1.DaemonSet)
	if !ok {
		return picture{}
	}
	p := picture{
		observed: set.Status.ObservedGeneration >= set.Generation, want: int(set.Status.DesiredNumberScheduled),
		spec: &set.Spec.Template.Spec,
	}
	if p.want == 0 {
		p.idle = "no node takes it"
	}
	if set.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType {
		p.note = "updateStrategy OnDelete: a pod is replaced only when someone deletes it"
	}
	var newest *appsv1.ControllerRevision
	for _, r := range s.revisions[set.UID] {
		if newest == nil || r.Revision > newest.Revision {
			newest = r
		}
	}
	p.take(s.pods[set.UID], func(pod *corev1.Pod) bool {
		return p.observed && newest != nil && pod.Labels[revisionLabel] == newest.Labels[revisionLabel]
	})
	return p
}
