package e2e_test

import (
	"fmt"
	"strings"
	"testing"
)

// healthyWeb is a kustomization whose Deployment becomes ready. Tests of what goes wrong change
// one field of it.
const healthyWeb = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  progressDeadlineSeconds: 20
  selector: {matchLabels: {app: web}}
  template:
    metadata:
      labels: {app: web}
      annotations: {e2e.slipway.dev/image-id: none}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: server
          image: web
          env: [{name: START_AFTER, value: 0s}]
          envFrom: [{configMapRef: {name: settings}}]
          readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
`

// edit is a change of one field.
type edit struct{ old, new string }

// apply makes the change, which must be possible exactly once.
func (e edit) apply(t *testing.T, text string) string {
	t.Helper()
	if e == (edit{}) {
		return text
	}
	if n := strings.Count(text, e.old); n != 1 {
		t.Fatalf("%q stands %d times in the text, want once", e.old, n)
	}
	return strings.Replace(text, e.old, e.new, 1)
}

// webTree is a folder "web" with a kustomization of a Deployment and its ConfigMap.
func webTree(deployment string) files {
	return files{
		"web/web.yaml": deployment,
		"web/kustomization.yaml": `configMapGenerator: [{name: settings, literals: [a=b], options: {disableNameSuffixHash: true}}]
resources: [web.yaml]
`,
	}
}

// deployWeb is "slipway deploy" of webTree in dir.
func deployWeb(c *cluster, dir, ns, image string) call {
	return call{Dir: dir, Cluster: c, Args: []string{"deploy", "-k", "web", "-n", ns, "--image", "web=" + image, "--timeout", "90s"}}
}

// fakeDigest is the digest of no image.
func fakeDigest(digit int) string {
	return "sha256:" + strings.Repeat(fmt.Sprint(digit), 64)
}
