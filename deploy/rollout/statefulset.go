package rollout

import (
	"fmt"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

const revisionLabel = "controller-revision-hash"

// lookStatefulSet reads a StatefulSet. A partition holds back the pods below
// it on purpose: they are neither waited for nor proven, and the note says so.
// Until its controller has seen the present generation its update revision is
// the one before, and no pod is current.
func lookStatefulSet(o any, s *snapshot) picture {
	set, ok := o.(*appsv1.StatefulSet)
	if !ok {
		return picture{}
	}
	p := picture{
		observed: set.Status.ObservedGeneration >= set.Generation, want: replicas(set.Spec.Replicas),
		spec: &set.Spec.Template.Spec, ordered: set.Spec.PodManagementPolicy != appsv1.ParallelPodManagement,
	}
	if p.want == 0 {
		p.idle = "0 replicas"
	}
	first := 0
	if set.Spec.Ordinals != nil {
		first = int(set.Spec.Ordinals.Start)
	}
	if held := min(partition(set), p.want); held > 0 {
		p.want -= held
		p.note = fmt.Sprintf("partition %d: %d pods stay at the revision before", partition(set), held)
		if p.want == 0 {
			p.idle = p.note
		}
	}
	if set.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType {
		p.note = "updateStrategy OnDelete: a pod is replaced only when someone deletes it"
	}
	var pods []*corev1.Pod
	for _, pod := range s.pods[set.UID] {
		if ordinal(pod)-first >= partition(set) {
			pods = append(pods, pod)
		}
	}
	p.take(pods, func(pod *corev1.Pod) bool {
		return p.observed && pod.Labels[revisionLabel] == set.Status.UpdateRevision
	})
	return p
}

func partition(set *appsv1.StatefulSet) int {
	if u := set.Spec.UpdateStrategy.RollingUpdate; u != nil && u.Partition != nil {
		return int(*u.Partition)
	}
	return 0
}

// ordinal returns the number at the end of a StatefulSet's pod's name.
func ordinal(pod *corev1.Pod) int {
	n, err := strconv.Atoi(pod.Name[strings.LastIndexByte(pod.Name, '-')+1:])
	if err != nil {
		return 0
	}
	return n
}
