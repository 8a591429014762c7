package kube_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/deploy/kube"
)

func TestAppliesInOrderAndOnlyOnce(t *testing.T) {
	f := newFake(t)
	c, set := f.cluster(t), littleSet(t, little)
	set.Namespace = "new"
	planned, err := c.Diff(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	if writes := f.take(); len(writes) > 0 {
		t.Errorf("diff wrote %q", writes)
	}
	var said []string
	if err := c.Apply(t.Context(), set, planned, func(s deploy.Status) { said = append(said, s.Message+" "+s.Object) }); err != nil {
		t.Fatal(err)
	}
	slices.Sort(said[0:2])
	slices.Sort(said[3:6])
	want := []string{
		"created Namespace new", "created Namespace other", "created ConfigMap new/slipway.shop.rollout",
		"created ConfigMap new/conf", "created ConfigMap other/more", "created Secret new/sec",
		"created Service new/web", "created Deployment new/web",
	}
	if !slices.Equal(said, want) {
		t.Errorf("got %q, want %q", said, want)
	}
	for n, change := range planned {
		if change.Op != deploy.Create {
			t.Errorf("%d: got %s %s", n, change.Op, change.Object)
		}
	}
	f.take()
	again, err := c.Diff(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	if len(again) != len(set.Objects) || len(changed(again)) > 0 {
		t.Errorf("again: got %v", again)
	}
	if err := c.Apply(t.Context(), set, again, nil); err != nil {
		t.Fatal(err)
	}
	for _, s := range f.sent {
		if strings.HasPrefix(s, http.MethodPatch) {
			t.Errorf("again: sent %s", s)
		}
	}
}

// TestTriesOnce counts the requests for an object that is made: one dry-run for plan and
// apply together, unless it is another one by then.
func TestTriesOnce(t *testing.T) {
	f := newFake(t)
	c := f.cluster(t)
	set := littleSet(t, "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {k: v}}\n---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: b}, data: {k: v}}")
	planned, err := c.Diff(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	set.Objects = objects(t, "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {k: v}}\n---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: b}, data: {k: other}}")
	if err := c.Apply(t.Context(), set, planned, nil); err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, s := range f.sent {
		if path, query, _ := strings.Cut(s, "?"); strings.HasPrefix(path, http.MethodPatch) {
			if strings.Contains(query, "dryRun") {
				path += " to try"
			}
			got[path]++
		}
	}
	for path, want := range map[string]int{"a": 1, "a to try": 1, "b": 1, "b to try": 2} {
		if n := got["PATCH /api/v1/namespaces/shop/configmaps/"+path]; n != want {
			t.Errorf("%s: %d requests (want %d)", path, n, want)
		}
	}
}

func TestMarks(t *testing.T) {
	f := newFake(t)
	set := littleSet(t, little)
	set.Environment = "staging"
	changes, err := f.cluster(t).Diff(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range changes {
		labels, _ := change.Object.Field("metadata", "labels").(map[string]any)
		if labels[kube.LabelManagedBy] != "slipway" || labels[kube.LabelPipeline] != "shop" || labels[kube.LabelDeployment] != "rollout" || labels[kube.LabelEnvironment] != "staging" {
			t.Errorf("%s: got %v", change.Object, labels)
		}
		if change.Object.Kind() == "Deployment" && change.Object.Field("spec", "template", "metadata") != nil {
			t.Error("the pod template was marked")
		}
	}
	if set.Objects[0].Field("metadata", "labels") != nil {
		t.Error("the set itself was changed")
	}
}

func TestStopsAtWhatWasNotPlanned(t *testing.T) {
	f := newFake(t)
	c, set := f.cluster(t), littleSet(t, little)
	planned, err := c.Diff(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	f.take()
	less := slices.DeleteFunc(slices.Clone(planned), func(c deploy.Change) bool { return c.Object.Kind() == "Service" })
	var moved *deploy.MovedError
	if err := c.Apply(t.Context(), set, less, nil); !errors.As(err, &moved) || err.Error() != "the cluster moved since the plan, which does not list: create Service shop/web (run again)" {
		t.Errorf("got %v", err)
	}
	if writes := f.take(); len(writes) > 0 {
		t.Errorf("wrote %q", writes)
	}
}

func TestNoRankAfterAFailure(t *testing.T) {
	f := newFake(t)
	c, set := f.cluster(t), littleSet(t, little)
	planned, err := c.Diff(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	f.take()
	f.refuse = func(method, path, query string) (int, map[string]any) {
		if method == http.MethodPatch && strings.HasSuffix(path, "/secrets/sec") && !strings.Contains(query, "dryRun") {
			return http.StatusForbidden, status("Forbidden", `admission webhook "no" denied the request: no secrets`)
		}
		return 0, nil
	}
	err = c.Apply(t.Context(), set, planned, nil)
	var object *deploy.ObjectError
	if !errors.As(err, &object) || err.Error() != `Secret shop/sec: admission webhook "no" denied the request: no secrets` {
		t.Errorf("got %v", err)
	}
	writes := strings.Join(f.take(), "\n")
	if !strings.Contains(writes, "configmaps/conf") || strings.Contains(writes, "services") || strings.Contains(writes, "deployments") {
		t.Errorf("wrote %s", writes)
	}
}

func TestTakesFieldsOnlyFromThoseNamed(t *testing.T) {
	f := newFake(t)
	conflict := status("Conflict", "Apply failed with 1 conflict")
	conflict["details"] = map[string]any{"causes": []any{map[string]any{"reason": "FieldManagerConflict", "message": `conflict with "kubectl-client-side-apply" using apps/v1`, "field": `.spec.template.spec.containers[name="web"].image`}}}
	f.refuse = func(method, path, query string) (int, map[string]any) {
		if method == http.MethodPatch && strings.Contains(path, "deployments") && strings.Contains(query, "force=false") {
			return http.StatusConflict, conflict
		}
		return 0, nil
	}
	set := littleSet(t, little)
	_, err := f.cluster(t).Diff(t.Context(), set)
	var fields *deploy.ConflictError
	if !errors.As(err, &fields) || !strings.HasPrefix(err.Error(), "Deployment shop/web: spec.template.spec.containers[web].image belongs to kubectl-client-side-apply (") {
		t.Errorf("got %v", err)
	}
	c := f.cluster(t)
	c.TakeFrom = []string{"kubectl-client-side-apply"}
	if _, err := c.Diff(t.Context(), set); err != nil {
		t.Error(err)
	}
}

// TestAwaits has a pod refused in a dry run because its service account is not there: that
// says nothing where the account is to be made before it, and is an error where it is not.
func TestAwaits(t *testing.T) {
	const pod = "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {serviceAccountName: a, containers: [{name: a, image: a}]}}"
	f := newFake(t)
	f.refuse = func(method, path, query string) (int, map[string]any) {
		if method == http.MethodPatch && strings.Contains(path, "pods") && strings.Contains(query, "dryRun") {
			return http.StatusForbidden, status("Forbidden", `pods "p" is forbidden: error looking up service account shop/a: serviceaccount "a" not found`)
		}
		return 0, nil
	}
	const account = "{apiVersion: v1, kind: ServiceAccount, metadata: {name: a}}"
	const before = "{apiVersion: v1, kind: ConfigMap, metadata: {name: conf}}"
	c, first := f.cluster(t), littleSet(t, before)
	planned, err := c.Diff(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Apply(t.Context(), first, planned, nil); err != nil {
		t.Fatal(err)
	}
	planned, err = c.Diff(t.Context(), littleSet(t, before+"\n---\n"+pod+"\n---\n"+account))
	if err != nil {
		t.Fatal(err)
	}
	if last := planned[len(planned)-1]; last.Op != deploy.Create || !strings.HasPrefix(last.Diff, "could not check: ") {
		t.Errorf("with the account: got %s %s, %q", last.Op, last.Object, last.Diff)
	}
	if _, err := c.Diff(t.Context(), littleSet(t, before+"\n---\n"+pod)); err == nil || !strings.Contains(err.Error(), "not found") {
		t.Errorf("without it: got %v", err)
	}
}

func TestAskedToStop(t *testing.T) {
	f := newFake(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	because := errors.New("no more time")
	f.refuse = func(method, _, _ string) (int, map[string]any) {
		if method == http.MethodPatch {
			cancel(because)
		}
		return 0, nil
	}
	if _, err := f.cluster(t).Diff(ctx, littleSet(t, little)); !errors.Is(err, because) {
		t.Errorf("got %v, want %v", err, because)
	}
}

func TestPlaceholders(t *testing.T) {
	f := newFake(t)
	f.refuse = func(method, path, _ string) (int, map[string]any) {
		if method == http.MethodPatch && strings.Contains(path, "deployments") {
			return http.StatusForbidden, status("Forbidden", `admission webhook "signed" denied the request: image is not signed`)
		}
		return 0, nil
	}
	changes, err := f.cluster(t).Diff(t.Context(), littleSet(t, strings.Replace(little, "web:1", "web:1@"+deploy.Unknown, 1)))
	if err != nil {
		t.Fatal(err)
	}
	got := changed(changes)["create Deployment web"]
	if got != `could not check: admission webhook "signed" denied the request: image is not signed` {
		t.Errorf("got %q", got)
	}
	if _, err := f.cluster(t).Diff(t.Context(), littleSet(t, little)); err == nil {
		t.Error("a denial of a known digest passed")
	}
}

// TestTakeOverMeanwhile has somebody write an object after it was looked at, and before what
// kubectl owns of it becomes ours.
func TestTakeOverMeanwhile(t *testing.T) {
	const (
		path  = "/api/v1/namespaces/shop/configmaps/conf"
		there = `{apiVersion: v1, kind: ConfigMap, metadata: {name: conf, namespace: shop, resourceVersion: "%s", managedFields: [
			{manager: kubectl-client-side-apply, operation: Update, apiVersion: v1, fieldsType: FieldsV1, fieldsV1: {"f:data": {"f:a": {}%s}}}]}, data: {a: "1"}}`
	)
	for name, test := range map[string]struct {
		more   string // that kubectl owns of it then
		writes int
		err    string
	}{
		"its status":         {"", 2, ""},
		"by kubectl, itself": {`, "f:b": {}`, 1, "ConfigMap shop/conf: was applied by kubectl meanwhile (run again)"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.put(path, fmt.Sprintf(there, "1", ""))
			c := f.cluster(t)
			set := littleSet(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: conf}, data: {a: "1"}}`)
			planned, err := c.Diff(t.Context(), set)
			if err != nil {
				t.Fatal(err)
			}
			once := true
			f.refuse = func(method, at, query string) (int, map[string]any) {
				if once && method == http.MethodPatch && at == path && !strings.Contains(query, "dryRun") {
					once = false
					f.put(path, fmt.Sprintf(there, "2", test.more))
				}
				return 0, nil
			}
			err = c.Apply(t.Context(), set, planned, nil)
			if got := fmt.Sprint(err); test.err == "" && err != nil || test.err != "" && got != test.err {
				t.Errorf("got %v, want %q", err, test.err)
			}
			applied := 0
			for _, sent := range f.take() {
				if strings.HasPrefix(sent, "PATCH "+path) {
					applied++
				}
			}
			if want := test.writes + map[bool]int{true: 1}[test.err == ""]; applied != want {
				t.Errorf("%d writes, want %d", applied, want)
			}
		})
	}
}

// TestAnswersAreObjects has something between us and the API server answer for it: what it
// says was not written, whatever its code.
func TestAnswersAreObjects(t *testing.T) {
	f := newFake(t)
	c, set := f.cluster(t), littleSet(t, "{apiVersion: v1, kind: ConfigMap, metadata: {name: conf}, data: {k: v}}")
	planned, err := c.Diff(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	f.refuse = func(method, path, _ string) (int, map[string]any) {
		if method == http.MethodPatch && strings.HasSuffix(path, "/conf") {
			return http.StatusOK, map[string]any{"please": "sign in"}
		}
		return 0, nil
	}
	if err := c.Apply(t.Context(), set, planned, nil); err == nil || !strings.Contains(err.Error(), "conf") {
		t.Errorf("got %v", err)
	}
}
