package rollout

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// lookPod reads a Pod that no controller owns. It counts when it is ready, or,
// where it may end, when it has succeeded.
func lookPod(o any, _ *snapshot) picture {
	pod, ok := o.(*corev1.Pod)
	if !ok {
		return picture{}
	}
	p := picture{observed: true, want: 1, spec: &pod.Spec}
	p.finishes = pod.Status.Phase == corev1.PodSucceeded
	p.complete = p.finishes
	if pod.Status.Phase == corev1.PodFailed {
		p.failure = strings.Trim(pod.Status.Reason+": "+pod.Status.Message, ": ")
		if p.failure == "" {
			p.failure = "the pod failed and is not started again"
		}
	}
	p.take([]*corev1.Pod{pod}, func(*corev1.Pod) bool { return true })
	return p
}

// A view is one container of a pod: what it should be and what it is.
type view struct {
	pod     *corev1.Pod
	spec    *corev1.Container
	status  *corev1.ContainerStatus
	init    bool // runs to its end before the others start
	sidecar bool // an init container that keeps running
}

// views returns the containers of pod that the kubelet has reported, init
// containers first, as they start.
func views(pod *corev1.Pod) []view {
	var all []view
	for _, list := range []struct {
		specs    []corev1.Container
		statuses []corev1.ContainerStatus
		init     bool
	}{{pod.Spec.InitContainers, pod.Status.InitContainerStatuses, true}, {pod.Spec.Containers, pod.Status.ContainerStatuses, false}} {
		for i := range list.specs {
			for j := range list.statuses {
				if list.specs[i].Name != list.statuses[j].Name {
					continue
				}
				c := &list.specs[i]
				sidecar := list.init && c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
				all = append(all, view{pod: pod, spec: c, status: &list.statuses[j], init: list.init && !sidecar, sidecar: sidecar})
			}
		}
	}
	return all
}

// waiting returns why the container waits; both are empty where it does not.
func (v view) waiting() (reason, message string) {
	if w := v.status.State.Waiting; w != nil {
		return w.Reason, w.Message
	}
	return "", ""
}

// death returns how the container ended last, or nil where it never did.
func (v view) death() *corev1.ContainerStateTerminated {
	if t := v.status.State.Terminated; t != nil {
		return t
	}
	return v.status.LastTerminationState.Terminated
}

// done reports whether the container has ended as it should.
func (v view) done() bool {
	t := v.status.State.Terminated
	return t != nil && t.ExitCode == 0 && (v.init || v.pod.Spec.RestartPolicy != corev1.RestartPolicyAlways)
}
