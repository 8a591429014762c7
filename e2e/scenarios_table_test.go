package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Manifests of twins. PINNED becomes the pinned image, OTHER another one of that repository.
var (
	oneWeb  = strings.NewReplacer("replicas: 2", "replicas: 1", "progressDeadlineSeconds: 20", "progressDeadlineSeconds: 600").Replace(healthyWeb)
	fakeWeb = strings.Replace(oneWeb, "image-id: none", "image-id: PINNED, e2e.slipway.dev/fail: none", 1)
)

// of is the manifest of a kind with a pod that becomes ready, or ends.
func of(kind, spec, pod string) string {
	version := map[string]string{"Job": "batch/v1", "ReplicationController": "v1"}[kind]
	if version == "" {
		version = "apps/v1"
	}
	return "apiVersion: " + version + `
kind: ` + kind + `
metadata: {name: web}
spec:
` + lines(2, spec) + `  template:
    metadata:
      labels: {app: web}
      annotations: {e2e.slipway.dev/image-id: PINNED, e2e.slipway.dev/fail: none}
    spec:
      terminationGracePeriodSeconds: 0
` + lines(6, pod) + `      containers: [{name: server, image: web}]
`
}

// lines are those of a text, indented.
func lines(indent int, text string) string {
	if text == "" {
		return ""
	}
	margin := strings.Repeat(" ", indent)
	return margin + strings.ReplaceAll(text, "\n", "\n"+margin) + "\n"
}

const selected = "selector: {matchLabels: {app: web}}"

// barePod is one on the real node that ends.
const barePod = `apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  restartPolicy: Never
  containers:
    - name: server
      image: web
      command: [/testapp, selftest]
      env: [{name: FAIL, value: ""}]
`

// realJob is one on the real node.
const realJob = `apiVersion: batch/v1
kind: Job
metadata: {name: web}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: server
          image: web
          command: [/testapp, selftest]
          env: [{name: FAIL, value: ""}]
`

const cronJob = `apiVersion: batch/v1
kind: CronJob
metadata: {name: web}
spec:
  schedule: "0 0 1 1 *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers: [{name: server, image: web}]
`

// Changes that more than one scenario makes.
var (
	serves    = edit{"image: web\n", "image: web\n          command: [/testapp, serve]\n"}
	unprobed  = edit{"          readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}\n", ""}
	isCrash   = edit{"dev/fail: none", "dev/fail: crash-loop"}
	earlier   = edit{"labels: {app: web}\n", "labels: {app: web, revision: earlier}\n"}
	takesTime = edit{"dev/fail: none", "dev/fail: none, e2e.slipway.dev/ready-after: 4s"}
	stateful  = edit{"image: web\n", "image: web\n          volumeMounts: [{name: state, mountPath: /state}]\n"}
	stateDir  = edit{"      containers:\n", "      volumes: [{name: state, emptyDir: {}}]\n      containers:\n"}
)

func env(variable, value string) edit {
	return edit{"env: [", fmt.Sprintf("env: [{name: %s, value: %q}, ", variable, value)}
}

// withLine adds a line to the container of oneWeb or fakeWeb.
func withLine(text string) edit {
	return edit{"          image: web\n", "          image: web\n          " + text + "\n"}
}

// inPod adds a line to the pod of oneWeb or fakeWeb.
func inPod(text string) edit {
	return edit{"      terminationGracePeriodSeconds: 0\n", "      terminationGracePeriodSeconds: 0\n      " + text + "\n"}
}

func inDeployment(text string) edit {
	return edit{"  selector: {matchLabels", "  " + text + "\n  selector: {matchLabels"}
}

func quota(pods string) string {
	return "---\n{apiVersion: v1, kind: ResourceQuota, metadata: {name: small}, spec: {hard: {pods: \"" + pods + "\"}}}\n"
}

// scenarios is the table. The real ones come first: they take longest.
func scenarios() []scenario {
	return []scenario{
		// What a kubelet and a container runtime do.
		{
			rule: "volume", name: "a Secret to mount is missing", real: true, prepare: withSecret,
			both: []edit{
				inPod("volumes: [{name: tokens, secret: {secretName: tokens}}]"),
				withLine("volumeMounts: [{name: tokens, mountPath: /tokens}]"),
			},
			red:  edit{"secretName: tokens", "secretName: tokenz"},
			code: "bad-config", says: []string{`secret "tokenz" not found`, "mark the volume optional"},
		},
		{
			rule: "image pull", name: "the registry is down", real: true,
			image: func(t *testing.T, red bool) string {
				if red {
					return closedPort(t) + "/web@" + fakeDigest(1)
				}
				return pushedTo(t, newRegistry(t).host)
			},
			code: "image-pull", container: "server", at: "image: web", says: []string{"connection refused", "node reaches the registry"},
			shows: waitsFor("ErrImagePull", "ImagePullBackOff"),
		},
		{
			rule: "never ready", name: "a slow start", real: true,
			both: []edit{{"progressDeadlineSeconds: 600", "progressDeadlineSeconds: 20"}, {"value: 0s", "value: 5s"}},
			red:  edit{"value: 5s", "value: 1h"},
			code: "never-ready", container: "server", at: "readinessProbe:", says: []string{"statuscode: 503", "readinessProbe's path"},
		},
		{
			rule: "crash loop", name: "fails, then recovers", real: true,
			both: []edit{stateful, stateDir, env("CRASHES", "1")}, red: edit{`value: "1"`, `value: "1000"`},
			code: "crash-loop", container: "server", says: []string{"exit code 1", "of 1000"},
		},
		{
			rule: "crash loop", name: "killed by its liveness probe", real: true,
			both: []edit{{"value: 0s", "value: 4s"}, withLine("livenessProbe: {httpGet: {path: /, port: 8080}, initialDelaySeconds: 1, periodSeconds: 1, failureThreshold: 1}")},
			red:  edit{"path: /,", "path: /healthz,"},
			code: "crash-loop", container: "server", says: []string{"Liveness probe failed", "statuscode: 503", "startupProbe"},
		},
		{
			rule: "wait until it stays", name: "no probe, and it ends a moment later", real: true,
			both: []edit{unprobed, env("LIVES", "1h")}, red: edit{`"1h"`, `"1200ms"`},
			code: "crash-loop", container: "server", says: []string{"exit code 1", "lived for long enough"},
		},
		{
			rule: "crash loop", name: "it crashes", real: true,
			both: []edit{serves}, red: edit{"/testapp, serve", "/testapp, crash"},
			code: "crash-loop", container: "server", at: "- name: server", says: []string{"exit code 3", "crashing on purpose"},
			shows: waitsFor("CrashLoopBackOff"),
		},
		{
			rule: "crash loop", name: "it ends well, which it must not", real: true,
			both: []edit{serves, unprobed}, red: edit{"/testapp, serve", "/testapp, selftest"},
			code: "crash-loop", container: "server", says: []string{"exit code 0", "must keep running"},
		},
		{
			rule: "crash loop", name: "an init container crashes", real: true,
			both: []edit{inPod(`initContainers: [{name: prepare, image: web, command: [/testapp, selftest], env: [{name: FAIL, value: ""}]}]`)},
			red:  edit{`value: ""`, "value: no schema"},
			code: "crash-loop", container: "prepare", says: []string{"exit code 1", "selftest: no schema"},
		},
		{
			rule: "crash loop", name: "new pods crash while old ones are ready", real: true,
			both: []edit{serves}, before: []edit{earlier}, red: edit{"/testapp, serve", "/testapp, crash"},
			code: "crash-loop", container: "server", says: []string{"0/1 pods", "exit code 3", "crashing on purpose"},
		},
		{
			rule: "out of memory", name: "it needs more than its limit", real: true,
			both: []edit{env("EAT", "64"), withLine("resources: {limits: {memory: 256Mi}}")}, red: edit{"256Mi", "32Mi"},
			code: "out-of-memory", container: "server", at: "resources:", says: []string{"OOMKilled", "its limit is 32Mi", "raise resources.limits.memory"},
			shows: endedWith("OOMKilled"),
		},
		{
			rule: "config", name: "a ConfigMap is missing", real: true, red: edit{"name: settings}}]", "name: setting}}]"},
			code: "bad-config", container: "server", at: "- name: server", says: []string{`configmap "setting" not found`},
			shows: waitsFor("CreateContainerConfigError"),
		},
		{
			rule: "config", name: "a key of a Secret is missing", real: true, prepare: withSecret,
			both: []edit{{"env: [", "env: [{name: TOKEN, valueFrom: {secretKeyRef: {name: tokens, key: token}}}, "}},
			red:  edit{"key: token}", "key: tokem}"},
			code: "bad-config", container: "server", says: []string{"couldn't find key tokem in Secret"},
			shows: waitsFor("CreateContainerConfigError"),
		},
		{
			rule: "config", name: "root is refused", real: true,
			both: []edit{withLine("securityContext: {runAsNonRoot: false}")}, red: edit{"NonRoot: false", "NonRoot: true"},
			code: "bad-config", container: "server", says: []string{"image will run as root", "a user by a number"},
			shows: waitsFor("CreateContainerConfigError"),
		},
		{
			rule: "start", name: "the program is not in the image", real: true,
			both: []edit{serves}, red: edit{"[/testapp, serve]", "[/testap, serve]"},
			code: "bad-config", container: "server", says: []string{"/testap", "no such file or directory", "ENTRYPOINT"},
			shows: endedWith("StartError"),
		},
		{
			rule: "image name", name: "an image that may not be pulled", real: true,
			both: []edit{withLine("imagePullPolicy: IfNotPresent"), serves},
			image: func(t *testing.T, red bool) string {
				return pushed(t, "serve", fmt.Sprintf("red is %t: no other test has it", red))
			},
			red:  edit{"IfNotPresent", "Never"},
			code: "image-pull", container: "server", at: "image: web", says: []string{"pull policy of Never", "set imagePullPolicy"},
			shows: waitsFor("ErrImageNeverPull"),
		},
		{
			rule: "image missing or private", name: "not in the registry", real: true,
			image: func(t *testing.T, red bool) string {
				if image := pinnedReal(t); !red {
					return image
				}
				return sharedRegistry().host + "/scenes/web@" + fakeDigest(1)
			},
			code: "image-pull", container: "server", at: "image: web", says: []string{fakeDigest(1), "not found"},
			shows: waitsFor("ErrImagePull", "ImagePullBackOff"),
		},
		{
			rule: "image missing or private", name: "the registry refuses", real: true,
			image: func(t *testing.T, red bool) string {
				if red {
					return refusingRegistry(t, "GET", "HEAD") + "/web@" + fakeDigest(1)
				}
				return pushedTo(t, refusingRegistry(t))
			},
			code: "image-pull", container: "server", at: "image: web", says: []string{"403 Forbidden", "imagePullSecret"},
			shows: waitsFor("ErrImagePull", "ImagePullBackOff"),
		},
		{
			rule: "job failed", name: "a Job fails", real: true, all: realJob, red: edit{`value: ""`, "value: no schema"},
			code: "job-failed", container: "server", says: []string{"BackoffLimitExceeded", "exit code 1", "selftest: no schema"},
			green: []string{"1/1 pods"},
			shows: hasFailed,
		},
		{
			rule: "pod failed", name: "a pod without a controller fails", real: true, all: barePod, red: edit{`value: ""`, "value: no schema"},
			code: "crash-loop", container: "server", says: []string{"the pod failed", "exit code 1", "selftest: no schema"},
			shows: hasFailed,
		},

		// What the cluster alone decides.
		{
			rule: "wait for all of them", name: "an autoscaler wants three",
			both: []edit{{"  replicas: 1\n", ""}}, before: []edit{earlier}, prepare: withAutoscaler, between: scaled, red: isCrash,
			code: "crash-loop", container: "server", says: []string{"0/3 pods", "exit code 3"}, green: []string{"web  proven  3/3"},
		},
		{
			rule: "deadline", name: "OnDelete, and nobody deletes", timeout: 20 * time.Second,
			all:    of("StatefulSet", "replicas: 1\nupdateStrategy: {type: RollingUpdate}\n"+selected, ""),
			before: []edit{earlier}, red: edit{"RollingUpdate", "OnDelete"},
			code: "deadline", says: []string{"0/1 ready, 1 pod of the revision before", "only when someone deletes it"},
		},
		{
			rule: "wait until old ones are gone", name: "pods are not available for an hour", timeout: 20 * time.Second,
			both: []edit{inDeployment("minReadySeconds: 0")}, before: []edit{earlier}, red: edit{"minReadySeconds: 0", "minReadySeconds: 500"},
			code: "deadline", says: []string{"1/1 ready, 1 pod of the revision before"},
		},
		{
			rule: "blocked", name: "a StatefulSet waits for a broken pod",
			all:    of("StatefulSet", "replicas: 1\n"+selected, ""),
			before: []edit{earlier}, redBefore: isCrash, after: 7,
			code: "never-ready", container: "server", says: []string{"pod web-0 of the revision before is not ready", "kubectl delete pod web-0"},
		},
		{
			rule: "wait for what changed", name: "a neighbour that was left alone is broken",
			all: fakeWeb + "---\n" + strings.NewReplacer("{name: web}", "{name: side}", "app: web", "app: side", "image: web", "image: r.example/side@"+fakeDigest(2),
				"image-id: PINNED", "image-id: r.example/side@"+fakeDigest(2)).Replace(fakeWeb),
			before: []edit{earlier}, between: brokenSide,
			flags: func(red bool) []string {
				if red {
					return []string{"--image", "r.example/side=r.example/side@" + fakeDigest(2)}
				}
				return nil
			},
			object: "Deployment %s/side", code: "crash-loop", container: "server", says: []string{"exit code 3"},
		},
		{
			rule: "wait for a partition", name: "the new pod below it is not made",
			all:    of("StatefulSet", "replicas: 2\nupdateStrategy: {rollingUpdate: {partition: 2}}\n"+selected, ""),
			both:   []edit{isCrash},
			before: []edit{{"dev/fail: crash-loop", "dev/fail: none"}}, red: edit{"partition: 2", "partition: 1"},
			code: "crash-loop", container: "server", says: []string{"0/1 pods", "exit code 3"},
			greenCode: "nothing-runs", green: []string{"partition 2: 2 pods stay at the revision before"},
		},
		{
			rule: "deadline", name: "a pod is kept from being scheduled", timeout: 15 * time.Second,
			both: []edit{inPod("schedulingGates: []")}, red: edit{"schedulingGates: []", "schedulingGates: [{name: e2e.slipway.dev/never}]"},
			code: "deadline", says: []string{"0/1 ready, 1 pod starting", "raise the stage's timeout"},
		},
		{
			rule: "never ready", name: "a DaemonSet is never ready", timeout: 15 * time.Second,
			all: of("DaemonSet", selected, ""), red: edit{"dev/fail: none", "dev/fail: not-ready"},
			code: "never-ready", container: "server", says: []string{"0/1 pods", "containers with unready status: [server]"},
		},
		{
			rule: "overwritten", name: "somebody edits the image", both: []edit{takesTime},
			meddle: func(t *testing.T, c *cluster, ns string, dryRun []string) error {
				patch := `[{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "r.example/web:edited"}]`
				_, err := c.client.AppsV1().Deployments(ns).Patch(t.Context(), "web", types.JSONPatchType, []byte(patch), metav1.PatchOptions{DryRun: dryRun})
				return err
			},
			code: "overwritten", container: "server", says: []string{"the spec in the cluster says r.example/web:edited", "managedFields"},
		},
		{
			rule: "overwritten", name: "somebody deletes it", both: []edit{takesTime},
			meddle: func(t *testing.T, c *cluster, ns string, dryRun []string) error {
				return c.client.AppsV1().Deployments(ns).Delete(t.Context(), "web", metav1.DeleteOptions{DryRun: dryRun})
			},
			code: "overwritten", says: []string{"who deletes it"},
		},
		{
			rule: "overwritten", name: "somebody edits a CronJob",
			all: cronJob + "---\n" + strings.NewReplacer("{name: web}", "{name: slow}", "app: web", "app: slow", takesTime.old, takesTime.new).Replace(fakeWeb),
			meddle: func(t *testing.T, c *cluster, ns string, dryRun []string) error {
				patch := `[{"op": "replace", "path": "/spec/jobTemplate/spec/template/spec/containers/0/image", "value": "r.example/web:edited"}]`
				_, err := c.client.BatchV1().CronJobs(ns).Patch(t.Context(), "web", types.JSONPatchType, []byte(patch), metav1.PatchOptions{DryRun: dryRun})
				return err
			},
			code: "overwritten", container: "server", says: []string{"the spec in the cluster says r.example/web:edited"},
			greenCode: "nothing-runs", green: []string{"a CronJob runs at 0 0 1 1 *"},
		},
		{
			rule: "wrong digest", name: "another image of the repository runs",
			image: func(t *testing.T, _ bool) string { return pinnedReal(t) }, red: edit{"image-id: PINNED", "image-id: OTHER"},
			code: "wrong-digest", container: "server", at: "image: web", says: []string{" runs sha256:", "pinned was sha256:"},
		},
		{
			rule: "unproven", name: "the node does not say what runs", red: edit{"image-id: PINNED", `image-id: ""`},
			code: "unproven", container: "server", at: "image: web", says: []string{`reports imageID ""`},
		},
		{
			rule: "job failed", name: "a Job gives up", all: of("Job", "backoffLimit: 0", "restartPolicy: Never"), red: edit{"dev/fail: none", "dev/fail: exit"},
			code: "job-failed", container: "server", says: []string{"BackoffLimitExceeded", "exit code 3"},
		},
		{
			rule: "no pods", name: "a quota is exhausted", all: fakeWeb + quota("5"), red: edit{`pods: "5"`, `pods: "0"`},
			code: "no-pods", says: []string{"0/1 pods", "exceeded quota: small", "raise the ResourceQuota"},
		},
		{
			rule: "no pods", name: "a quota is enough for one of two", all: strings.Replace(fakeWeb, "replicas: 1", "replicas: 2", 1) + quota("2"), red: edit{`pods: "2"`, `pods: "1"`},
			code: "no-pods", says: []string{"1/2 pods", "exceeded quota: small"},
		},
		{
			rule: "no pods", name: "a quota refuses a StatefulSet's", all: of("StatefulSet", "replicas: 1\n"+selected, "") + quota("5"), red: edit{`pods: "5"`, `pods: "0"`},
			code: "no-pods", says: []string{"exceeded quota: small", "raise the ResourceQuota"},
		},
		{
			rule: "no pods", name: "Pod Security refuses", prepare: restricted,
			both: []edit{withLine("securityContext: {allowPrivilegeEscalation: false, runAsNonRoot: true, runAsUser: 1000, capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}}")},
			red:  edit{"allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true"},
			code: "no-pods", says: []string{"PodSecurity", "allowPrivilegeEscalation", "set the securityContext"},
		},
		{
			rule: "no pods", name: "its ServiceAccount is missing", both: []edit{inPod("serviceAccountName: default")}, red: edit{"serviceAccountName: default", "serviceAccountName: nobody"},
			code: "no-pods", says: []string{`serviceaccount "nobody" not found`, "create the ServiceAccount"},
		},
		{
			rule: "paused", name: "a Deployment is paused", both: []edit{inDeployment("paused: false")}, red: edit{"paused: false", "paused: true"},
			code: "no-pods", says: []string{"spec.paused is true", "kubectl rollout resume"},
		},
		{
			rule: "unscheduled", name: "no node has as much", both: []edit{withLine(`resources: {requests: {cpu: "1"}}`)}, red: edit{`cpu: "1"`, `cpu: "1000"`},
			code: "unscheduled", says: []string{"Insufficient cpu", "lower the pod's requests"},
			shows: hasNoNode,
		},
		{
			rule: "unscheduled", name: "no node is of that kind", both: []edit{inPod("nodeSelector: {kubernetes.io/os: linux}")}, red: edit{"os: linux", "os: plan9"},
			code: "unscheduled", says: []string{"node affinity/selector"},
			shows: hasNoNode,
		},
		{
			rule: "wait for nothing", name: "0 replicas", both: []edit{isCrash, {"replicas: 1", "replicas: 0"}}, red: edit{"replicas: 0", "replicas: 1"},
			code: "crash-loop", container: "server", says: []string{"exit code 3"},
			greenCode: "nothing-runs", green: []string{"0 replicas"},
		},
		{
			rule: "wait for nothing", name: "a DaemonSet on no node", all: of("DaemonSet", selected, "nodeSelector: {kubernetes.io/os: plan9}"), both: []edit{isCrash}, red: edit{"os: plan9", "os: linux"},
			code: "crash-loop", container: "server", says: []string{"exit code 3"},
			greenCode: "nothing-runs", green: []string{"no node takes it"},
		},
		{
			rule: "wait for a ReplicaSet", name: "its pod crashes", all: of("ReplicaSet", "replicas: 1\n"+selected, ""), red: isCrash,
			code: "crash-loop", container: "server", says: []string{"exit code 3"},
		},
		{
			rule: "wait for a ReplicationController", name: "its pod crashes", all: of("ReplicationController", "replicas: 1\nselector: {app: web}", ""), red: isCrash,
			code: "crash-loop", container: "server", says: []string{"exit code 3"},
		},
		{
			rule: "wait without events", name: "we may not read them", red: isCrash,
			serve: func(proxy http.Handler, w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/events") {
					status(403, "Forbidden", `events is forbidden: User "ci" cannot do this`, "")(w)
					return
				}
				proxy.ServeHTTP(w, r)
			},
			code: "crash-loop", container: "server", says: []string{"exit code 3"},
		},
	}
}

var pinnedFake = "r.example/web@" + fakeDigest(1)

// pinnedReal is an image on the shared registry, and otherImage another one of its repository.
func pinnedReal(t *testing.T) string {
	t.Helper()
	return sharedRegistry().host + "/scenes/web@" + sharedRegistry().push(t, "scenes/web", "v1", "serve")
}

func otherImage(t *testing.T) string {
	t.Helper()
	return sharedRegistry().host + "/scenes/web@" + sharedRegistry().push(t, "scenes/web", "v2", "sleep")
}

// pushed is an image with a mode of its own, which says the manifest's command, on the shared registry.
func pushed(t *testing.T, mode, why string) string {
	t.Helper()
	return sharedRegistry().host + "/scenes/web@" + sharedRegistry().push(t, "scenes/web", "v3", mode+" "+why)
}

// pushedTo is the image of pinnedReal on another registry.
func pushedTo(t *testing.T, host string) string {
	t.Helper()
	image, err := appImage("serve")
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.NewTag(host+"/web:v1", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return host + "/web@" + digest.String()
}

// withSecret makes the Secret tokens, whose only key is token.
func withSecret(t *testing.T, c *cluster, ns string) {
	t.Helper()
	if _, err := c.client.CoreV1().Secrets(ns).Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "tokens"}, StringData: map[string]string{"token": "t"},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// restricted makes a namespace refuse pods that Pod Security calls privileged.
func restricted(t *testing.T, c *cluster, ns string) {
	t.Helper()
	patch := []byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"restricted"}}}`)
	if _, err := c.client.CoreV1().Namespaces().Patch(t.Context(), ns, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// withAutoscaler makes an autoscaler that never wants less than three pods.
func withAutoscaler(t *testing.T, c *cluster, ns string) {
	t.Helper()
	three := int32(3)
	if _, err := c.client.AutoscalingV2().HorizontalPodAutoscalers(ns).Create(t.Context(), &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"},
			MinReplicas:    &three, MaxReplicas: 4,
		},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// scaled waits until the autoscaler has done that.
func scaled(t *testing.T, c *cluster, ns string) {
	t.Helper()
	eventually(t, time.Minute, func(ctx context.Context) error {
		d, err := c.client.AppsV1().Deployments(ns).Get(ctx, "web", metav1.GetOptions{})
		if err == nil && *d.Spec.Replicas != 3 {
			err = fmt.Errorf("%d replicas", *d.Spec.Replicas)
		}
		return err
	})
}

// brokenSide makes the pod of the Deployment side crash, which nothing changed.
func brokenSide(t *testing.T, c *cluster, ns string) {
	t.Helper()
	pods := c.client.CoreV1().Pods(ns)
	eventually(t, 20*time.Second, func(ctx context.Context) error {
		list, err := pods.List(ctx, metav1.ListOptions{LabelSelector: "app=side"})
		if err != nil {
			return err
		}
		if len(list.Items) != 1 {
			return fmt.Errorf("%d pods", len(list.Items))
		}
		pod := &list.Items[0]
		died := &corev1.ContainerStateTerminated{ExitCode: 3, Reason: "Error", StartedAt: metav1.Now(), FinishedAt: metav1.Now()}
		container := &pod.Status.ContainerStatuses[0]
		container.Ready, container.RestartCount = false, 2
		container.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
		container.LastTerminationState = corev1.ContainerState{Terminated: died}
		for i := range pod.Status.Conditions {
			if s := &pod.Status.Conditions[i]; s.Type == corev1.PodReady || s.Type == corev1.ContainersReady {
				s.Status = corev1.ConditionFalse
			}
		}
		_, err = pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{})
		return err
	})
	eventually(t, 20*time.Second, func(ctx context.Context) error {
		d, err := c.client.AppsV1().Deployments(ns).Get(ctx, "side", metav1.GetOptions{})
		if err == nil && (d.Status.ReadyReplicas != 0 || !unavailable(d)) {
			err = fmt.Errorf("status is %+v", d.Status)
		}
		return err
	})
}

func unavailable(d *appsv1.Deployment) bool { return d.Status.UnavailableReplicas > 0 }
