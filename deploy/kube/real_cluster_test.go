package kube_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/deploy/kube"
)

func TestRealDefinitions(t *testing.T) {
	r := newReal(t)
	group := strings.ReplaceAll(r.namespace, "-", "") + ".example.com"
	set := r.set(`
apiVersion: ` + group + `/v1
kind: Widget
metadata: {name: w}
spec: {size: 3, ratio: 0.5, list: [1, {a: b}], none: null}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.` + group + `}
spec:
  group: ` + group + `
  scope: Namespaced
  names: {kind: Widget, plural: widgets, singular: widget, listKind: WidgetList}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, x-kubernetes-preserve-unknown-fields: true}}}}`)
	definitions := schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		_ = r.admin.Resource(definitions).Delete(ctx, "widgets."+group, metav1.DeleteOptions{})
	})
	said := r.apply(set)
	want := []string{
		"created Namespace " + r.namespace, "created ConfigMap " + r.namespace + "/slipway.shop.rollout", "created CustomResourceDefinition widgets." + group,
		"established CustomResourceDefinition widgets." + group, "created Widget " + r.namespace + "/w",
	}
	if !slices.Equal(said, want) {
		t.Errorf("got %q, want %q", said, want)
	}
	if d := changed(r.diff(set)); len(d) > 0 {
		t.Errorf("got %v", d)
	}
	unknown := r.set("{apiVersion: nothing.example.com/v1, kind: Nothing, metadata: {name: one}}")
	if _, err := r.Diff(t.Context(), unknown); err == nil || !strings.Contains(err.Error(), "Nothing one: the cluster has no kind Nothing in nothing.example.com/v1 (install its CustomResourceDefinition") {
		t.Errorf("got %v", err)
	}
	old := r.set("{apiVersion: batch/v1beta1, kind: CronJob, metadata: {name: one}}")
	if _, err := r.Diff(t.Context(), old); err == nil || !strings.Contains(err.Error(), "does not serve batch/v1beta1 (write apiVersion: batch/v1)") {
		t.Errorf("got %v", err)
	}
}

func TestRealInventory(t *testing.T) {
	r := newReal(t)
	r.apply(r.set(many))
	maps := schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	parent := func() *unstructured.Unstructured {
		t.Helper()
		found, err := r.admin.Resource(maps).Namespace(r.namespace).Get(t.Context(), "slipway.shop.rollout", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	kinds := parent().GetAnnotations()["applyset.kubernetes.io/contains-group-kinds"]
	if kinds != "ConfigMap,CronJob.batch,Deployment.apps,NetworkPolicy.networking.k8s.io,PersistentVolumeClaim,Role.rbac.authorization.k8s.io,Secret,Service,StatefulSet.apps" {
		t.Errorf("got %s", kinds)
	}
	members, err := r.admin.Resource(deployments()).Namespace(r.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "applyset.kubernetes.io/part-of=" + parent().GetLabels()["applyset.kubernetes.io/id"]})
	if err != nil || len(members.Items) != 1 {
		t.Errorf("got %d members, %v", len(members.Items), err)
	}
	fewer := r.set("{apiVersion: v1, kind: ConfigMap, metadata: {name: conf}, data: {a: '1'}}")
	if d := changed(r.diff(fewer)); len(d) != 8 || d["delete Deployment web"] != "" || d["delete PersistentVolumeClaim p"] != "" {
		t.Errorf("fewer objects: got %v, want a delete of each other", d)
	}
	other := fewer
	other.Environment = "production"
	if _, err := r.Diff(t.Context(), other); err == nil || !strings.Contains(err.Error(), `environment "staging"`) {
		t.Errorf("got %v", err)
	}
	r.patchAs("kubectl", maps, "slipway.shop.rollout", `{"metadata":{"annotations":{"applyset.kubernetes.io/tooling":"kubectl/v1.32"}}}`)
	if _, err := r.Diff(t.Context(), fewer); err == nil || !strings.Contains(err.Error(), "inventory of kubectl/v1.32") {
		t.Errorf("got %v", err)
	}
}

func TestRealRefusals(t *testing.T) {
	r := newReal(t)
	job := "{apiVersion: batch/v1, kind: Job, metadata: {name: j}, spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: 'a:1'}]}}}}"
	r.apply(r.set(job))
	for name, row := range map[string]struct{ text, want string }{
		"immutable":    {strings.Replace(job, "a:1", "a:2", 1), "field is immutable (give the Job another name, delete the old one, or annotate it slipway.dev/when-immutable: replace)"},
		"invalid":      {"{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {ports: [{port: 99999}]}}", "Service s: "},
		"unknown":      {"{apiVersion: v1, kind: ConfigMap, metadata: {name: s}, dat: {a: b}}", ": dat: field not declared in schema"},
		"no namespace": {"{apiVersion: v1, kind: ConfigMap, metadata: {name: s, namespace: nowhere}}", "there is no namespace nowhere (create it, or put it into the kustomization)"},
		"no name":      {"{apiVersion: v1, kind: ConfigMap, metadata: {generateName: s}}", "has no metadata.name"},
		"twice":        {"{apiVersion: v1, kind: ConfigMap, metadata: {name: s}}\n---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: s}}", "stands twice in the set"},
	} {
		_, err := r.Diff(t.Context(), r.set(row.text))
		var object *deploy.ObjectError
		if err == nil || !errors.As(err, &object) || !strings.Contains(err.Error(), strings.Replace(row.want, "Service s", "Service "+r.namespace+"/s", 1)) {
			t.Errorf("%s: got %v, want %q", name, err, row.want)
		}
	}
	placeholder := r.set(strings.Replace(job, "a:1", "a@"+deploy.Unknown, 1))
	got := changed(r.diff(placeholder))
	if d := got["configure Job j"]; !strings.HasPrefix(d, "could not check: ") || !strings.HasSuffix(d, "image of container a: a:1 → a@"+deploy.Unknown) {
		t.Errorf("got %q", got)
	}
}

func TestRealNeedsWhatIsMadeBefore(t *testing.T) {
	r := newReal(t)
	r.apply(r.set("{apiVersion: v1, kind: ConfigMap, metadata: {name: s}}")) // the namespace is there
	set := r.set(`
{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {serviceAccountName: sa, containers: [{name: a, image: 'a:1'}]}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: sa}}`)
	got := changed(r.diff(set))
	if d, ok := got["create Pod p"]; !ok || !strings.HasPrefix(d, "could not check: ") {
		t.Errorf("got %q", got)
	}
	r.apply(set)
}

func TestRealForbidden(t *testing.T) {
	r := newReal(t)
	direct := &kube.Cluster{Kubeconfig: os.Getenv(kubeconfigVariable)}
	config, err := direct.REST(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	as := rest.CopyConfig(config)
	as.Impersonate.UserName = "nobody"
	text, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "x",
		"clusters": []any{map[string]any{"name": "x", "cluster": map[string]any{"server": as.Host, "certificate-authority-data": as.CAData, "certificate-authority": as.CAFile}}},
		"users": []any{map[string]any{"name": "x", "user": map[string]any{
			"as": "nobody", "client-certificate-data": as.CertData, "client-certificate": as.CertFile,
			"client-key-data": as.KeyData, "client-key": as.KeyFile, "token": as.BearerToken,
		}}},
		"contexts": []any{map[string]any{"name": "x", "context": map[string]any{"cluster": "x", "user": "x"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	nobody := &kube.Cluster{Kubeconfig: path}
	_, err = nobody.Identity(t.Context())
	var failed *deploy.ClusterError
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), `User "nobody" cannot get resource "namespaces"`) {
		t.Errorf("identity: got %v", err)
	}
	_, err = nobody.Diff(t.Context(), r.set("{apiVersion: v1, kind: ConfigMap, metadata: {name: s}}"))
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), `User "nobody" cannot `) {
		t.Errorf("diff: got %v", err)
	}
}
