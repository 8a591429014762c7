package rollout

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// neverReady finds a pod whose containers run while a probe or a readiness gate
// says no. That is also how a slow start looks, so it counts only when time is
// up: the Deployment's own progress deadline, or the stage's timeout.
func neverReady(c *scene) *finding {
	if c.finishes {
		return nil
	}
	for _, pod := range c.current {
		if isReady(pod) || pod.Status.Phase != corev1.PodRunning {
			continue
		}
		f := &finding{settle: untilTheEnd, pod: pod, cure: "see the readinessProbe's path, port and timing against what the container serves"}
		for _, v := range views(pod) {
			if !v.status.Ready && v.status.State.Running != nil {
				f.container = v.spec.Name
				break
			}
		}
		if f.cause = c.whyUnready(pod); f.cause != "" {
			return f
		}
	}
	return nil
}

// blocked finds a StatefulSet that will not replace a pod because that pod is
// not ready: its controller waits for the old revision before it makes the new
// one. A pod that is broken never gets there, so it need not last.
func blocked(c *scene) *finding {
	if !c.ordered || !c.observed {
		return nil
	}
	for _, pod := range c.old {
		if isReady(pod) {
			continue
		}
		f := &finding{
			settle: untilTheEnd, pod: pod,
			cause: "pod " + pod.Name + " of the revision before is not ready, and the StatefulSet waits for it",
			cure:  "kubectl delete pod " + pod.Name + " -n " + c.namespace,
		}
		for _, v := range views(pod) {
			if _, pulling := c.pullError(v); pulling || v.looping() {
				f.settle, f.container = blockedFor, v.spec.Name
			}
		}
		return f
	}
	return nil
}

// whyUnready returns the probe's answer, or what the pod's conditions say.
func (c *scene) whyUnready(pod *corev1.Pod) string {
	e := c.snapshot.latest(uidsOf(pod), func(e *corev1.Event) bool {
		return e.Reason == "Unhealthy" || e.Reason == "ProbeError"
	})
	if e != nil {
		return strings.TrimSpace(e.Message)
	}
	for _, t := range []corev1.PodConditionType{corev1.PodReady, corev1.ContainersReady} {
		if s := condition(pod, t); s != nil && s.Status == corev1.ConditionFalse && s.Message != "" {
			return s.Message
		}
	}
	return ""
}

// deadline finds that there was time enough. Its cause is how far the workload
// got, with the newest warning about it or its pods.
func deadline(c *scene) *finding {
	f := &finding{settle: untilTheEnd, cause: c.progress(), cure: "raise the stage's timeout if it only needs longer"}
	if c.overdue != "" {
		f.cause += "; " + c.overdue
		f.cure = "raise the Deployment's progressDeadlineSeconds if it only needs longer"
	}
	if c.note != "" {
		f.cause += "; " + c.note
	}
	uids := c.uids
	for _, pod := range c.current {
		uids = append(uids, pod.UID)
	}
	e := c.snapshot.latest(uids, func(e *corev1.Event) bool { return e.Type == corev1.EventTypeWarning && !seen(e).Before(c.written) })
	if e != nil {
		f.cause += "; " + e.Reason + ": " + cut(e.Message, deadlineWords)
	}
	return f
}

// cut returns at most n bytes of s, at a whole character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
