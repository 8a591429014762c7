package deploy_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
)

func needing(apiVersion, kind, name, dependsOn string) deploy.Object {
	return deploy.Object{Body: map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{
		"name": name, "namespace": "shop", "annotations": map[string]any{"config.kubernetes.io/depends-on": dependsOn},
	}}}
}

func TestTurns(t *testing.T) {
	for _, row := range []struct {
		name string
		objs []deploy.Object
		want string // the names, in order
		err  string
	}{
		{"by rank", []deploy.Object{needing("apps/v1", "Deployment", "a", ""), needing("v1", "Service", "b", "")}, "b a", ""},
		{"among equals", []deploy.Object{needing("apps/v1", "Deployment", "a", "apps/namespaces/shop/Deployment/b"), needing("apps/v1", "Deployment", "b", "apps/namespaces/shop/StatefulSet/c"), needing("apps/v1", "StatefulSet", "c", "")}, "c b a", ""},
		{"against rank", []deploy.Object{needing("v1", "Service", "a", "batch/namespaces/shop/Job/b"), needing("batch/v1", "Job", "b", "")}, "b a", ""},
		{"several", []deploy.Object{needing("apps/v1", "Deployment", "a", "/namespaces/shop/Service/c, batch/namespaces/shop/Job/b"), needing("batch/v1", "Job", "b", ""), needing("v1", "Service", "c", "")}, "c b a", ""},
		{"circle", []deploy.Object{needing("v1", "Service", "a", "/namespaces/shop/Service/b"), needing("v1", "Service", "b", "/namespaces/shop/Service/a")}, "", "depends on Service shop/a, which depends on it in turn"},
		{"itself", []deploy.Object{needing("v1", "Service", "a", "/namespaces/shop/Service/a")}, "", "depends on Service shop/a, which depends on it in turn"},
		{"elsewhere", []deploy.Object{needing("v1", "Service", "a", "/namespaces/shop/Service/z")}, "", "depends on /namespaces/shop/Service/z, which is not among what is applied with it"},
		{"nonsense", []deploy.Object{needing("v1", "Service", "a", "Service/b")}, "", `"Service/b" is no reference (want GROUP/namespaces/`},
	} {
		turns, _, errs := deploy.Turns(row.objs)
		if err := errors.Join(errs...); row.err != "" {
			if len(errs) != 1 || !strings.Contains(err.Error(), row.err) {
				t.Errorf("%s: got %v, want %q", row.name, err, row.err)
			}
			continue
		} else if err != nil {
			t.Errorf("%s: %v", row.name, err)
		}
		order := []int{}
		for i := range row.objs {
			order = append(order, i)
		}
		slices.SortStableFunc(order, func(a, b int) int { return turns[a] - turns[b] })
		var names []string
		for _, i := range order {
			names = append(names, row.objs[i].Name())
		}
		if got := strings.Join(names, " "); got != row.want {
			t.Errorf("%s: got %s, want %s", row.name, got, row.want)
		}
	}
}

func TestBackLeavesAloneWhatCannotGoBack(t *testing.T) {
	r := deploy.Revision{Set: deploy.Set{
		Namespace: "shop",
		Objects:   []deploy.Object{needing("apps/v1", "Deployment", "web", ""), needing("batch/v1", "Job", "migrate", ""), needing("v1", "PersistentVolumeClaim", "data", "")},
		Pins:      []deploy.Pin{{Object: "Deployment shop/web"}, {Object: "Job shop/migrate"}},
	}}
	set, lasting := r.Back()
	if len(set.Objects) != 2 || len(set.Pins) != 1 || !set.Leaves(r.Set.Objects[1]) || set.Leaves(r.Set.Objects[0]) {
		t.Errorf("got %+v", set)
	}
	if len(lasting) != 2 || !strings.HasPrefix(lasting[0], "Job shop/migrate (") || !strings.HasPrefix(lasting[1], "PersistentVolumeClaim shop/data (") {
		t.Errorf("got %q", lasting)
	}
	set, kept, spared := deploy.Spare(set, []deploy.Change{
		{Op: deploy.Delete, Object: needing("v1", "PersistentVolumeClaim", "new", "")}, {Op: deploy.Delete, Object: needing("v1", "Service", "new", "")},
	})
	if len(kept) != 1 || kept[0].Object.Kind() != "Service" || len(spared) != 1 || !set.Leaves(needing("v1", "PersistentVolumeClaim", "new", "")) {
		t.Errorf("got %v, %q, %v", kept, spared, set.Leave)
	}
}

func TestGenerated(t *testing.T) {
	for name, want := range map[string]bool{"settings-2dh6t9kk8m": true, "settings": false, "settings-production": false, "settings-2dh6t9kk8": false} {
		if got := deploy.Generated(needing("v1", "ConfigMap", name, "")); got != want {
			t.Errorf("%s: got %v", name, got)
		}
	}
	if deploy.Generated(needing("v1", "Service", "settings-2dh6t9kk8m", "")) {
		t.Error("a Service is not generated from its content")
	}
}
