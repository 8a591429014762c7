package rollout_test

import (
	"fmt"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/deploy/rollout"
)

func TestRights(t *testing.T) {
	pods := map[string]any{"template": map[string]any{"spec": map[string]any{"containers": []any{}}}}
	set := deploy.Set{Name: "web", Namespace: "shop", Objects: []deploy.Object{
		{Body: map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "web"}, "spec": pods}},
		{Body: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "web"}}},
	}}
	got := fmt.Sprint(rollout.Rights(set))
	want := "[{shop  events [] [list watch]} {shop  pods [] [list watch]} {shop  pods/log [] [get]} {shop apps deployments [] [list watch]} {shop apps replicasets [] [list watch]}]"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
