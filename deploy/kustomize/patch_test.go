package kustomize_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/deploy/kustomize"
)

func TestPatch(t *testing.T) {
	objs, err := (&kustomize.Renderer{Root: unpack(t, `
-- kustomization.yaml --
resources: [web.yaml]
-- web.yaml --
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 1
  template: {spec: {containers: [{name: web, image: w}, {name: side, image: s}]}}
---
apiVersion: v1
kind: Service
metadata: {name: web, labels: {app: web}}
spec: {ports: [{port: 80}]}
`)}).Render(t.Context(), ".")
	if err != nil {
		t.Fatal(err)
	}
	op := func(op, path string, value any) []any {
		return []any{map[string]any{"op": op, "path": path, "value": value}}
	}
	got, err := kustomize.Patch(objs, []deploy.Patch{
		{Target: deploy.Target{Kind: "Deployment"}, Ops: op("replace", "/spec/replicas", int64(3))},
		{Target: deploy.Target{Name: "w.*", Version: "v1"}, Merge: map[string]any{"metadata": map[string]any{"labels": map[string]any{"tier": "front"}}}},
		{Target: deploy.Target{LabelSelector: "app=web", Group: "apps"}, Merge: map[string]any{"spec": map[string]any{"template": map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "side", "image": "s:2"}}}}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := kustomize.Encode(got)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"replicas: 3\n", "image: w\n", "image: s:2\n"} {
		if strings.Count(string(text), want) != 1 {
			t.Errorf("want one %q in\n%s", want, text)
		}
	}
	if strings.Count(string(text), "tier: front") != 2 || objs[1].Field("spec", "replicas") != int64(1) || len(got) != 2 || got[1].Kind() != objs[1].Kind() {
		t.Errorf("got\n%s", text)
	}
	for want, bad := range map[string]deploy.Patch{
		"no object is kind Deployment, name api (there are Deployment web)":                           {Target: deploy.Target{Kind: "Deployment", Name: "api"}, Merge: map[string]any{}},
		"no object is kind Job (there is no Job)":                                                     {Target: deploy.Target{Kind: "Job"}, Merge: map[string]any{}},
		"Deployment web: op: remove finds no /spec/x (want a path of the rendered object":             {Target: deploy.Target{Kind: "Deployment"}, Ops: op("remove", "/spec/x", nil)},
		"Deployment web: op: replace finds no /spec/template/spec/containers/7/image (want a path of": {Target: deploy.Target{Kind: "Deployment"}, Ops: op("replace", "/spec/template/spec/containers/7/image", "x")},
	} {
		_, err := kustomize.Patch(objs, []deploy.Patch{{Target: deploy.Target{Kind: "Service"}, Merge: map[string]any{}}, bad})
		var at *deploy.PatchError
		if !errors.As(err, &at) || at.Patch != 1 || !strings.Contains(at.Err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestSecretNames are those that kustomize gives.
func TestSecretNames(t *testing.T) {
	objs, err := (&kustomize.Renderer{Root: unpack(t, `
-- kustomization.yaml --
resources: [pod.yaml]
secretGenerator:
- name: db
  literals: [password=hunter2, user=me]
-- pod.yaml --
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  imagePullSecrets: [{name: db}]
  volumes: [{name: a, secret: {secretName: db}}, {name: b, projected: {sources: [{secret: {name: db}}]}}]
  containers: [{name: web, image: w, envFrom: [{secretRef: {name: db}}], env: [{name: db, valueFrom: {secretKeyRef: {name: db, key: user}}}]}]
`)}).Render(t.Context(), ".")
	if err != nil {
		t.Fatal(err)
	}
	pod, secret := objs[1:], objs[0] // in kustomize's order
	made := deploy.NewSecret("db", "", map[string]string{"password": "hunter2", "user": "me"})
	if made.Name() != secret.Name() {
		t.Errorf("got %s, kustomize has %s", made.Name(), secret.Name())
	}
	if used := deploy.RenameSecret(pod, secret.Name(), "new"); used != 5 {
		t.Errorf("%d references were found, want the 5 that kustomize finds", used)
	}
	text, _ := kustomize.Encode(pod)
	if strings.Contains(string(text), made.Name()) || !strings.Contains(string(text), "- name: db\n") {
		t.Errorf("got\n%s", text)
	}
	if masked, _ := kustomize.Encode(deploy.Mask(objs)); strings.Contains(string(masked), "aHVudGVyMg") || secret.Field("data", "user") != "bWU=" {
		t.Errorf("got\n%s", masked)
	}
}
