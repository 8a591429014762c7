package e2e_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// settingsTree is a kustomization of one ConfigMap, deployed as deployment deploy/settings.
func settingsTree(t *testing.T, c *cluster, ns, text string, flags ...string) call {
	t.Helper()
	dir := files{"k/kustomization.yaml": "resources: [settings.yaml]\n", "k/settings.yaml": text}.write(t)
	return call{Dir: dir, Cluster: c, Args: append([]string{"deploy", "-k", "k", "-n", ns, "--name", "settings"}, flags...)}
}

// TestAdopt deploys over an object that Helm made.
func TestAdopt(t *testing.T) {
	t.Parallel()
	c := kwok(t)
	ns := c.namespace(t)
	const text = "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {a: ours}}\n"
	_, err := c.client.CoreV1().ConfigMaps(ns).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Name: "settings", Labels: map[string]string{"app.kubernetes.io/managed-by": "Helm"},
		Annotations: map[string]string{"meta.helm.sh/release-name": "web", "meta.helm.sh/release-namespace": ns},
	}}, metav1.CreateOptions{FieldManager: "helm"})
	if err != nil {
		t.Fatal(err)
	}
	got := settingsTree(t, c, ns, text).run(t)
	if got.Code == 0 {
		t.Fatal("it was taken from Helm")
	}
	got.says(t, "is managed by Helm ("+ns+"/web)")
	settingsTree(t, c, ns, text, "--adopt").run(t).want(t, 0)
	settingsTree(t, c, ns, strings.Replace(text, "ours", "still", 1)).run(t).want(t, 0) // it is ours now
}

// TestForce takes one field from another manager, and not its neighbour.
func TestForce(t *testing.T) {
	t.Parallel()
	c := kwok(t)
	ns := c.namespace(t)
	const text = "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {a: ours, b: ours}}\n"
	theirs := []byte(`{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a": "theirs", "b": "theirs"}}`)
	if _, err := c.client.CoreV1().ConfigMaps(ns).Patch(t.Context(), "settings", types.ApplyPatchType, theirs, metav1.PatchOptions{FieldManager: "somebody"}); err != nil {
		t.Fatal(err)
	}
	for _, flags := range [][]string{nil, {"--force", "data.a"}, {"--force", "data.ab,dat"}} {
		got := settingsTree(t, c, ns, text, flags...).run(t)
		if got.Code == 0 {
			t.Fatalf("%q: it took what belongs to somebody else", flags)
		}
		got.says(t, "data.b belongs to somebody")
	}
	diff := settingsTree(t, c, ns, text, "--force", "data.a,data.b")
	diff.Args[0] = "diff"
	diff.run(t).want(t, 0).says(t, "data.a: theirs → ours (owned by somebody)")
	settingsTree(t, c, ns, text, "--force", "data.a,data.b").run(t).want(t, 0)
	settings, err := c.client.CoreV1().ConfigMaps(ns).Get(t.Context(), "settings", metav1.GetOptions{})
	if err != nil || settings.Data["a"] != "ours" || settings.Data["b"] != "ours" {
		t.Errorf("got %v, %v", settings.Data, err)
	}
}
