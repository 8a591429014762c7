package e2e_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestReadiness waits for a Service, which without a rule is ready when it is there, and whose
// address nobody gives, unless the test does.
func TestReadiness(t *testing.T) {
	t.Parallel()
	const manifest = `apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: LoadBalancer, ports: [{port: 80}], selector: {app: web}}
`
	const address = `{"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}`
	for _, test := range []struct {
		name, rule string
		status     string // that the Service gets once it is there
		code       int
		says       []string
	}{
		{"no rule", "", "", 0, nil},
		{"it gets an address", `{kind: Service, ready: "self.status.loadBalancer.ingress.size() > 0"}`, address, 0, []string{"web  waits for self.status.loadBalancer", "web  current, applied"}},
		{"it never does", `{kind: Service, ready: "self.status.loadBalancer.ingress.size() > 0"}`, "", 7, []string{"deadline", "waits for self.status.loadBalancer.ingress.size() > 0 (no such key: ingress)", "web/web.yaml:1"}},
		{"another name", `{kind: Service, name: "w?b", ready: "self.status.loadBalancer.ingress.size() > 0"}`, "", 7, []string{"deadline"}},
		{"it has failed", `{kind: Service, ready: "false", failed: "self.status.loadBalancer.ingress.size() > 0"}`, address, 7, []string{"stalled", "self.status.loadBalancer.ingress.size() > 0"}},
		{"optional", `{kind: Service, ready: "self.status.loadBalancer.ingress.size() > 0", need: optional}`, "", 0, []string{"web  deadline", "waits for"}},
		{"ignored", `{kind: Service, ready: "self.status.loadBalancer.ingress.size() > 0", need: ignore}`, "", 0, nil},
		{"no such kind", `{kind: Servic, ready: "true"}`, "", 3, []string{"slipway.yaml:8:", "the manifests have no Servic (only Service)"}},
		{"no condition", `{kind: Service, ready: "self.status."}`, "", 3, []string{"slipway.yaml:8:", "ready is no condition"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := kwok(t)
			ns := c.namespace(t)
			rules := "[]"
			if test.rule != "" {
				rules = "[" + test.rule + "]"
			}
			dir := files{
				"slipway.yaml": `slipway: v1
name: it
stages:
  rollout:
    deploy:
      kustomize: web
      namespace: ` + ns + `
      readiness: ` + rules + "\n    timeout: 20s\n",
				"web/kustomization.yaml": "resources: [web.yaml]\n",
				"web/web.yaml":           manifest,
			}.write(t)
			s := call{Dir: dir, Cluster: c, Args: []string{"run"}}.start(t, nil)
			if test.status != "" {
				s.says("web  waits for")
				if _, err := c.client.CoreV1().Services(ns).Patch(t.Context(), "web", types.MergePatchType, []byte(test.status), metav1.PatchOptions{}, "status"); err != nil {
					t.Fatal(err)
				}
			}
			s.end(time.Minute).want(t, test.code).says(t, test.says...)
		})
	}
}
