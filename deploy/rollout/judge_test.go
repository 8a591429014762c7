package rollout

import (
	"errors"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/deploy"
)

var errRegistry = errors.New("registry is on fire")

// withInit is a Deployment with an init container that is pinned too.
func withInit() *cast {
	c := deployment()
	c.work = work("Deployment", "init", "web")
	init := corev1.Container{Name: "init", Image: image}
	c.dep.Spec.Template.Spec.InitContainers = []corev1.Container{init}
	c.rs.Spec.Template.Spec.InitContainers = []corev1.Container{init}
	for _, p := range c.pods {
		p.Spec.InitContainers = []corev1.Container{init}
		p.Status.InitContainerStatuses = []corev1.ContainerStatus{{
			Name: "init", Ready: true, ContainerID: "containerd://0", ImageID: "localhost:5000/shop/web@" + pinned, State: dead(0, "Completed"),
		}}
	}
	return c
}

// What is judged besides the rules: the proof, the kinds, and what only looks bad.
func TestJudge(t *testing.T) {
	const pending deploy.Code = ""
	tests := []struct {
		name  string
		well  func() *cast
		turn  func(*cast)
		after time.Duration
		code  deploy.Code
		ready int
		want  int
	}{
		{"deployment", deployment, nil, 0, deploy.Proven, 2, 2},
		{"statefulset", statefulSet, nil, 0, deploy.Proven, 3, 3},
		{"daemonset", daemonSet, nil, 0, deploy.Proven, 1, 1},
		{"job", job, nil, 0, deploy.Proven, 1, 1},
		{"cronjob", cronJob, nil, 0, deploy.NothingRuns, 0, 0},
		{"bare pod", barePod, nil, 0, deploy.Proven, 1, 1},
		{"nothing pinned", deployment, func(c *cast) { c.work.pins = nil }, 0, deploy.Ready, 2, 2},

		{"0 replicas", deployment, func(c *cast) { c.dep.Spec.Replicas = ptr(int32(0)); c.pods = nil }, 0, deploy.NothingRuns, 0, 0},
		{"0 replicas, not observed", deployment, func(c *cast) { c.dep.Spec.Replicas = ptr(int32(0)); c.pods = nil; c.dep.Generation = 3 }, 0, pending, 0, 0},
		{"an autoscaler wants three", deployment, func(c *cast) { c.dep.Spec.Replicas = ptr(int32(3)) }, 0, pending, 2, 3},
		{"a pod too many", deployment, func(c *cast) { c.dep.Spec.Replicas = ptr(int32(1)) }, 0, pending, 2, 1},
		{"not observed", deployment, func(c *cast) { c.dep.Generation = 3 }, 0, pending, 2, 2},
		{"pods of the revision before", deployment, func(c *cast) { c.dep.Annotations[revisionAnnotation] = "5" }, 0, pending, 0, 2},
		{"same revision, other template", deployment, func(c *cast) { c.rs.Spec.Template.Labels["v"] = "1" }, 0, pending, 0, 2},
		{"a ready pod of the revision before is left", deployment, func(c *cast) { c.before("web-3-a") }, 0, pending, 2, 2},
		{"a pod of the revision before is stopping", deployment, func(c *cast) { c.before("web-3-a").DeletionTimestamp = &metav1.Time{Time: start} }, 0, deploy.Proven, 2, 2},
		{"a ready pod is stopping", deployment, func(c *cast) { c.pods[0].DeletionTimestamp = &metav1.Time{Time: start} }, 0, pending, 1, 2},

		{"partition, pods below it of the revision before", statefulSet, func(c *cast) {
			c.sts.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{Partition: ptr(int32(2))}
			c.pods[0].Labels[revisionLabel], c.pods[1].Labels[revisionLabel] = "r1", "r1"
		}, 0, deploy.Proven, 1, 1},
		{"no partition, one pod of the revision before", statefulSet, func(c *cast) { c.pods[0].Labels[revisionLabel] = "r1" }, 0, pending, 2, 3},
		{"partition holds all", statefulSet, func(c *cast) {
			c.sts.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{Partition: ptr(int32(3))}
		}, 0, deploy.NothingRuns, 0, 0},
		{"ordinals start at 5, partition 1", statefulSet, func(c *cast) {
			c.sts.Spec.Ordinals = &appsv1.StatefulSetOrdinals{Start: 5}
			c.sts.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{Partition: ptr(int32(1))}
			c.pods[0].Name, c.pods[1].Name, c.pods[2].Name = "web-5", "web-6", "web-7"
			c.pods[0].Labels[revisionLabel] = "r1"
		}, 0, deploy.Proven, 2, 2},
		{"statefulset, not observed: its pods are the ones before", statefulSet, func(c *cast) {
			c.exact, c.sts.Generation = true, 3
			c.first().ImageID = other
		}, time.Minute, pending, 0, 3},
		{"statefulset, not observed: what crashes is the one before", statefulSet, func(c *cast) {
			c.sts.Generation = 3
			c.first().LastTerminationState = dead(1, "Error")
			c.put(waits("CrashLoopBackOff", ""))
		}, time.Minute, pending, 0, 3},
		{"daemonset, not observed: what crashes is the one before", daemonSet, func(c *cast) {
			c.ds.Generation = 3
			c.first().LastTerminationState = dead(1, "Error")
			c.put(waits("CrashLoopBackOff", ""))
		}, time.Minute, pending, 0, 1},
		{"replicaset, not observed", replicaSet, func(c *cast) { c.rs.Generation = 3 }, time.Minute, pending, 2, 2},
		{"replicaset", replicaSet, nil, 0, deploy.Proven, 2, 2},
		{"replicaset keeps pods of the template before", replicaSet, func(c *cast) { c.exact = true; c.first().ImageID = other }, 0, deploy.WrongDigest, 2, 2},
		{"bare pod whose image was changed in place", barePod, func(c *cast) { c.exact = true; c.first().ImageID = other }, 34 * time.Second, pending, 1, 1},
		{"bare pod that never came to the new image", barePod, func(c *cast) { c.exact = true; c.first().ImageID = other }, 35 * time.Second, deploy.WrongDigest, 1, 1},
		{"daemonset, a newer revision", daemonSet, func(c *cast) {
			r := &appsv1.ControllerRevision{ObjectMeta: meta("web-3", "cr3", &c.ds.ObjectMeta), Revision: 3}
			r.Labels[revisionLabel] = "h3"
			c.more = append(c.more, r)
		}, 0, pending, 0, 1},
		{"daemonset on no node", daemonSet, func(c *cast) { c.ds.Status.DesiredNumberScheduled = 0; c.pods = nil }, 0, deploy.NothingRuns, 0, 0},

		{"job runs", job, func(c *cast) {
			c.job.Status = batchv1.JobStatus{}
			c.pods[0].Status.Phase = corev1.PodRunning
		}, time.Hour, pending, 0, 1},
		{"job tries again", failedJob, func(c *cast) { c.job.Status = batchv1.JobStatus{Failed: 1} }, time.Hour, pending, 0, 1},
		{"job is suspended", job, func(c *cast) { c.job.Status = batchv1.JobStatus{}; c.job.Spec.Suspend = ptr(true); c.pods = nil }, 0, deploy.NothingRuns, 0, 1},
		{"job completed, pods gone", job, func(c *cast) { c.pods = nil }, 0, deploy.NothingRuns, 0, 1},
		{"job restarts its container", job, func(c *cast) {
			c.job.Status = batchv1.JobStatus{}
			c.pods[0].Status.Phase = corev1.PodRunning
			c.first().RestartCount = 3
			c.first().LastTerminationState = dead(1, "Error")
			c.put(waits("CrashLoopBackOff", ""))
		}, time.Hour, pending, 0, 1},
		{"bare pod that ended well", barePod, func(c *cast) {
			c.pods[0].Spec.RestartPolicy = corev1.RestartPolicyNever
			c.pods[0].Status.Phase = corev1.PodSucceeded
			c.put(dead(0, "Completed"))
		}, 0, deploy.Proven, 1, 1},

		{"docker-pullable", deployment, func(c *cast) { c.first().ImageID = "docker-pullable://reg/web@" + pinned }, 0, deploy.Proven, 2, 2},
		{"bare digest", deployment, func(c *cast) { c.first().ImageID = pinned }, 0, deploy.Proven, 2, 2},
		{"registry not asked yet", deployment, func(c *cast) { c.first().ImageID = other }, 0, pending, 2, 2},
		{"registry says it is the same", deployment, func(c *cast) {
			c.first().ImageID = other
			c.answers = map[question]answer{{"localhost:5000/shop/web", pinned, other}: {same: true}}
		}, 0, deploy.Proven, 2, 2},
		{"init container pinned", withInit, nil, 0, deploy.Proven, 2, 2},
		{"init container of another digest", withInit, func(c *cast) {
			c.exact = true
			c.pods[1].Status.InitContainerStatuses[0].ImageID = other
		}, 0, deploy.WrongDigest, 2, 2},
		{"a container that is not pinned runs anything", withInit, func(c *cast) {
			c.work = work("Deployment", "web")
			c.exact = true
			c.pods[1].Status.InitContainerStatuses[0].ImageID = other
		}, 0, deploy.Proven, 2, 2},

		{"no probe, just started", deployment, func(c *cast) { c.pods[0].Spec.Containers[0].ReadinessProbe = nil }, 0, pending, 2, 2},
		{"no probe, stays up", deployment, func(c *cast) { c.pods[0].Spec.Containers[0].ReadinessProbe = nil }, startedFor, deploy.Proven, 2, 2},
		{"no probe, started long ago", deployment, func(c *cast) {
			c.pods[0].Spec.Containers[0].ReadinessProbe = nil
			c.first().State.Running.StartedAt = metav1.NewTime(start.Add(-time.Hour))
		}, 0, deploy.Proven, 2, 2},
		{"died once, on probation", restarted, nil, 0, pending, 2, 2},
		{"died once, recovered", restarted, nil, recoveredFor, deploy.Proven, 2, 2},
		{"died three times, on probation", restarted, func(c *cast) { c.first().RestartCount = 3 }, 2 * recoveredFor, pending, 2, 2},
		{"died three times, recovered", restarted, func(c *cast) { c.first().RestartCount = 3 }, 3 * recoveredFor, deploy.Proven, 2, 2},
		{"died often, recovered", restarted, func(c *cast) { c.first().RestartCount = 100 }, longAgo, deploy.Proven, 2, 2},
		{"died once, starts again", restarted, func(c *cast) { c.unready() }, time.Minute, pending, 1, 2},
		{"died once just now", deployment, func(c *cast) { c.put(dead(1, "Error")) }, time.Minute, pending, 1, 2},
		{"died for memory once, recovered", restarted, func(c *cast) { c.first().LastTerminationState = dead(137, oomKilled) }, recoveredFor, deploy.Proven, 2, 2},
		{"died often, a long time ago, now unready", restarted, func(c *cast) {
			c.first().RestartCount = 5
			c.first().State.Running.StartedAt = metav1.NewTime(start.Add(-24 * time.Hour))
			c.unready()
			c.pods[0].Status.Conditions[1].LastTransitionTime = metav1.NewTime(start.Add(-time.Minute))
		}, time.Minute, pending, 1, 2},

		{"starts slowly", deployment, func(c *cast) {
			c.unready()
			c.event("uid-web-4-a", "Unhealthy", "Startup probe failed: connection refused")
		}, time.Hour, pending, 1, 2},
		{"progress deadline of the rollout before", deployment, func(c *cast) { c.unready(); c.dep.Status.Conditions = overdue() }, time.Second, pending, 1, 2},
		{"scheduler will make room", deployment, func(c *cast) {
			c.pods[0].Status = unscheduledStatus("0/1 nodes are available: 1 Insufficient cpu.")
			c.pods[0].Status.NominatedNodeName = "node-1"
		}, time.Hour, pending, 1, 2},
		{"autoscaler adds a node", deployment, func(c *cast) {
			c.pods[0].Status = unscheduledStatus("0/1 nodes are available: 1 Insufficient cpu.")
			c.event("uid-web-4-a", "TriggeredScaleUp", "pod triggered scale-up")
		}, time.Hour, pending, 1, 2},
		{"autoscaler adds a node, for longer than the progress deadline", deployment, func(c *cast) {
			c.pods[0].Status = unscheduledStatus("0/1 nodes are available: 1 Insufficient cpu.")
			c.event("uid-web-4-a", "TriggeredScaleUp", "pod triggered scale-up")
			c.dep.Status.Conditions = overdue()
		}, time.Hour, pending, 1, 2},
		{"the progress deadline has passed, and no node comes", deployment, func(c *cast) {
			c.pods[0].Status = unscheduledStatus("0/1 nodes are available: 1 Insufficient cpu.")
			c.dep.Status.Conditions = overdue()
		}, 6 * time.Second, deploy.Unscheduled, 1, 2},
		{"autoscaler added a node, and what runs there is not ready in time", deployment, func(c *cast) {
			c.unready()
			c.event("uid-web-4-a", "TriggeredScaleUp", "pod triggered scale-up")
			c.dep.Status.Conditions = overdue()
		}, 6 * time.Second, deploy.Deadline, 1, 2},
		{"room comes when old pods have stopped", deployment, func(c *cast) {
			c.pods[0].Status = unscheduledStatus("0/1 nodes are available: 1 Insufficient cpu.")
			c.before("web-3-a").DeletionTimestamp = &metav1.Time{Time: start}
		}, time.Hour, pending, 1, 2},
		{"quota event from before this spec", statefulSet, func(c *cast) {
			c.pods = c.pods[:2]
			c.event("s", "FailedCreate", "exceeded quota")
			c.sts.ManagedFields = []metav1.ManagedFieldsEntry{{Time: &metav1.Time{Time: start.Add(time.Minute)}}}
		}, time.Hour, pending, 2, 3},
		{"a mount that may still succeed", deployment, func(c *cast) {
			c.put(waits("ContainerCreating", ""))
			c.pods[0].Status.Phase = corev1.PodPending
			c.event("uid-web-4-a", "FailedMount", "Unable to attach or mount volumes: timed out waiting for the condition")
		}, time.Hour, pending, 1, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := tt.well()
			if tt.turn != nil {
				tt.turn(c)
			}
			v := c.after(tt.after, rules()).verdict
			if v.Code != tt.code {
				t.Errorf("got %q (%s), want %q", v.Code, v.Cause, tt.code)
			}
			if v.Ready != tt.ready || v.Want != tt.want {
				t.Errorf("got %d/%d, want %d/%d", v.Ready, v.Want, tt.ready, tt.want)
			}
		})
	}
}

// before adds a ready pod of the revision before.
func (c *cast) before(name string) *corev1.Pod {
	rs := &appsv1.ReplicaSet{ObjectMeta: meta("web-3", "rs3", &c.dep.ObjectMeta)}
	rs.Annotations[revisionAnnotation] = "3"
	p := pod(name, &rs.ObjectMeta, hashLabel, "h3")
	c.pods = append(c.pods, p)
	c.more = append(c.more, rs)
	return p
}

func TestJudgeCustom(t *testing.T) {
	ready, stalled := conditions("Ready", "True"), conditions("Stalled", "True")
	active := map[string]any{"phase": "Active", "observedGeneration": int64(2)}
	isActive := deploy.Readiness{Ready: `self.status.phase == "Active"`}
	mayStall := deploy.Readiness{Failed: `self.status.phase == "Broken"`}
	tests := []struct {
		name   string
		rule   deploy.Readiness
		status map[string]any
		timeUp bool
		code   deploy.Code
		cause  string
	}{
		{"no status", deploy.Readiness{}, nil, false, deploy.Applied, ""},
		{"ready", deploy.Readiness{}, ready, false, deploy.Applied, ""},
		{"not ready", deploy.Readiness{}, conditions("Ready", "False"), false, "", ""},
		{"not ready, time is up", deploy.Readiness{}, conditions("Ready", "False"), true, deploy.Deadline, "so it is"},
		{"stalled", deploy.Readiness{}, stalled, false, deploy.Stalled, "so it is"},

		{"a rule, no status", isActive, nil, true, deploy.Deadline, `waits for self.status.phase == "Active" (no such key: status)`},
		{"a rule holds", isActive, active, false, deploy.Applied, ""},
		{"a rule holds, of what was before", isActive, map[string]any{"phase": "Active", "observedGeneration": int64(1)}, true, deploy.Deadline, "has not seen it yet"},
		{"a rule does not hold, whatever its status says", isActive, map[string]any{"phase": "Odd", "conditions": ready["conditions"]}, true, deploy.Deadline, "waits for"},
		{"a rule, and it is stalled", isActive, map[string]any{"phase": "Active", "conditions": stalled["conditions"]}, false, deploy.Stalled, "so it is"},
		{"a rule says that it failed", mayStall, map[string]any{"phase": "Broken"}, false, deploy.Stalled, `self.status.phase == "Broken"`},
		{"a rule says when it fails, and it is well", mayStall, ready, false, deploy.Applied, ""},
		{"a rule says when it fails, and stalled it may be", mayStall, stalled, false, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := work("Certificate")
			w.custom = true
			if err := w.terms.compile(tt.rule); err != nil {
				t.Fatal(err)
			}
			u := &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": map[string]any{"name": "web", "namespace": "shop", "generation": int64(2)},
			}}
			if tt.status != nil {
				u.Object["status"] = tt.status
			}
			s := newSnapshot([]metav1.Object{u})
			s.timeUp = tt.timeUp
			if got := judge(start, w, s, rules()).verdict; got.Code != tt.code || !strings.Contains(got.Cause, tt.cause) {
				t.Errorf("got %q (%s), want %q (%s)", got.Code, got.Cause, tt.code, tt.cause)
			}
		})
	}
}

func conditions(t, status string) map[string]any {
	return map[string]any{"conditions": []any{map[string]any{"type": t, "status": status, "message": "so it is"}}}
}

func TestDigestOf(t *testing.T) {
	for imageID, want := range map[string]string{
		"":                                    "",
		"web:latest":                          "",
		"sha256:123":                          "",
		pinned:                                pinned,
		"reg:5000/web@" + pinned:              pinned,
		"docker-pullable://reg/web@" + pinned: pinned,
		"docker://" + pinned:                  pinned,
		"reg/web:x" + pinned:                  "",
		pinned + "0":                          "",
	} {
		if got := digestOf(imageID); got != want {
			t.Errorf("digestOf(%q) = %q, want %q", imageID, got, want)
		}
	}
}
