package e2e_test

import (
	"slices"
	"strings"
	"testing"
)

// TestDiff compares a deployment with what would be: nothing, a change, an object more and one
// less. Nothing is written, and values of Secrets are not shown.
func TestDiff(t *testing.T) {
	t.Parallel()
	c := kwok(t)
	ns := c.namespace(t)
	image := "r.example/web@" + fakeDigest(1)
	tree := webTree(edit{"image-id: none", "image-id: " + image}.apply(t, healthyWeb))
	tree["web/old.yaml"] = "{apiVersion: v1, kind: ConfigMap, metadata: {name: old}}\n"
	tree["web/secret.yaml"] = "{apiVersion: v1, kind: Secret, metadata: {name: keys}, stringData: {pw: hunter2-one}}\n"
	tree["web/kustomization.yaml"] = edit{"[web.yaml]", "[web.yaml, old.yaml, secret.yaml]"}.apply(t, tree["web/kustomization.yaml"])
	as := func(args ...string) call {
		return call{Dir: tree.write(t), Cluster: c, Args: append(args, "-k", "web", "-n", ns, "--image", "web="+image, "--name", "web")}
	}
	as("diff").run(t).want(t, 0).says(t, "create    Deployment "+ns+"/web")
	as("deploy", "--timeout", "90s").run(t).want(t, 0)
	as("diff", "--detailed-exitcode").run(t).want(t, 0).says(t, "deploy: nothing differs")

	tree["web/web.yaml"] = edit{"replicas: 2", "replicas: 3"}.apply(t, tree["web/web.yaml"])
	tree["web/secret.yaml"] = edit{"hunter2-one", "hunter2-two"}.apply(t, tree["web/secret.yaml"])
	tree["web/new.yaml"] = "{apiVersion: v1, kind: ConfigMap, metadata: {name: new}}\n"
	tree["web/kustomization.yaml"] = edit{"old.yaml", "new.yaml"}.apply(t, tree["web/kustomization.yaml"])
	before := c.state(t, ns)
	got := as("diff", "--detailed-exitcode").run(t).want(t, 2)
	for _, want := range []string{"configure Deployment " + ns + "/web", "spec.replicas: 2 → 3", "create    ConfigMap " + ns + "/new", "delete    ConfigMap " + ns + "/old", "configure Secret " + ns + "/keys"} {
		got.says(t, want)
	}
	as("diff", "-o", "json").run(t).want(t, 0).says(t, `"spec.replicas: 2 → 3"`)
	as("diff", "-o", "markdown").run(t).want(t, 0).says(t, "spec.replicas: 2 → 3")
	for _, format := range []string{"text", "json", "markdown"} {
		if got := as("diff", "-o", format).run(t); strings.Contains(got.Stdout+got.Stderr, "hunter2") || strings.Contains(got.Stdout+got.Stderr, "aHVudGVyMi") {
			t.Errorf("-o %s shows a secret", format)
		}
	}
	if after := c.state(t, ns); withoutContent(after) != withoutContent(before) {
		t.Errorf("diff wrote something:\n%s\nbefore:\n%s", withoutContent(after), withoutContent(before))
	}
}

// TestRisks lets changes that lose something wait for an approval.
func TestRisks(t *testing.T) {
	t.Parallel()
	c := kwok(t)
	for _, test := range []struct {
		risk string
		edit edit
		says string
	}{
		{"scale-to-zero", edit{"replicas: 2", "replicas: 0"}, "would have no replicas any more, where it has 2"},
		{"single-replica", edit{"replicas: 2", "replicas: 1"}, "would have one replica, where it has 2"},
		{"remove-probe", edit{"          readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}\n", ""}, "would lose the readinessProbe of container server"},
		{"downgrade-image", edit{"1.10.0", "1.9.0"}, "would go back from 1.10.0 to 1.9.0 in container server"},
	} {
		t.Run(test.risk, func(t *testing.T) {
			t.Parallel()
			ns := c.namespace(t)
			tree := webTree(edit{"image: web", "image: r.example/other:1.10.0"}.apply(t, healthyWeb))
			deploy := func(args ...string) call {
				return call{Dir: tree.write(t), Cluster: c, Args: append([]string{"deploy", "-k", "web", "-n", ns, "--name", "web", "--timeout", "90s"}, args...)}
			}
			deploy().run(t).want(t, 0)
			tree["web/web.yaml"] = test.edit.apply(t, tree["web/web.yaml"])
			before := c.state(t, ns)
			deploy().run(t).want(t, 10).says(t, test.says)
			if after := c.state(t, ns); withoutContent(after) != withoutContent(before) {
				t.Error("it wrote before it was approved")
			}
			others := slices.DeleteFunc([]string{"scale-to-zero", "single-replica", "remove-probe", "downgrade-image"}, func(r string) bool { return r == test.risk })
			deploy("--approve", strings.Join(others, ",")).run(t).want(t, 10)
			deploy("--approve", test.risk).run(t).want(t, 0)
		})
	}
}
