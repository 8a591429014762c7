package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// promoted is a pipeline whose production takes what was green in staging.
const promoted = `slipway: v1
name: it
vars:
  registry: {env: REGISTRY}
  staging: {env: STAGING}
  production: {env: PRODUCTION}
environments:
  staging: {}
  production: {promotes: staging}
release: {repository: "${{ vars.registry }}/releases"}
stages:
  web:
    build: {context: app, push: "${{ vars.registry }}/web"}
  unit:
    exec: {image: "${{ stages.web.image }}", command: [/bin/busybox, "true"]}
  rollout:
    needs: [unit]
    timeout: 2m
    deploy:
      kustomize: deploy
      namespace: "${{ environment.name == 'staging' ? vars.staging : vars.production }}"
      images: {web: "${{ stages.web.image }}"}
  smoke:
    needs: [rollout]
    verify:
      http:
        url: "http://web.${{ environment.name == 'staging' ? vars.staging : vars.production }}/a.html"
        in: cluster
        body: hello
`

// TestPromote builds once, and takes that build to production on another machine: another
// checkout, another home, another process. No solver is started there.
func TestPromote(t *testing.T) {
	t.Parallel()
	c := kubelet(t)
	staging, production := c.namespace(t), c.namespace(t)
	env := []string{"REGISTRY=" + sharedRegistry().host + "/" + staging, "STAGING=" + staging, "PRODUCTION=" + production}
	first := files{
		"slipway.yaml":              promoted,
		"app/busybox":               "",
		"app/a.html":                "hello\n",
		"app/Dockerfile":            "FROM scratch\nCOPY busybox /bin/busybox\nCOPY a.html /www/\nUSER 65532\nCMD [\"/bin/busybox\", \"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/www\"]\n",
		"deploy/kustomization.yaml": "resources: [web.yaml]\n",
		"deploy/web.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - {name: server, image: web, readinessProbe: {httpGet: {path: /a.html, port: 8080}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
`,
	}.write(t)
	git(t, first, "init", "-q")
	git(t, first, "add", ".")
	git(t, first, "commit", "-q", "-m", "one")
	second := filepath.Join(t.TempDir(), "clone")
	git(t, first, "clone", "-q", ".", second)

	here, there := ourselves(t), ourselves(t)
	run := func(as *account, dir string, args ...string) result {
		t.Helper()
		return call{Dir: dir, Cluster: c, Env: env, Args: append([]string{"run", "-e"}, args...)}.start(t, as).end(4 * time.Minute)
	}
	run(there, second, "production").want(t, 10).says(t, "that was green in staging: looked in "+env[0][len("REGISTRY="):]+"/releases:")
	built := run(here, first, "staging").want(t, 0)
	built.says(t, "release pushed: ", "proven  1/1 pods run sha256:")
	run(there, second, "production").want(t, 0).says(t, "taken from release", "proven  1/1 pods run sha256:", "200, as wanted")
	if _, err := os.Stat(filepath.Join(there.home, "cache", "slipway", "root")); !os.IsNotExist(err) {
		t.Errorf("a solver was started: %v", err)
	}
	digest := regexp.MustCompile(`sha256:[0-9a-f]{64}`).FindString(built.Stdout[strings.Index(built.Stdout, "pods run"):])
	for _, ns := range []string{staging, production} {
		pods, err := c.client.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{LabelSelector: "app=web"})
		if err != nil || len(pods.Items) != 1 {
			t.Fatalf("%d pods in %s, %v", len(pods.Items), ns, err)
		}
		if got := pods.Items[0].Status.ContainerStatuses[0].ImageID; !strings.HasSuffix(got, "@"+digest) {
			t.Errorf("%s runs %s, want %s", ns, got, digest)
		}
	}
	run(there, second, "production").want(t, 0).says(t, "nothing had to change")

	git(t, second, "commit", "-q", "--allow-empty", "-m", "two")
	run(there, second, "production").want(t, 10)
}

func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=e2e", "-c", "user.email=e2e@example.com"}, args...)...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// gitSays returns what git writes.
func gitSays(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %s: %v", strings.Join(args, " "), err)
	}
	return string(out)
}
