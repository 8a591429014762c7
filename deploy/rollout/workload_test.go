package rollout

import (
	"testing"

	"github.com/slipway-ci/slipway/deploy"
)

// TestNamespaceLeftOut checks that an object which leaves its namespace to the
// set is the one that the cluster's changes name, and gets its own verdict.
func TestNamespaceLeftOut(t *testing.T) {
	web := deploy.Object{Body: map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "web"},
		"spec": map[string]any{"template": map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "web"}}}}},
	}}
	set := deploy.Set{Namespace: "shop", Objects: []deploy.Object{web}}
	judged, _ := workloads(set, []deploy.Change{{Object: web.In("shop"), Op: deploy.Create}})
	if len(judged) != 1 || !judged[0].waited() {
		t.Fatalf("what the run created is not waited for: %+v", judged)
	}
	v := &vigil{set: set, tracks: []*track{{workload: judged[0], verdict: deploy.Verdict{Object: "Deployment shop/web", Code: deploy.Ready}}}}
	if got := v.verdicts(); len(got) != 1 || got[0].Code != deploy.Ready {
		t.Errorf("verdicts = %v", got)
	}
	if web.Namespace() != "" {
		t.Error("the set was changed")
	}
}
