package rollout

import (
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// badConfig finds a container that the kubelet cannot make: a ConfigMap, a
// Secret or a key is missing, or the runtime refuses its settings.
func badConfig(c *scene) *finding {
	return c.first(func(v view) *finding {
		switch reason, message := v.waiting(); reason {
		case "CreateContainerConfigError":
			f := &finding{settle: configFor, cause: message, cure: "add what is missing to the manifests, or mark the reference optional"}
			switch {
			case strings.HasPrefix(message, "failed to sync"): // the kubelet has not read it yet, and asks again
				f.settle, f.cure = unreadFor, "see why the node cannot read it from the API server"
			case strings.Contains(message, "runAsNonRoot"):
				f.cure = "let the image or runAsUser name a user by a number other than 0; of an exec in the cluster, that is user:"
			}
			return f
		case "CreateContainerError", "PreCreateHookError":
			return &finding{settle: configFor, cause: message, cure: "see the container's command, volumes and securityContext"}
		}
		return nil
	})
}

// badVolume finds a volume that cannot be mounted because what it shows is not
// there. Other mount errors are often a matter of time and wait for the deadline.
func badVolume(c *scene) *finding {
	for _, pod := range c.current {
		if pod.Status.Phase != corev1.PodPending {
			continue
		}
		e := c.snapshot.latest(uidsOf(pod), func(e *corev1.Event) bool { return e.Reason == "FailedMount" && absent().MatchString(e.Message) })
		if e != nil {
			return &finding{settle: volumeFor, pod: pod, cause: e.Message, cure: "add what is missing to the manifests, or mark the volume optional"}
		}
	}
	return nil
}

func absent() *regexp.Regexp {
	return regexp.MustCompile(`(?i)(not found|references non-existent|not registered|no such file or directory|hostPath type check failed)`)
}

// cannotStart finds a container whose program the runtime cannot run, twice.
func cannotStart(c *scene) *finding {
	if c.retries {
		return nil
	}
	return c.first(func(v view) *finding {
		d := v.death()
		if d == nil || !v.looping() || d.Reason != "StartError" && d.Reason != "ContainerCannotRun" {
			return nil
		}
		return &finding{cause: d.Message, cure: "see whether the image has the program that command or ENTRYPOINT names, for the node's architecture"}
	})
}

// uidsOf returns pod's UID as events name it.
func uidsOf(pod *corev1.Pod) []types.UID { return []types.UID{pod.UID} }
