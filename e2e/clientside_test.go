package e2e_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// TestClientSide deploys over what kubectl applied on the client's side. A field that is not in
// the manifests, at first or later, goes; the plan says so; what others own stays.
func TestClientSide(t *testing.T) {
	t.Parallel()
	c := kwok(t)
	ns := c.namespace(t)
	configs := c.client.CoreV1().ConfigMaps(ns)
	_, err := configs.Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "settings", Annotations: map[string]string{lastApplied: "{}"}},
		Data:       map[string]string{"a": "1", "b": "2", "c": "3"},
	}, metav1.CreateOptions{FieldManager: "kubectl-client-side-apply"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := configs.Patch(t.Context(), "settings", types.MergePatchType, []byte(`{"data": {"d": "4"}}`), metav1.PatchOptions{FieldManager: "somebody"}); err != nil {
		t.Fatal(err)
	}
	keys := func() (string, *corev1.ConfigMap) {
		t.Helper()
		settings, err := configs.Get(t.Context(), "settings", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(slices.Sorted(maps.Keys(settings.Data)), ""), settings
	}
	const text = `{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {a: "1", b: "2"}}` + "\n"
	deploy := func(text string, flags ...string) call { return settingsTree(t, c, ns, text, flags...) }
	compare := func(text string) call {
		diff := deploy(text, "--detailed-exitcode")
		diff.Args[0] = "diff"
		return diff
	}

	compare(text).run(t).want(t, 2).says(t, "data.c: 3 → (none)")
	if got, settings := keys(); got != "abcd" || !owns(settings.ManagedFields, "kubectl-client-side-apply") {
		t.Fatalf("diff wrote: %q is left, managers %v", got, settings.ManagedFields)
	}
	deploy(strings.Replace(text, `"1"`, `"one"`, 1)).run(t).says(t, "data.a belongs to kubectl-client-side-apply")
	if got, settings := keys(); got != "abcd" || !owns(settings.ManagedFields, "kubectl-client-side-apply") {
		t.Fatalf("a refused run wrote: %q is left, managers %v", got, settings.ManagedFields)
	}

	deploy(text).run(t).want(t, 0)
	got, settings := keys()
	if got != "abd" || owns(settings.ManagedFields, "kubectl-client-side-apply") || settings.Annotations[lastApplied] != "" {
		t.Errorf("%q is left, with annotations %v and managers %v", got, settings.Annotations, settings.ManagedFields)
	}
	compare(text).run(t).want(t, 0)

	text2 := strings.Replace(text, `, b: "2"`, "", 1)
	compare(text2).run(t).want(t, 2).says(t, "data.b: 2 → (none)")
	deploy(text2).run(t).want(t, 0)
	if got, _ := keys(); got != "ad" {
		t.Errorf("%q is left, want what is in the manifests and somebody's", got)
	}
}

// TestBeforeFirstApply deploys over an object whose managers nobody wrote down. What we applied and
// drop goes, what was there besides stays: nobody knows whose it is.
func TestBeforeFirstApply(t *testing.T) {
	t.Parallel()
	c := kwok(t)
	ns := c.namespace(t)
	configs := c.client.CoreV1().ConfigMaps(ns)
	if _, err := configs.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "settings"}, Data: map[string]string{"a": "1", "b": "2", "c": "3"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := configs.Patch(t.Context(), "settings", types.MergePatchType, []byte(`{"metadata": {"managedFields": [{}]}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	const text = `{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {a: "1", b: "2"}}` + "\n"
	settingsTree(t, c, ns, text).run(t).want(t, 0)
	settings, err := configs.Get(t.Context(), "settings", metav1.GetOptions{})
	if err != nil || !owns(settings.ManagedFields, "before-first-apply") {
		t.Fatalf("the server did not write down what there was before: %v, %v", settings.ManagedFields, err)
	}
	settingsTree(t, c, ns, strings.Replace(text, `, b: "2"`, "", 1)).run(t).want(t, 0)
	settings, err = configs.Get(t.Context(), "settings", metav1.GetOptions{})
	if err != nil || strings.Join(slices.Sorted(maps.Keys(settings.Data)), "") != "ac" {
		t.Errorf("got %v, %v, want a and c", settings.Data, err)
	}
}

// TestClientSideWorkload takes over a Deployment that kubectl applied. Defaults come back as they
// were, its pods are replaced once, and an autoscaler's replicas stay.
func TestClientSideWorkload(t *testing.T) {
	t.Parallel()
	c := kwok(t)
	const hpa = `---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec: {minReplicas: 1, maxReplicas: 5, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}
`
	const text = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "r.example/web:1", env: [{name: A, value: a}]}]}
`
	for name, test := range map[string]struct {
		text     string
		replicas int32
	}{"autoscaled": {text + hpa, 3}, "not autoscaled": {text, 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := c.namespace(t)
			apps := c.client.AppsV1().Deployments(ns)
			var theirs appsv1.Deployment
			err := json.Unmarshal([]byte(`{"metadata": {"name": "web"}, "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}},
				"spec": {"terminationGracePeriodSeconds": 5, "containers": [{"name": "web", "image": "r.example/web:1", "env": [{"name": "A", "value": "a"}, {"name": "B", "value": "b"}]}]}}}}`), &theirs)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := apps.Create(t.Context(), &theirs, metav1.CreateOptions{FieldManager: "kubectl-client-side-apply"}); err != nil {
				t.Fatal(err)
			}
			deploy := settingsTree(t, c, ns, test.text, "--timeout", "90s")
			diff := settingsTree(t, c, ns, test.text)
			diff.Args[0] = "diff"
			shown := diff.run(t).want(t, 0)
			shown.says(t, "spec.template.spec.containers[web].env[B]")
			shown.says(t, "spec.template.spec.terminationGracePeriodSeconds: 5 → 30")
			if scaled := strings.Contains(shown.Stdout, "spec.replicas: 3 → 1"); scaled != (test.replicas == 1) || strings.Contains(shown.Stdout, "progressDeadlineSeconds") {
				t.Errorf("the diff shows too much, or too little:\n%s", shown.Stdout)
			}
			deploy.run(t).want(t, 0)
			web, err := apps.Get(t.Context(), "web", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			container := web.Spec.Template.Spec.Containers[0]
			if len(container.Env) != 1 || *web.Spec.Replicas != test.replicas || *web.Spec.ProgressDeadlineSeconds != 600 || owns(web.ManagedFields, "kubectl-client-side-apply") {
				t.Errorf("got env %v, %d replicas, managers %v", container.Env, *web.Spec.Replicas, web.ManagedFields)
			}
			if web.Generation != 2 {
				t.Errorf("it was changed %d times, want once", web.Generation-1)
			}
			diff.Args = append(diff.Args, "--detailed-exitcode")
			diff.run(t).want(t, 0)
		})
	}
}

func owns(fields []metav1.ManagedFieldsEntry, manager string) bool {
	return slices.ContainsFunc(fields, func(e metav1.ManagedFieldsEntry) bool { return e.Manager == manager })
}
