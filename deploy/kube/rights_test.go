package kube_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/deploy/kube"
)

// rightsObject returns an object of a kind, with more fields.
func rightsObject(apiVersion, kind, namespace, name string, fields map[string]any) deploy.Object {
	body := map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{"name": name}}
	for field, v := range fields {
		body[field] = v
	}
	if namespace == "" {
		return deploy.Object{Body: body}
	}
	return deploy.Object{Body: body}.In(namespace)
}

func TestRightsWithoutACluster(t *testing.T) {
	c := &kube.Cluster{Kubeconfig: filepath.Join(t.TempDir(), "none")}
	set := deploy.Set{Pipeline: "it", Name: "web", Namespace: "shop", Readies: []deploy.Readiness{{Kind: "NetworkPolicy", Ready: "true"}, {Kind: "Ship", Need: deploy.Ignore}}, Objects: []deploy.Object{
		rightsObject("apps/v1", "Deployment", "", "web", nil),
		rightsObject("networking.k8s.io/v1", "NetworkPolicy", "", "web", nil),
		rightsObject("v1", "Secret", "", "key-2dh6t9kk8m", nil),
		rightsObject("scheduling.k8s.io/v1", "PriorityClass", "", "high", nil),
		rightsObject("v1", "Service", "other", "web", nil),
		rightsObject("rbac.authorization.k8s.io/v1", "Role", "", "reader", map[string]any{"rules": []any{map[string]any{
			"apiGroups": []any{""}, "resources": []any{"endpoints"}, "verbs": []any{"get"},
		}}}),
		rightsObject("rbac.authorization.k8s.io/v1", "RoleBinding", "", "mine", map[string]any{"roleRef": map[string]any{"kind": "Role", "name": "reader"}}),
		rightsObject("rbac.authorization.k8s.io/v1", "RoleBinding", "", "theirs", map[string]any{"roleRef": map[string]any{"kind": "ClusterRole", "name": "view"}}),
		rightsObject("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "ships.example.com", map[string]any{"spec": map[string]any{
			"group": "example.com", "scope": "Namespaced", "names": map[string]any{"kind": "Ship", "plural": "ships"}, "versions": []any{map[string]any{"name": "v1"}},
		}}),
		rightsObject("example.com/v1", "Ship", "", "fram", nil),
	}}
	rights, err := c.Rights(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rights {
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s/%s %v %s", r.Namespace, r.Group, r.Resource, r.Names, strings.Join(r.Verbs, ","))))
	}
	want := []string{
		"/namespaces [kube-system] get",
		"apiextensions.k8s.io/customresourcedefinitions [] create,delete,get,list,patch,watch",
		"scheduling.k8s.io/priorityclasses [] create,delete,get,list,patch",
		"other /secrets [] list",
		"other /services [] create,delete,get,list,patch",
		"other apps/deployments [] list",
		"other example.com/ships [] list",
		"other networking.k8s.io/networkpolicies [] list",
		"other rbac.authorization.k8s.io/rolebindings [] list",
		"other rbac.authorization.k8s.io/roles [] list",
		"shop /configmaps [slipway.it.web] create,get,patch",
		"shop /endpoints [] get",
		"shop /pods [] list",
		"shop /secrets [] create,delete,get,list,patch,update",
		"shop /services [] list",
		"shop apps/controllerrevisions [] list",
		"shop apps/deployments [] create,delete,get,list,patch",
		"shop apps/replicasets [] list",
		"shop batch/jobs [] list",
		"shop coordination.k8s.io/leases [] create",
		"shop coordination.k8s.io/leases [slipway.it.web] delete,get,update",
		"shop example.com/ships [] create,delete,get,list,patch",
		"shop networking.k8s.io/networkpolicies [] create,delete,get,list,patch,watch",
		"shop rbac.authorization.k8s.io/clusterroles [view] bind",
		"shop rbac.authorization.k8s.io/rolebindings [] create,delete,get,list,patch",
		"shop rbac.authorization.k8s.io/roles [] create,delete,get,list,patch",
	}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("got\n%s\nwant\n%s", g, w)
	}

	unknown := set
	unknown.Objects = []deploy.Object{rightsObject("example.com/v1", "Plane", "", "ju52", nil)}
	if _, err := c.Rights(t.Context(), unknown); err == nil || !strings.Contains(err.Error(), "only the cluster knows") {
		t.Errorf("of a kind that nobody knows: %v", err)
	}
}

func TestAskRight(t *testing.T) {
	for _, test := range []struct {
		request deploy.Request
		want    string
	}{
		{deploy.Request{URL: "http://web.other/healthz"}, "{other  services/proxy [web:80] [get]}"},
		{deploy.Request{Method: "POST", URL: "https://web"}, "{shop  services/proxy [https:web:443] [create]}"},
		{deploy.Request{Method: "HEAD"}, "{shop  services/proxy [] [get]}"},
	} {
		right, err := kube.AskRight("shop", test.request)
		if err != nil || fmt.Sprint(right) != test.want {
			t.Errorf("%v: %v, %v, want %s", test.request, right, err, test.want)
		}
	}
}
