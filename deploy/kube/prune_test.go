package kube_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/deploy/kube"
)

// member returns the path of a ConfigMap in the namespace shop.
func member(name string) string { return "/api/v1/namespaces/shop/configmaps/" + name }

func confs(t *testing.T, names ...string) deploy.Set {
	set := deploy.Set{Pipeline: "shop", Name: "rollout", Namespace: "shop"}
	for _, n := range names {
		set.Objects = append(set.Objects, objects(t, fmt.Sprintf(`{apiVersion: v1, kind: ConfigMap, metadata: {name: %s}, data: {a: "1"}}`, n))...)
	}
	return set
}

func TestPrunesWhatThePlanLists(t *testing.T) {
	f := newFake(t)
	c := f.cluster(t)
	both := littleSet(t, little)
	release(t, c, both, nil)
	f.put("/api/v1/namespaces/shop/services/copied", `{apiVersion: v1, kind: Service, metadata: {name: copied, namespace: shop, labels: {`+
		partOf(f)+`}, managedFields: [{manager: controller, operation: Update}]}}`) // we never applied it
	f.put("/api/v1/namespaces/shop/services/made", `{apiVersion: v1, kind: Service, metadata: {name: made, namespace: shop, labels: {`+
		partOf(f)+`}, managedFields: [{manager: slipway, operation: Apply}], ownerReferences: [{controller: true, kind: Web}]}}`)
	fewer := littleSet(t, little)
	fewer.Objects = fewer.Objects[3:] // no Deployment, no Service, no Secret
	planned := mustDiff(t, c, fewer)
	if got := slices.Sorted(maps.Keys(changed(planned))); !slices.Equal(got, []string{"delete Deployment web", "delete Secret sec", "delete Service web"}) {
		t.Fatalf("got %q", got)
	}
	for _, p := range planned {
		if p.Object.Kind() == "Secret" && p.Object.Field("data") != nil {
			t.Error("the plan holds the values of a Secret")
		}
	}
	if f.take(); f.objects["/apis/apps/v1/namespaces/shop/deployments/web"] == nil {
		t.Fatal("diff deleted")
	}
	said := release(t, c, fewer, nil)
	want := []string{"deleted Deployment shop/web", "deleted Service shop/web", "deleted Secret shop/sec"}
	if !slices.Equal(said, want) {
		t.Errorf("got %q, want %q", said, want)
	}
	if kinds, _ := (deploy.Object{Body: f.objects[parentPath]}).Field("metadata", "annotations", "applyset.kubernetes.io/contains-group-kinds").(string); kinds != "ConfigMap,Namespace,Service" {
		t.Errorf("the inventory names %s", kinds) // a Service is still marked as ours
	}
	if f.objects["/api/v1/namespaces/shop/services/copied"] == nil {
		t.Error("deleted what we never applied")
	}
	if again := mustDiff(t, c, fewer); deploy.Changing(again) {
		t.Errorf("again: got %v", changed(again))
	}
}

// partOf returns the label of members, as the inventory has it.
func partOf(f *fake) string {
	id, _ := (deploy.Object{Body: f.objects[parentPath]}).Field("metadata", "labels", "applyset.kubernetes.io/id").(string)
	return "applyset.kubernetes.io/part-of: " + id
}

func TestPrunesOnlyAfterProof(t *testing.T) {
	f := newFake(t)
	c := f.cluster(t)
	release(t, c, confs(t, "one", "two"), nil)
	release(t, c, confs(t, "one", "three"), errors.New("it crashes"))
	if f.objects[member("two")] == nil || f.objects[member("three")] == nil {
		t.Error("pruned without proof")
	}
	release(t, c, confs(t, "one", "three"), nil)
	if f.objects[member("two")] != nil {
		t.Error("not pruned after proof")
	}
}

func TestPrunesNothingThatIsNotPlanned(t *testing.T) {
	f := newFake(t)
	c := f.cluster(t)
	release(t, c, confs(t, "one", "two", "three"), nil)
	set := confs(t, "one", "four")
	planned := mustDiff(t, c, set)
	less := slices.DeleteFunc(slices.Clone(planned), func(c deploy.Change) bool { return c.Object.Name() == "two" })
	f.take()
	err := c.Lock(t.Context(), set, less, jan, nil, func(ctx context.Context, turn *kube.Turn) error { return turn.Apply(ctx, set, less, 0, nil) })
	var moved *deploy.MovedError
	if !errors.As(err, &moved) || !strings.Contains(err.Error(), "delete ConfigMap shop/two") || f.objects[member("four")] != nil {
		t.Errorf("got %v", err)
	}
	// An object that somebody took over between plan and prune stays.
	err = c.Lock(t.Context(), set, planned, jan, nil, func(ctx context.Context, turn *kube.Turn) error {
		if err := turn.Apply(ctx, set, planned, 0, nil); err != nil {
			return err
		}
		f.mu.Lock()
		f.objects[member("three")]["metadata"].(map[string]any)["labels"] = map[string]any{"applyset.kubernetes.io/part-of": "other"}
		f.mu.Unlock()
		return turn.Conclude(ctx, nil, nil)
	})
	if err != nil || f.objects[member("three")] == nil || f.objects[member("two")] != nil {
		t.Errorf("got %v, three %v, two %v", err, f.objects[member("three")], f.objects[member("two")])
	}
}

func TestGeneratedConfigStaysWhileItIsUsed(t *testing.T) {
	f := newFake(t)
	c := f.cluster(t)
	old, next := "settings-2dh6t9kk8m", "settings-9b7f6g5k4c"
	replicaSet := "/apis/apps/v1/namespaces/shop/replicasets/web-1"
	release(t, c, confs(t, "one", old), nil)
	f.put(replicaSet, `{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: web-1, namespace: shop}, spec: {replicas: 0, template: {spec: {containers: [{envFrom: [{configMapRef: {name: `+old+`}}]}]}}}}`)
	if got := changed(mustDiff(t, c, confs(t, "one", next))); len(got) != 1 || got["create ConfigMap "+next] != "" {
		t.Errorf("used: got %q", got)
	}
	release(t, c, confs(t, "one", next), nil)
	if f.objects[member(old)] == nil {
		t.Fatal("deleted what a ReplicaSet uses")
	}
	delete(f.objects, replicaSet)
	if got := mustDiff(t, c, confs(t, "one", next)); deploy.Changing(got) {
		t.Errorf("what is left over is no reason for a change: got %q", changed(got))
	}
	planned := mustDiff(t, c, confs(t, "one", next, "two"))
	if _, ok := changed(planned)["delete ConfigMap "+old]; !ok {
		t.Errorf("unused: got %q", changed(planned))
	}
	release(t, c, confs(t, "one", next, "two"), nil)
	if f.objects[member(old)] != nil {
		t.Error("not deleted")
	}
}

func TestAnObjectHasOneDeployment(t *testing.T) {
	f := newFake(t)
	c := f.cluster(t)
	release(t, c, confs(t, "one", "two"), nil)
	other := confs(t, "two", "three")
	other.Name = "second"
	_, err := c.Diff(t.Context(), other)
	var owned *deploy.OwnedError
	if !errors.As(err, &owned) || err.Error() != "ConfigMap shop/two: belongs to deployment shop/rollout (leave it out of one of the two)" {
		t.Errorf("got %v", err)
	}
}

func TestWaitsForWhatOthersDependOn(t *testing.T) {
	f := newFake(t)
	c, set := f.cluster(t), confs(t, "a", "b")
	set.Objects[0].Body["metadata"].(map[string]any)["annotations"] = map[string]any{"config.kubernetes.io/depends-on": "/namespaces/shop/ConfigMap/b"}
	planned := mustDiff(t, c, set)
	never := errors.New("never ready")
	for _, want := range []error{never, nil} {
		err := c.Lock(t.Context(), set, planned, jan, nil, func(ctx context.Context, turn *kube.Turn) error {
			return turn.Apply(ctx, set, planned, 0, func(_ context.Context, needs []deploy.Object) error {
				if len(needs) != 1 || needs[0].String() != "ConfigMap shop/b" || f.objects[member("b")] == nil || f.objects[member("a")] != nil {
					t.Errorf("waits for %v; b is %v, a is %v", needs, f.objects[member("b")], f.objects[member("a")])
				}
				return want
			})
		})
		if !errors.Is(err, want) || (f.objects[member("a")] != nil) != (want == nil) {
			t.Errorf("got %v, and a is %v", err, f.objects[member("a")])
		}
	}
}
