package deploy_test

import (
	"fmt"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
)

func TestJoinRights(t *testing.T) {
	got := deploy.JoinRights([]deploy.Right{
		{Namespace: "shop", Group: "apps", Resource: "deployments", Verbs: []string{"list", "watch"}},
		{Namespace: "shop", Resource: "configmaps", Names: []string{"inventory"}, Verbs: []string{"get", "patch"}},
		{Namespace: "shop", Group: "apps", Resource: "deployments", Verbs: []string{"get", "list"}},
		{Namespace: "shop", Resource: "configmaps", Verbs: []string{"get"}},
		{Resource: "namespaces", Names: []string{"kube-system"}, Verbs: []string{"get"}},
		{Namespace: "shop", Resource: "pods", Names: []string{"a"}, Verbs: []string{"get"}},
		{Namespace: "shop", Resource: "pods", Verbs: []string{"get"}},
	})
	want := "[{  namespaces [kube-system] [get]} {shop  configmaps [] [get]} {shop  configmaps [inventory] [patch]} {shop  pods [] [get]} {shop apps deployments [] [get list watch]}]"
	if fmt.Sprint(got) != want {
		t.Errorf("got  %v\nwant %s", got, want)
	}
}
