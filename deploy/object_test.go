package deploy_test

import (
	"slices"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
)

func object(apiVersion, kind, namespace, name string) deploy.Object {
	metadata := map[string]any{"name": name}
	if namespace != "" {
		metadata["namespace"] = namespace
	}
	return deploy.Object{Body: map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": metadata}}
}

func TestObjectReadsItsBody(t *testing.T) {
	o := object("apps/v1", "Deployment", "shop", "web")
	if o.APIVersion() != "apps/v1" || o.Group() != "apps" || o.Kind() != "Deployment" || o.Namespace() != "shop" || o.Name() != "web" {
		t.Errorf("got %s %s %s %s %s", o.APIVersion(), o.Group(), o.Kind(), o.Namespace(), o.Name())
	}
	if o.String() != "Deployment shop/web" {
		t.Errorf("got %s", o)
	}
	ns := object("v1", "Namespace", "", "shop")
	if ns.String() != "Namespace shop" || ns.Group() != "" {
		t.Errorf("got %s in group %q", ns, ns.Group())
	}
	odd := deploy.Object{Body: map[string]any{"metadata": "text", "kind": 3}}
	if odd.Name() != "" || odd.Kind() != "" || odd.Field("metadata", "name", "x") != nil {
		t.Error("a body of other types was read as if it were an object")
	}
	var none deploy.Object
	if none.Field("a", "b") != nil {
		t.Error("no body: got a field")
	}
}

func TestCompareOrdersWhatOthersNeedFirst(t *testing.T) {
	want := []deploy.Object{
		object("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "widgets.example.com"),
		object("v1", "Namespace", "", "shop"),
		object("v1", "ServiceAccount", "shop", "web"),
		object("rbac.authorization.k8s.io/v1", "Role", "shop", "web"),
		object("rbac.authorization.k8s.io/v1", "RoleBinding", "shop", "web"),
		object("v1", "ConfigMap", "other", "a"),
		object("v1", "ConfigMap", "shop", "a"),
		object("v1", "ConfigMap", "shop", "b"),
		object("v1", "Secret", "shop", "a"),
		object("v1", "PersistentVolumeClaim", "shop", "data"),
		object("v1", "Service", "shop", "web"),
		object("apps/v1", "Deployment", "shop", "web"),
		object("example.com/v1", "Widget", "shop", "w"),
		object("networking.k8s.io/v1", "Ingress", "shop", "web"),
		object("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "", "all"),
	}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, deploy.Compare)
	for n := range want {
		if got[n].String() != want[n].String() {
			t.Errorf("%d: got %s, want %s", n, got[n], want[n])
		}
	}
}

// lines is a Source that knows a line for each path.
type lines map[string]int

func (l lines) Locate(_ deploy.Object, path deploy.Path) (string, int) {
	for n := len(path); n >= 0; n-- {
		if line := l[path[:n].String()]; line > 0 {
			return "patch.yaml", line
		}
	}
	return "", 0
}

func TestPaths(t *testing.T) {
	for _, text := range []string{"spec.containers[0].image", "metadata.annotations[a.b/c]", "spec"} {
		if got := deploy.ParsePath(text).String(); text != "metadata.annotations[a.b/c]" && got != text {
			t.Errorf("got %s, want %s", got, text)
		}
	}
	if got := (deploy.Path{"metadata", "annotations", "a.b/c"}).String(); got != "metadata.annotations[a.b/c]" {
		t.Errorf("got %s", got)
	}
	if got := (deploy.Path{}).String() + deploy.ParsePath("").String(); got != "" {
		t.Errorf("got %q", got)
	}
}

// TestVerdictField finds the line that has to be mended, of the container that failed.
func TestVerdictField(t *testing.T) {
	o := workload("apps/v1", "Deployment", "spec.template.spec", "init:1", "web:1", "side:1")
	o.File, o.Line = "web.yaml", 3
	o.Source = lines{
		"spec.template.spec.containers[1]": 20, "spec.template.spec.containers[1].image": 21,
		"spec.template.spec.initContainers[0]": 10, "spec.template.spec.containers[0].readinessProbe": 17,
	}
	for _, row := range []struct {
		code      deploy.Code
		container string
		file      string
		line      int
	}{
		{deploy.ImagePull, "c2", "patch.yaml", 21},
		{deploy.OutOfMemory, "c2", "patch.yaml", 20},
		{deploy.CrashLoop, "c0", "patch.yaml", 10},
		{deploy.NeverReady, "c1", "patch.yaml", 17},
		{deploy.Unscheduled, "", "web.yaml", 3},
		{deploy.ImagePull, "gone", "web.yaml", 3},
	} {
		v := deploy.Verdict{Code: row.code, Container: row.container}
		if file, line := o.Where(v.Field(o)); file != row.file || line != row.line {
			t.Errorf("%s of %s: got %s:%d, want %s:%d", row.code, row.container, file, line, row.file, row.line)
		}
	}
}
