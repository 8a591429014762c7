package main

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Annotations of a pod that choose what becomes of it; the package comment explains them.
const (
	annotationImageID    = "e2e.slipway.dev/image-id"
	annotationFail       = "e2e.slipway.dev/fail"
	annotationReadyAfter = "e2e.slipway.dev/ready-after"
)

// Values of annotationFail.
const (
	failImagePull = "image-pull"
	failCrashLoop = "crash-loop"
	failNotReady  = "not-ready"
	failExit      = "exit"
)

// reasonReadyAfter marks a pod that waits for its ready-after time.
const reasonReadyAfter = "ScenarioReadyAfter"

// nextStatus is a pod's status after a step of fake_pod.yaml: start, pull-backoff, crash, ready,
// finish or follow. podIP is used by start alone.
func nextStatus(step string, pod *corev1.Pod, podIP string, now metav1.Time) corev1.PodStatus {
	status := *pod.Status.DeepCopy()
	status.ObservedGeneration = pod.Generation
	if step == "start" {
		status.StartTime = &now
		status.HostIP, status.HostIPs = nodeIP, []corev1.HostIP{{IP: nodeIP}}
		status.PodIP, status.PodIPs = podIP, []corev1.PodIP{{IP: podIP}}
		status.InitContainerStatuses = startedInit(pod, now)
		status.ContainerStatuses = started(pod, now)
	}
	for i := range status.ContainerStatuses {
		c := &status.ContainerStatuses[i]
		fail := scenario(pod, annotationFail, c.Name)
		switch {
		case step == "pull-backoff" && fail == failImagePull:
			c.State.Waiting = &corev1.ContainerStateWaiting{
				Reason: "ImagePullBackOff", Message: "Back-off pulling image \"" + c.Image + "\"",
			}
		case step == "crash" && fail == failCrashLoop:
			crash(c, now)
		case step == "ready":
			c.Ready = c.State.Running != nil && fail != failNotReady
		case step == "finish":
			code := int32(0)
			if fail == failExit {
				code = 3
			}
			c.State = corev1.ContainerState{Terminated: terminated(c, code, now)}
			c.Ready, c.Started = false, new(bool)
		}
	}
	for _, list := range [][]corev1.ContainerStatus{status.InitContainerStatuses, status.ContainerStatuses} {
		for i, c := range list {
			list[i].ImageID = ""
			if scenario(pod, annotationFail, c.Name) != failImagePull {
				list[i].ImageID = scenario(pod, annotationImageID, c.Name)
			}
		}
	}
	status.Phase = phase(step, status)
	setReadiness(&status, pod, step, now)
	return status
}

// scenario looks an annotation up for one container.
func scenario(pod *corev1.Pod, annotation, container string) string {
	if v, ok := pod.Annotations[annotation+"."+container]; ok {
		return v
	}
	return pod.Annotations[annotation]
}

// started is how containers begin.
func started(pod *corev1.Pod, now metav1.Time) []corev1.ContainerStatus {
	var list []corev1.ContainerStatus
	_, later := pod.Annotations[annotationReadyAfter]
	for _, spec := range pod.Spec.Containers {
		c := corev1.ContainerStatus{Name: spec.Name, Image: spec.Image, Started: new(bool)}
		switch fail := scenario(pod, annotationFail, spec.Name); fail {
		case failImagePull:
			c.State.Waiting = &corev1.ContainerStateWaiting{
				Reason: "ErrImagePull", Message: "failed to pull and unpack image \"" + spec.Image + "\": not found",
			}
		case failCrashLoop:
			c.State.Terminated = terminated(&c, 3, now)
		default:
			c.State.Running = &corev1.ContainerStateRunning{StartedAt: now}
			c.Started = new(true)
			c.Ready = fail != failNotReady && !later
		}
		list = append(list, c)
	}
	return list
}

// startedInit is how init containers are once the others begin: sidecars run, the rest is done.
func startedInit(pod *corev1.Pod, now metav1.Time) []corev1.ContainerStatus {
	var list []corev1.ContainerStatus
	for _, spec := range pod.Spec.InitContainers {
		c := corev1.ContainerStatus{Name: spec.Name, Image: spec.Image, Ready: true, Started: new(bool)}
		if p := spec.RestartPolicy; p != nil && *p == corev1.ContainerRestartPolicyAlways {
			c.State.Running = &corev1.ContainerStateRunning{StartedAt: now}
			c.Started = new(true)
		} else {
			c.State.Terminated = terminated(&c, 0, now)
		}
		list = append(list, c)
	}
	return list
}

// crash takes a container that has ended to its back-off, or through one more restart.
func crash(c *corev1.ContainerStatus, now metav1.Time) {
	c.LastTerminationState.Terminated = terminated(c, 3, now)
	c.RestartCount++
	c.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
		Reason: "CrashLoopBackOff", Message: "back-off restarting failed container=" + c.Name,
	}}
}

func terminated(c *corev1.ContainerStatus, code int32, now metav1.Time) *corev1.ContainerStateTerminated {
	t := &corev1.ContainerStateTerminated{ExitCode: code, Reason: "Completed", StartedAt: now, FinishedAt: now}
	if code != 0 {
		t.Reason = "Error"
	}
	if r := c.State.Running; r != nil {
		t.StartedAt = r.StartedAt
	}
	return t
}

// phase follows the kubelet: a container that waits and has never run keeps a pod Pending.
func phase(step string, status corev1.PodStatus) corev1.PodPhase {
	ended := status.Phase == corev1.PodSucceeded || status.Phase == corev1.PodFailed
	switch {
	case step == "finish" && slices.ContainsFunc(status.ContainerStatuses, func(c corev1.ContainerStatus) bool {
		return c.State.Terminated != nil && c.State.Terminated.ExitCode != 0
	}):
		return corev1.PodFailed
	case step == "finish":
		return corev1.PodSucceeded
	case ended:
		return status.Phase
	case slices.ContainsFunc(status.ContainerStatuses, func(c corev1.ContainerStatus) bool {
		return c.State.Waiting != nil && c.LastTerminationState.Terminated == nil
	}):
		return corev1.PodPending
	}
	return corev1.PodRunning
}

// setReadiness writes the conditions that follow from the containers.
func setReadiness(status *corev1.PodStatus, pod *corev1.Pod, step string, now metav1.Time) {
	ready, reason, message := corev1.ConditionTrue, "", ""
	var unready []string
	for _, c := range status.ContainerStatuses {
		if !c.Ready {
			unready = append(unready, c.Name)
		}
	}
	if len(unready) > 0 {
		ready, reason, message = corev1.ConditionFalse, "ContainersNotReady", fmt.Sprintf("containers with unready status: %v", unready)
		_, later := pod.Annotations[annotationReadyAfter]
		was := slices.ContainsFunc(status.Conditions, func(c corev1.PodCondition) bool { return c.Reason == reasonReadyAfter })
		if later && (step == "start" || step == "follow" && was) {
			reason = reasonReadyAfter
		}
	}
	if status.Phase == corev1.PodSucceeded {
		reason, message = "PodCompleted", ""
	}
	set := func(kind corev1.PodConditionType, value corev1.ConditionStatus, reason, message string) {
		want := corev1.PodCondition{Type: kind, Status: value, Reason: reason, Message: message, LastTransitionTime: now, ObservedGeneration: pod.Generation}
		i := slices.IndexFunc(status.Conditions, func(c corev1.PodCondition) bool { return c.Type == kind })
		if i < 0 {
			status.Conditions = append(status.Conditions, want)
			return
		}
		if status.Conditions[i].Status == value {
			want.LastTransitionTime = status.Conditions[i].LastTransitionTime
		}
		status.Conditions[i] = want
	}
	set(corev1.PodReadyToStartContainers, corev1.ConditionTrue, "", "")
	set(corev1.PodInitialized, corev1.ConditionTrue, "", "")
	set(corev1.ContainersReady, ready, reason, message)
	set(corev1.PodReady, ready, reason, message)
	for _, gate := range pod.Spec.ReadinessGates {
		set(gate.ConditionType, corev1.ConditionTrue, "", "")
	}
}
