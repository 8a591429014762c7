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
