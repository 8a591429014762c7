package deploy_test

import (
	"encoding/json"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
)

func TestManaged(t *testing.T) {
	for metadata, want := range map[string]string{
		`{"labels": {"app.kubernetes.io/managed-by": "Helm"}, "annotations": {"meta.helm.sh/release-name": "web", "meta.helm.sh/release-namespace": "shop"}}`: "Helm (shop/web)",
		`{"annotations": {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/web"}}`:                                                                "Argo CD (shop)",
		`{"labels": {"argocd.argoproj.io/instance": "shop"}}`:                                                                                                 "Argo CD (shop)",
		`{"labels": {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}}`:                                    "Flux (flux-system/apps)",
		`{"labels": {"helm.toolkit.fluxcd.io/name": "web"}}`:                                                                                                  "Flux (web)",
		`{"labels": {"app.kubernetes.io/managed-by": "Helm"}}`:                                                                                                "", // only said, as charts that are rendered elsewhere do
		`{"labels": {"app.kubernetes.io/instance": "web"}}`:                                                                                                   "",
		`{}`: "",
	} {
		var body map[string]any
		if err := json.Unmarshal([]byte(`{"metadata": `+metadata+`}`), &body); err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := deploy.Managed(deploy.Object{Body: body}); err != nil {
			got = err.Error()
		}
		if text := "is managed by " + want + " (let go of it there and say adopt: true, or leave it out of the manifests)"; want == "" && got != "" || want != "" && got != text {
			t.Errorf("%s: got %q, want %q", metadata, got, want)
		}
	}
}

func TestForces(t *testing.T) {
	set := deploy.Set{Force: []string{"spec.replicas", "spec.template.spec.containers[web].env", ""}}
	for field, want := range map[string]bool{
		"spec.replicas": true, "spec.replicasMax": false, "spec": false,
		"spec.template.spec.containers[web].env": true, "spec.template.spec.containers[web].env[A].value": true, "spec.template.spec.containers[web].image": false,
	} {
		if got := set.Forces(field); got != want {
			t.Errorf("%s: %v, want %v", field, got, want)
		}
	}
}
