package rollout

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// lookReplicaSet reads a ReplicaSet that stands in the manifests itself. It has
// no revisions: all its pods count, and the proof tells those of an earlier
// template, which nothing replaces.
func lookReplicaSet(o any, s *snapshot) picture {
	rs, ok := o.(*appsv1.ReplicaSet)
	if !ok {
		return picture{}
	}
	p := picture{observed: rs.Status.ObservedGeneration >= rs.Generation, want: replicas(rs.Spec.Replicas), spec: &rs.Spec.Template.Spec}
	for _, c := range rs.Status.Conditions {
		if p.observed && c.Type == appsv1.ReplicaSetReplicaFailure && c.Status == corev1.ConditionTrue {
			p.refused = c.Message
		}
	}
	return p.unrevised(s.pods[rs.UID])
}

// lookReplicationController reads a ReplicationController as lookReplicaSet
// reads its successor.
func lookReplicationController(o any, s *snapshot) picture {
	rc, ok := o.(*corev1.ReplicationController)
	if !ok {
		return picture{}
	}
	p := picture{observed: rc.Status.ObservedGeneration >= rc.Generation, want: replicas(rc.Spec.Replicas)}
	if rc.Spec.Template != nil {
		p.spec = &rc.Spec.Template.Spec
	}
	return p.unrevised(s.pods[rc.UID])
}

func (p picture) unrevised(pods []*corev1.Pod) picture {
	if p.want == 0 {
		p.idle = "0 replicas"
	}
	p.take(pods, func(*corev1.Pod) bool { return true })
	return p
}
