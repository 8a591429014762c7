package rollout

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// noPods finds a controller that may not create the pods it wants: a quota, an
// admission webhook, a LimitRange, PodSecurity. Pods that are leaving may free
// what is missing, so while there are any it does not count yet.
func noPods(c *scene) *finding {
	if c.idle != "" || len(c.current) >= c.want && !c.retries || c.complete {
		return nil
	}
	words := c.refused
	if words == "" {
		e := c.snapshot.latest(c.uids, func(e *corev1.Event) bool { return e.Reason == "FailedCreate" && !seen(e).Before(c.written) })
		if e == nil || len(c.current) > 0 && c.retries {
			return nil
		}
		words = e.Message
	}
	return &finding{settle: c.patience(refusedFor), cause: words, cure: refusalCure(words)}
}

func refusalCure(words string) string {
	switch {
	case strings.Contains(words, "exceeded quota"), strings.Contains(words, "failed quota"):
		return "raise the ResourceQuota, or set requests and limits that fit"
	case strings.Contains(words, "PodSecurity"):
		return "set the securityContext that the namespace's pod security level asks for"
	case strings.Contains(words, "serviceaccount"):
		return "create the ServiceAccount"
	case strings.Contains(words, "webhook"):
		return "see the webhook's own words; it refuses the pods"
	}
	return "change the pod template so that the API server takes its pods"
}

// paused finds a Deployment that somebody paused: what was applied is not
// rolled out, however long one waits.
func paused(c *scene) *finding {
	if !c.paused || !c.observed || len(c.current) >= c.want {
		return nil
	}
	return &finding{cause: "spec.paused is true: no pods of this revision are made", cure: "kubectl rollout resume deployment/" + c.object.Name() + " -n " + c.namespace}
}

// unschedulable finds a pod that no node takes.
func unschedulable(c *scene) *finding {
	for _, pod := range c.current {
		s := condition(pod, corev1.PodScheduled)
		if s == nil || s.Status != corev1.ConditionFalse || s.Reason != corev1.PodReasonUnschedulable || pod.Status.NominatedNodeName != "" {
			continue
		}
		settle := c.patience(unscheduled)
		if strings.Contains(s.Message, "PersistentVolumeClaim") || strings.Contains(s.Message, "persistentvolumeclaim") {
			settle = max(settle, claimFor)
		}
		if c.nodeComesFor(pod) {
			settle = untilTheEnd
		}
		return &finding{settle: settle, pod: pod, cause: s.Message, cure: "lower the pod's requests, or change its nodeSelector, affinity or tolerations, or add a node"}
	}
	return nil
}

// nodeComes reports whether a current pod waits for a node that an autoscaler is
// adding. That takes minutes, which a Deployment's progress deadline does not
// know of: it does not count then, and the stage's timeout is the bound.
func (c *scene) nodeComes() bool {
	return slices.ContainsFunc(c.current, func(pod *corev1.Pod) bool {
		s := condition(pod, corev1.PodScheduled)
		return s != nil && s.Status == corev1.ConditionFalse && c.nodeComesFor(pod)
	})
}

// nodeComesFor reports whether an autoscaler has said so of a pod: TriggeredScaleUp
// is the cluster autoscaler's word, Nominated Karpenter's.
func (c *scene) nodeComesFor(pod *corev1.Pod) bool {
	return c.snapshot.latest(uidsOf(pod), func(e *corev1.Event) bool { return e.Reason == "TriggeredScaleUp" || e.Reason == "Nominated" }) != nil
}

// patience returns d, or for ever while pods that are leaving may make room.
func (c *scene) patience(d time.Duration) time.Duration {
	if len(c.leaving) > 0 {
		return untilTheEnd
	}
	return d
}
