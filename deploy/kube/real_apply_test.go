package kube_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-ci/slipway/deploy"
)

func TestRealSecondRunWritesNothing(t *testing.T) {
	r := newReal(t)
	set := r.set(many)
	if _, err := r.Identity(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.take()
	planned := r.diff(set)
	if _, writes := r.take(); len(writes) > 0 {
		t.Errorf("diff wrote %q", writes)
	}
	var said []string
	if err := r.Apply(t.Context(), set, planned, func(s deploy.Status) { said = append(said, s.Message+" "+s.Object) }); err != nil {
		t.Fatal(err)
	}
	if len(said) != len(planned) || said[0] != "created Namespace "+r.namespace || said[1] != "created ConfigMap "+r.namespace+"/slipway.shop.rollout" {
		t.Errorf("got %q", said)
	}
	r.take()
	again := r.diff(set)
	if d := changed(again); len(d) > 0 {
		t.Errorf("second diff: got %v, want none", d)
	}
	if err := r.Apply(t.Context(), set, again, func(s deploy.Status) { t.Errorf("wrote %v", s) }); err != nil {
		t.Fatal(err)
	}
	all, writes := r.take()
	if len(writes) > 0 {
		t.Errorf("second run wrote %q", writes)
	}
	dryRuns := slices.DeleteFunc(slices.Clone(all), func(s string) bool { return !strings.Contains(s, "dryRun") })
	if len(dryRuns) > 4 { // a StatefulSet's claims and a NetworkPolicy's ports are owned as a whole, and defaulted; twice
		t.Errorf("second run needed dry-runs: %q", dryRuns)
	}
}

func TestRealDiffNamesFields(t *testing.T) {
	r := newReal(t)
	r.apply(r.set(many))
	text := strings.NewReplacer("replicas: 2", "replicas: 3", "hunter2", "hunter3", `{name: A, value: "1"}, `, "",
		"cpu: 0.5", "cpu: 500m", `a: "1"`, `a: "2"`).Replace(many)
	got := changed(r.diff(r.set(text)))
	if got["configure Deployment web"] != "spec.replicas: 2 → 3\nspec.template.spec.containers[web].env[A]: {\"name\":\"A\",\"value\":\"1\"} → (none)" {
		t.Errorf("deployment: got %q", got["configure Deployment web"])
	}
	if got["configure Secret sec"] != "data.pw: (secret) → (another secret)" {
		t.Errorf("secret: got %q", got["configure Secret sec"])
	}
	if got["configure ConfigMap conf"] != "data.a: 1 → 2" || len(got) != 3 {
		t.Errorf("got %q", got)
	}
	r.apply(r.set(text))
	if d := changed(r.diff(r.set(text))); len(d) > 0 {
		t.Errorf("after: got %v", d)
	}
}

func TestRealOrderOfEnvIsAChange(t *testing.T) {
	r := newReal(t)
	r.apply(r.set(many))
	text := strings.Replace(many, `[{name: A, value: "1"}, {name: B, valueFrom: {configMapKeyRef: {name: conf, key: a}}}]`,
		`[{name: B, valueFrom: {configMapKeyRef: {name: conf, key: a}}}, {name: A, value: "1"}]`, 1)
	got := changed(r.diff(r.set(text)))
	if got["configure Deployment web"] != "spec.template.spec.containers[web].env: A, B → B, A" {
		t.Errorf("got %q", got)
	}
}

func TestRealDrift(t *testing.T) {
	r := newReal(t)
	set := r.set(many)
	r.apply(set)
	r.patchAs("someone", deployments(), "web", `{"metadata":{"annotations":{"theirs":"1"}},"spec":{"minReadySeconds":3}}`)
	if d := changed(r.diff(set)); len(d) > 0 {
		t.Errorf("fields of others: got %v, want none", d)
	}
	r.patchAs("someone", deployments(), "web", `{"spec":{"replicas":5}}`)
	_, err := r.Diff(t.Context(), set)
	var conflict *deploy.ConflictError
	if !errors.As(err, &conflict) || len(conflict.Fields) != 1 || conflict.Fields[0] != (deploy.OwnedField{Manager: "someone", Field: "spec.replicas"}) {
		t.Fatalf("got %v", err)
	}
	without := r.set(strings.Replace(many, "  replicas: 2\n", "", 1))
	if d := changed(r.diff(without)); len(d) > 0 {
		t.Errorf("given up: got %v, want none", d)
	}
}

func TestRealAppliesNoMoreThanPlanned(t *testing.T) {
	r := newReal(t)
	set := r.set(many)
	r.apply(set)
	text := strings.Replace(many, `a: "1"`, `a: "2"`, 1)
	planned := r.diff(r.set(text))
	more := r.set(strings.Replace(text, "replicas: 2", "replicas: 3", 1))
	r.take()
	var moved *deploy.MovedError
	if err := r.Apply(t.Context(), more, planned, nil); !errors.As(err, &moved) || len(moved.Changes) != 1 || moved.Changes[0].Object.Kind() != "Deployment" {
		t.Errorf("got %v", err)
	}
	if _, writes := r.take(); len(writes) > 0 {
		t.Errorf("wrote %q", writes)
	}
	if err := r.Apply(t.Context(), r.set(text), planned, nil); err != nil {
		t.Error(err)
	}
}

func TestRealJobsAreReplacedOnlyIfTheySaySo(t *testing.T) {
	r := newReal(t)
	job := "{apiVersion: batch/v1, kind: Job, metadata: {name: j, annotations: {slipway.dev/when-immutable: replace}}, spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: 'a:1'}]}}}}"
	r.apply(r.set(job))
	next := r.set(strings.Replace(job, "a:1", "a:2", 1))
	planned := r.diff(next)
	if got := changed(planned); got["replace Job j"] != "spec.template.spec.containers[a].image: a:1 → a:2" {
		t.Errorf("got %q", got)
	}
	var moved *deploy.MovedError
	planned[0].Op = deploy.Configure
	if err := r.Apply(t.Context(), next, planned, nil); !errors.As(err, &moved) {
		t.Errorf("replaced what was only to be configured: %v", err)
	}
	if said := r.apply(next); !slices.Equal(said, []string{"replaced Job " + r.namespace + "/j"}) {
		t.Errorf("got %q", said)
	}
	if d := changed(r.diff(next)); len(d) > 0 {
		t.Errorf("after: got %v", d)
	}
}

func TestRealAutoscaledReplicasAreLeftAlone(t *testing.T) {
	r := newReal(t)
	deployment := `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: 2, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: 'a:1'}]}}}}`
	r.apply(r.set(deployment))
	scaler := `{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: web}, spec: {minReplicas: 1, maxReplicas: 9, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}}`
	set := r.set(deployment + "\n---\n" + scaler)
	r.apply(set)
	scale := func(n string) { r.patchAs("scaler", deployments(), "web", `{"spec":{"replicas":`+n+`}}`) }
	scale("5")
	if d := changed(r.diff(set)); len(d) > 0 {
		t.Errorf("scaled: got %v, want none", d)
	}
	gone := r.set(strings.Replace(deployment, "replicas: 2, ", "", 1) + "\n---\n" + scaler)
	if d := changed(r.diff(gone)); len(d) > 0 {
		t.Errorf("no longer in the manifests: got %v, want none", d)
	}
	more := r.set(strings.Replace(deployment, "a:1", "a:2", 1) + "\n---\n" + scaler)
	r.apply(more)
	if live := r.live("web"); live["replicas"] != int64(5) {
		t.Errorf("got %v replicas, want 5", live["replicas"])
	}
	without := r.set(strings.Replace(deployment, "a:1", "a:2", 1))
	scale("6")
	if _, err := r.Diff(t.Context(), without); err == nil || !strings.Contains(err.Error(), "spec.replicas belongs to scaler") {
		t.Errorf("without the scaler: got %v", err)
	}
}

// live returns the spec of a Deployment.
func (r *realCluster) live(name string) map[string]any {
	r.t.Helper()
	found, err := r.admin.Resource(deployments()).Namespace(r.namespace).Get(r.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	spec, _ := found.Object["spec"].(map[string]any)
	return spec
}
