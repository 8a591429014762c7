package rollout

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// crashLoop finds a container that has died at least twice and is not well. One
// that died once and then stays up is no finding. A Job counts for itself.
func crashLoop(c *scene) *finding {
	if c.retries {
		return nil
	}
	return c.first(func(v view) *finding {
		d := v.death()
		if d == nil || !v.looping() {
			return nil
		}
		cure := exitCure(d.ExitCode)
		if c.probeKill(v, d) != nil {
			cure = "see the probe's path, port and timing against what the container serves; a slow start wants a startupProbe"
		}
		return &finding{cause: c.epitaph(v, d), cure: cure, died: v.grave()}
	})
}

// outOfMemory finds a container that the kernel kills for what it eats.
func outOfMemory(c *scene) *finding {
	if c.retries {
		return nil
	}
	return c.first(func(v view) *finding {
		d := v.death()
		if d == nil || d.Reason != oomKilled || !v.looping() {
			return nil
		}
		return &finding{cause: c.epitaph(v, d), cure: "raise resources.limits.memory or make it need less", died: v.grave()}
	})
}

// podFailed finds a pod without a controller that ended badly: nothing starts
// it again.
func podFailed(c *scene) *finding {
	if c.retries || c.failure == "" {
		return nil
	}
	return c.obituary("delete the pod, or give it a controller that starts it again")
}

// jobFailed finds a Job that gave up.
func jobFailed(c *scene) *finding {
	if !c.retries || c.failure == "" {
		return nil
	}
	return c.obituary("mend what its container says; a Job that failed must be deleted or renamed before it runs again")
}

// obituary returns the failure of c with the container that brought it, where
// a pod still shows one.
func (c *scene) obituary(cure string) *finding {
	f := &finding{cause: c.failure, cure: cure}
	for _, pods := range [][]*corev1.Pod{c.failed, c.leaving, c.current} {
		for i := len(pods) - 1; i >= 0; i-- {
			for _, v := range views(pods[i]) {
				if d := v.death(); d != nil && d.ExitCode != 0 {
					f.pod, f.container, f.died = pods[i], v.spec.Name, v.grave()
					f.cause = c.failure + "; " + c.epitaph(v, d)
					return f
				}
			}
		}
	}
	return f
}

const (
	oomKilled    = "OOMKilled"
	probeKillFor = time.Minute // a probe's failure and the death it brings, with the usual grace between
)

// looping reports whether the container dies again and again: the kubelet says
// so, or it is down after two restarts whose last life was short.
func (v view) looping() bool {
	d := v.death()
	if d == nil || v.done() || v.status.Ready {
		return false
	}
	if reason, _ := v.waiting(); reason == "CrashLoopBackOff" {
		return true
	}
	if v.status.RestartCount < 2 || d.FinishedAt.Sub(d.StartedAt.Time) >= lifeOfLoop {
		return false
	}
	condition := condition(v.pod, corev1.PodReady)
	r := v.status.State.Running
	return r == nil || condition == nil || condition.LastTransitionTime.Sub(r.StartedAt.Time) < lifeOfLoop
}

// epitaph says how a container died: its exit code and what that means, a
// probe that killed it, the last message it left.
func (c *scene) epitaph(v view, d *corev1.ContainerStateTerminated) string {
	text := fmt.Sprintf("exit code %d", d.ExitCode)
	probe := c.probeKill(v, d)
	switch meaning := exitMeaning(d.ExitCode); {
	case d.Reason == oomKilled:
		text = "killed for want of memory (OOMKilled, exit code " + fmt.Sprint(d.ExitCode) + "), " + limit(v.spec)
	case d.ExitCode == 0 && !c.retries && probe == nil:
		text += " (it ended; what it runs must keep running)"
	case meaning != "":
		text += " (" + meaning + ")"
	}
	if probe != nil {
		text = strings.TrimSpace(probe.Message) + "; " + text
	}
	if n := v.status.RestartCount; n > 1 {
		text += fmt.Sprintf(", %d restarts", n)
	}
	if m := strings.TrimSpace(d.Message); m != "" {
		text += ": " + m
	}
	return text
}

// probeKill returns the event of the liveness or startup probe that failed
// shortly before v died, for then the kubelet killed it.
func (c *scene) probeKill(v view, d *corev1.ContainerStateTerminated) *corev1.Event {
	return c.snapshot.latest(uidsOf(v.pod), func(e *corev1.Event) bool {
		return e.Reason == "Unhealthy" && about(e, v) &&
			(strings.HasPrefix(e.Message, "Liveness probe") || strings.HasPrefix(e.Message, "Startup probe")) &&
			(d.FinishedAt.IsZero() || d.FinishedAt.Sub(seen(e)).Abs() <= probeKillFor)
	})
}

func limit(c *corev1.Container) string {
	if m, ok := c.Resources.Limits[corev1.ResourceMemory]; ok {
		return "its limit is " + m.String()
	}
	return "it has no limit: the node or a limit of the pod was full"
}
