package rollout

import (
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-ci/slipway/deploy"
)

// A pair is a workload that is well and its twin, in which one thing is not.
type pair struct {
	name  string
	rule  string // the row of the table that must see it
	well  func() *cast
	spoil func(*cast)
	after time.Duration // how long it must last to be red; before that it is not
	code  deploy.Code
	words []string // of the cause and the cure
}

// restarted is a Deployment whose first container died once and came back.
func restarted() *cast {
	c := deployment()
	c.first().RestartCount = 1
	c.first().LastTerminationState = dead(1, "Error")
	return c
}

func failedJob() *cast {
	c := job()
	c.pods[0].Status.Phase = corev1.PodFailed
	c.first().State = dead(3, "Error")
	return c
}

const (
	notFound  = `rpc error: code = NotFound desc = failed to pull and unpack image "reg/web@sha256:aa": failed to resolve reference: reg/web@sha256:aa: not found`
	noAuth    = `failed to pull image "reg/web": failed to authorize: unexpected status from GET request to https://reg/token: 401 Unauthorized`
	noNetwork = `failed to pull image "reg/web": dial tcp 10.0.0.1:443: connect: connection refused`
)

func pairs() []pair {
	return []pair{
		{"deleted by someone", "overwritten", deployment, func(c *cast) { c.dep.Name = "elsewhere" }, 0, deploy.Overwritten, []string{"not in the cluster"}},
		{"being deleted", "overwritten", deployment, func(c *cast) { c.dep.DeletionTimestamp = &metav1.Time{Time: start} }, 0, deploy.Overwritten, []string{"being deleted"}},
		{"image edited by someone", "overwritten", deployment, func(c *cast) { c.dep.Spec.Template.Spec.Containers[0].Image = "web:latest" }, 0, deploy.Overwritten, []string{"web:latest", image}},
		{"image of a CronJob edited", "overwritten", cronJob, func(c *cast) {
			c.cron.Spec.JobTemplate.Spec.Template.Spec.Containers[0].Image = "web:latest"
		}, 0, deploy.Overwritten, []string{"web:latest"}},

		{"another digest runs", "wrong digest", deployment, func(c *cast) { c.exact = true; c.first().ImageID = "reg/web@" + other }, 0, deploy.WrongDigest, []string{"web-4-a", pinned, other}},
		{"registry says it is another", "wrong digest", deployment, func(c *cast) {
			c.first().ImageID = other
			c.answers = map[question]answer{{"localhost:5000/shop/web", pinned, other}: {}}
		}, 0, deploy.WrongDigest, []string{pinned, other}},
		{"a succeeded Job ran another digest", "wrong digest", job, func(c *cast) { c.exact = true; c.first().ImageID = other }, 0, deploy.WrongDigest, []string{other}},
		{"another digest, status of the start before", "wrong digest", deployment, func(c *cast) {
			c.exact = true
			c.first().ImageID, c.pods[0].Status.ObservedGeneration = other, 1
		}, outdatedFor, deploy.WrongDigest, []string{other}},

		{"image name is none", "image name", deployment, func(c *cast) { c.put(waits("InvalidImageName", "couldn't parse image name")) }, 0, deploy.ImagePull, []string{"couldn't parse"}},
		{"image may not be pulled", "image name", deployment, func(c *cast) {
			c.put(waits("ErrImageNeverPull", "Container image is not present with pull policy of Never"))
		}, 0, deploy.ImagePull, []string{"Never", "imagePullPolicy"}},
		{"image not in the registry, first attempt", "image missing or private", deployment, func(c *cast) { c.put(waits("ErrImagePull", notFound)) }, 0, deploy.ImagePull, []string{"not found", "digest is there"}},
		{"registry wants to know who asks", "image missing or private", deployment, func(c *cast) { c.put(waits("ErrImagePull", noAuth)) }, 0, deploy.ImagePull, []string{"401 Unauthorized", "imagePullSecret"}},
		{"back-off that keeps the words", "image missing or private", deployment, func(c *cast) {
			c.put(waits("ImagePullBackOff", `Back-off pulling image "reg/web": ErrImagePull: `+notFound))
		}, 0, deploy.ImagePull, []string{"not found"}},
		{"back-off whose words are in an event", "image missing or private", deployment, func(c *cast) {
			c.event("uid-web-4-a", "Failed", `Failed to pull image "reg/web": `+notFound)
			c.event("uid-web-4-a", "Failed", "Error: ErrImagePull")
			c.put(waits("ImagePullBackOff", `Back-off pulling image "reg/web"`))
		}, 0, deploy.ImagePull, []string{"code = NotFound"}},
		{"registry not reached", "image pull", deployment, func(c *cast) { c.put(waits("ErrImagePull", noNetwork)) }, networkFor, deploy.ImagePull, []string{"connection refused", "node reaches"}},

		{"ConfigMap missing", "config", deployment, func(c *cast) { c.put(waits("CreateContainerConfigError", `configmap "web" not found`)) }, configFor, deploy.BadConfig, []string{`configmap "web" not found`}},
		{"key of a Secret missing", "config", deployment, func(c *cast) {
			c.put(waits("CreateContainerConfigError", "couldn't find key TOKEN in Secret shop/web"))
		}, configFor, deploy.BadConfig, []string{"key TOKEN"}},
		{"image of root refused", "config", deployment, func(c *cast) {
			c.put(waits("CreateContainerConfigError", "container has runAsNonRoot and image will run as root"))
		}, configFor, deploy.BadConfig, []string{"image will run as root", "by a number"}},
		{"Secret not read yet", "config", deployment, func(c *cast) {
			c.put(waits("CreateContainerConfigError", "failed to sync secret cache: timed out waiting for the condition"))
		}, unreadFor, deploy.BadConfig, []string{"failed to sync"}},
		{"container refused by the runtime", "config", deployment, func(c *cast) { c.put(waits("CreateContainerError", "no command specified")) }, configFor, deploy.BadConfig, []string{"no command"}},
		{"volume of a missing Secret", "volume", deployment, func(c *cast) {
			c.put(waits("ContainerCreating", ""))
			c.pods[0].Status.Phase = corev1.PodPending
			c.event("uid-web-4-a", "FailedMount", `MountVolume.SetUp failed for volume "tls" : secret "tls" not found`)
		}, volumeFor, deploy.BadConfig, []string{`secret "tls" not found`}},
		{"program missing in the image", "start", restarted, func(c *cast) {
			c.first().LastTerminationState = dead(128, "StartError")
			c.first().LastTerminationState.Terminated.Message = `exec: "/web": no such file or directory`
			c.put(waits("CrashLoopBackOff", ""))
		}, 0, deploy.BadConfig, []string{`exec: "/web"`, "ENTRYPOINT"}},

		{"dies, backs off", "crash loop", restarted, func(c *cast) { c.put(waits("CrashLoopBackOff", "back-off 10s")) }, 0, deploy.CrashLoop, []string{"exit code 1"}},
		{"dies the third time", "crash loop", restarted, func(c *cast) { c.first().RestartCount = 2; c.put(dead(139, "Error")) }, 0, deploy.CrashLoop, []string{"139", "SIGSEGV", "2 restarts"}},
		{"runs for the third time, not ready", "crash loop", restarted, func(c *cast) { c.first().RestartCount = 2; c.unready() }, 0, deploy.CrashLoop, []string{"exit code 1"}},
		{"ends well, which it must not", "crash loop", restarted, func(c *cast) {
			c.first().LastTerminationState = dead(0, "Completed")
			c.put(waits("CrashLoopBackOff", ""))
		}, 0, deploy.CrashLoop, []string{"exit code 0", "keep running"}},
		{"killed by its liveness probe", "crash loop", restarted, func(c *cast) {
			c.event("uid-web-4-a", "Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 500")
			c.first().LastTerminationState = dead(137, "Error")
			c.put(waits("CrashLoopBackOff", ""))
		}, 0, deploy.CrashLoop, []string{"statuscode: 500", "SIGKILL", "startupProbe"}},
		{"init container dies", "crash loop", withInit, func(c *cast) {
			c.pods[0].Status.InitContainerStatuses[0].Ready = false
			c.pods[0].Status.InitContainerStatuses[0].LastTerminationState = dead(127, "Error")
			c.pods[0].Status.InitContainerStatuses[0].State = waits("CrashLoopBackOff", "")
			c.put(waits("PodInitializing", ""))
		}, 0, deploy.CrashLoop, []string{"127", "command was not found"}},
		{"killed for memory", "out of memory", restarted, func(c *cast) {
			c.first().LastTerminationState = dead(137, oomKilled)
			c.put(waits("CrashLoopBackOff", ""))
		}, 0, deploy.OutOfMemory, []string{"its limit is 128Mi", "limits.memory"}},
		{"bare pod failed", "pod failed", barePod, func(c *cast) {
			c.pods[0].Status.Phase = corev1.PodFailed
			c.put(dead(2, "Error"))
		}, 0, deploy.CrashLoop, []string{"exit code 2"}},
		{"bare pod evicted", "pod failed", barePod, func(c *cast) {
			c.pods[0].Status = corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "The node was low on resource: memory."}
		}, 0, deploy.CrashLoop, []string{"Evicted: The node was low"}},

		{"Job gave up", "job failed", job, func(c *cast) {
			c.job.Status.Conditions[0] = batchv1.JobCondition{Type: batchv1.JobFailed, Status: corev1.ConditionTrue, Reason: "BackoffLimitExceeded", Message: "Job has reached the specified backoff limit"}
			c.pods = failedJob().pods
		}, 0, deploy.JobFailed, []string{"BackoffLimitExceeded", "exit code 3"}},
		{"Job gives up, pods still there", "job failed", job, func(c *cast) {
			c.job.Status.Conditions[0] = batchv1.JobCondition{Type: batchv1.JobFailureTarget, Status: corev1.ConditionTrue, Reason: "DeadlineExceeded"}
		}, 0, deploy.JobFailed, []string{"DeadlineExceeded"}},

		{"quota exceeded", "no pods", deployment, func(c *cast) {
			c.pods = nil
			c.dep.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate", Message: `pods "web-4-x" is forbidden: exceeded quota: small`}}
		}, refusedFor, deploy.NoPods, []string{"exceeded quota: small", "ResourceQuota"}},
		{"StatefulSet's pods refused", "no pods", statefulSet, func(c *cast) {
			c.pods = c.pods[:2]
			c.event("s", "FailedCreate", `create Pod web-2 in StatefulSet web failed error: violates PodSecurity "restricted:latest"`)
		}, refusedFor, deploy.NoPods, []string{"PodSecurity", "securityContext"}},
		{"paused by someone", "paused", deployment, func(c *cast) {
			c.dep.Spec.Paused = true
			c.rs.Spec.Template.Spec.Containers[0].Image = "web:before"
		}, 0, deploy.NoPods, []string{"spec.paused", "resume"}},

		{"no node takes it", "unscheduled", deployment, func(c *cast) { c.pods[0].Status = unscheduledStatus("0/3 nodes are available: 3 Insufficient cpu.") }, unscheduled, deploy.Unscheduled, []string{"3 Insufficient cpu"}},
		{"no volume for it", "unscheduled", deployment, func(c *cast) {
			c.pods[0].Status = unscheduledStatus("pod has unbound immediate PersistentVolumeClaims")
		}, claimFor, deploy.Unscheduled, []string{"PersistentVolumeClaims"}},

		{"says nothing of its image", "unproven", deployment, func(c *cast) { c.first().ImageID = "" }, blankFor, deploy.Unproven, []string{"web-4-a", `imageID ""`}},
		{"registry does not answer", "unproven", deployment, func(c *cast) {
			c.first().ImageID = other
			c.answers = map[question]answer{{"localhost:5000/shop/web", pinned, other}: {err: errRegistry}}
		}, 0, deploy.Unproven, []string{"registry is on fire"}},

		{"probe says no until the progress deadline", "never ready", deployment, func(c *cast) {
			c.event("uid-web-4-a", "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")
			c.unready()
			c.dep.Status.Conditions = overdue()
		}, overdueFor, deploy.NeverReady, []string{"statuscode: 503", "readinessProbe"}},
		{"probe says no until time is up", "never ready", deployment, func(c *cast) {
			c.event("uid-web-4-a", "Unhealthy", "Readiness probe failed: timeout")
			c.unready()
			c.timeUp = true
		}, 0, deploy.NeverReady, []string{"timeout"}},
		{"readiness gate says no", "never ready", deployment, func(c *cast) {
			c.pods[0].Status.Conditions[1] = corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse, Message: "the status of pod readiness gate \"lb\" is not True"}
			c.timeUp = true
		}, 0, deploy.NeverReady, []string{"readiness gate"}},
		{"time is up while pods start", "deadline", deployment, func(c *cast) { c.put(waits("ContainerCreating", "")); c.timeUp = true }, 0, deploy.Deadline, []string{"1/2 ready, 1 pod starting"}},
		{"a broken pod of the revision before blocks a StatefulSet", "blocked", statefulSet, func(c *cast) {
			c.pods[0].Labels[revisionLabel] = "r1"
			c.first().LastTerminationState = dead(1, "Error")
			c.put(waits("CrashLoopBackOff", ""))
		}, blockedFor, deploy.NeverReady, []string{"pod web-0 of the revision before", "delete pod web-0"}},
		{"a slow pod of the revision before blocks a StatefulSet", "blocked", statefulSet, func(c *cast) {
			c.pods[0].Labels[revisionLabel] = "r1"
			c.unready()
			c.timeUp = true
		}, 0, deploy.NeverReady, []string{"pod web-0 of the revision before"}},
	}
}

func overdue() []appsv1.DeploymentCondition {
	return []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: "ProgressDeadlineExceeded", Message: `ReplicaSet "web-4" has timed out progressing.`}}
}

func unscheduledStatus(message string) corev1.PodStatus {
	return corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{
		{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: message},
	}}
}

func TestRules(t *testing.T) {
	for _, p := range pairs() {
		t.Run(p.name, func(t *testing.T) {
			well := p.well()
			if o := well.after(recoveredFor, rules()); !o.verdict.Code.OK() {
				t.Fatalf("the healthy twin got %q (%s), want green", o.verdict.Code, o.verdict.Cause)
			}
			c := p.well()
			p.spoil(c)
			if p.after > 0 {
				if o := c.after(p.after-1, rules()); o.verdict.Code != "" || o.next != start.Add(p.after) {
					t.Errorf("just before %s got %q, to be judged again at %s, want nothing yet and then again", p.after, o.verdict.Code, o.next)
				}
			}
			o := c.after(p.after, rules())
			if o.verdict.Code != p.code {
				t.Fatalf("got %q (%s), want %q", o.verdict.Code, o.verdict.Cause, p.code)
			}
			if got := rules()[o.rank].name; got != p.rule {
				t.Errorf("found by rule %q, want %q", got, p.rule)
			}
			for _, word := range p.words {
				if !strings.Contains(o.verdict.Cause+" | "+o.verdict.Cure, word) {
					t.Errorf("cause %q, cure %q do not say %q", o.verdict.Cause, o.verdict.Cure, word)
				}
			}
			if o.verdict.File != "deploy/web.yaml" || o.verdict.Line != 7 {
				t.Errorf("at %s:%d, want deploy/web.yaml:7", o.verdict.File, o.verdict.Line)
			}
		})
	}
}

// Each row of the table is needed: without it some red case is judged otherwise.
func TestEveryRuleIsNeeded(t *testing.T) {
	for i, r := range rules() {
		t.Run(r.name, func(t *testing.T) {
			without := slices.Delete(rules(), i, i+1)
			for _, p := range pairs() {
				c := p.well()
				p.spoil(c)
				if got := c.after(p.after, without).verdict; got.Code != p.code {
					return
				}
			}
			t.Errorf("all red cases stay red without rule %q", r.name)
		})
	}
}
