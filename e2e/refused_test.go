package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestWrongInput checks what slipway says, and ends with, when the user's files cannot work. Each
// row changes one thing of the first, which can.
func TestWrongInput(t *testing.T) {
	t.Parallel()
	good := appTree("COPY www /www", "RUN echo fine")
	for _, test := range []struct {
		name, file string
		edit       edit
		code       int
		says       []string
	}{
		{name: "good", file: "slipway.yaml", code: 0},
		{"a key nobody knows", "slipway.yaml", edit{"args:", "argz:"}, 3, []string{"slipway.yaml:10:7", `unknown key "argz"`, `did you mean "args"`}},
		{"not YAML", "slipway.yaml", edit{"stages:", "stages: ["}, 3, []string{"slipway.yaml:"}},
		{"no such folder", "slipway.yaml", edit{"context: app", "context: ap"}, 3, []string{"slipway.yaml:9:", "stage app", "no folder", "context:"}},
		{"no Dockerfile", "slipway.yaml", edit{"context: app", "context: app/www"}, 3, []string{"slipway.yaml:9:", "stage app", "no Dockerfile in", "app/www", "dockerfile:"}},
		{"no such instruction", "app/Dockerfile", edit{"COPY www", "COPPY www"}, 4, []string{"Dockerfile:4", "COPPY"}},
		{"no such file", "app/Dockerfile", edit{"COPY www", "COPY vvv"}, 4, []string{"Dockerfile:4", "vvv"}},
		{"RUN fails", "app/Dockerfile", edit{"echo fine", "echo last words; exit 9"}, 4, []string{"Dockerfile:5", "last words", "exit code: 9"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			as := ourselves(t)
			tree := files{}
			for name, text := range good {
				tree[name] = text
			}
			tree[test.file] = test.edit.apply(t, tree[test.file])
			call{Dir: as.write(t, tree), Env: []string{"REPOSITORY=" + newRegistry(t).host + "/app"}, Args: []string{"run"}}.
				start(t, as).end(time.Minute).want(t, test.code).says(t, test.says...)
		})
	}
}

// TestNoRegistry checks that a registry that is down or refuses is named, with what was asked of
// it and what it answered.
func TestNoRegistry(t *testing.T) {
	t.Parallel()
	refuse := func(methods ...string) func(*testing.T) string {
		return func(t *testing.T) string { return refusingRegistry(t, methods...) }
	}
	for _, test := range []struct {
		name string
		host func(*testing.T) string
		code int
		says string
	}{
		{"healthy", refuse(), 0, "app  pushed"},
		{"down", closedPort, 5, "connection refused"},
		{"refuses all", refuse("GET", "HEAD", "POST", "PUT", "PATCH"), 5, "not for you"},
		{"refuses pushes", refuse("POST", "PUT", "PATCH"), 5, "not for you"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			as, host := ourselves(t), test.host(t)
			got := call{Dir: as.write(t, appTree()), Env: []string{"REPOSITORY=" + host + "/shop/app"}, Args: []string{"run"}}.
				start(t, as).end(time.Minute).want(t, test.code)
			if got.says(t, test.says, host+"/shop/app"); test.code != 0 {
				got.says(t, "registry "+host)
			}
		})
	}
}

// TestNoCluster checks that a cluster that cannot be used is named, and what was wanted of it.
func TestNoCluster(t *testing.T) {
	t.Parallel()
	c := kwok(t)
	down := closedPort(t)
	for _, test := range []struct {
		name       string
		kubeconfig func(t *testing.T, ns string) string
		says       []string
	}{
		{"down", func(t *testing.T, _ string) string { return c.kubeconfigFor(t, "https://"+down, "") }, []string{"cluster https://" + down, "connection refused"}},
		{"forbids all", func(t *testing.T, ns string) string { return c.kubeconfigFor(t, "", c.token(t, ns)) }, []string{"forbidden", "kube-system", "system:serviceaccount:"}},
		{"forbids writing", func(t *testing.T, ns string) string {
			c.allow(t, ns, "get", "list", "watch")
			return c.kubeconfigFor(t, "", c.token(t, ns))
		}, []string{"forbid", "system:serviceaccount:"}},
		{"forbids watching", func(t *testing.T, ns string) string {
			c.allow(t, ns, "get", "create", "patch")
			return c.kubeconfigFor(t, "", c.token(t, ns))
		}, []string{"forbid", "list", "system:serviceaccount:"}},
		{"knows nobody", func(t *testing.T, _ string) string { return c.kubeconfigFor(t, "", "nonsense") }, []string{"does not know who we are", "credentials"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ns := c.namespace(t)
			dir := webTree(healthyWeb).write(t)
			c := &cluster{kubeconfig: test.kubeconfig(t, ns)}
			deployWeb(c, dir, ns, "registry.invalid/web@"+fakeDigest(1)).run(t).want(t, 6).says(t, test.says...)
		})
	}
}

// TestOtherCluster checks that a cluster with another UID than the environment's is not written to.
func TestOtherCluster(t *testing.T) {
	t.Parallel()
	c := kwok(t)
	for _, test := range []struct {
		name, uid string
		code      int
	}{
		{"the right one", c.uid(t), 0},
		{"another", "7c9e6679-7425-40de-944b-e07fc1f90ae7", 6},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ns := c.namespace(t)
			tree := webTree(healthyWeb)
			tree["web/kustomization.yaml"] += "namespace: " + ns + "\n"
			tree["slipway.yaml"] = fmt.Sprintf(`slipway: v1
name: it
environments:
  staging: {namespace: %s, clusterUID: %s}
stages:
  rollout:
    deploy: {kustomize: web}
`, ns, test.uid)
			through, writes := c.spied(t)
			got := call{Dir: tree.write(t), Cluster: through, Args: []string{"run", "-e", "staging"}}.run(t).want(t, test.code)
			if test.code == 0 {
				got.says(t, "web  ready  2/2 pods")
				if len(writes()) == 0 {
					t.Error("no write was seen: this test would prove nothing")
				}
				return
			}
			got.says(t, test.uid, c.uid(t), "clusterUID")
			if w := writes(); len(w) > 0 {
				t.Errorf("it wrote to the cluster:\n%s", strings.Join(w, "\n"))
			}
		})
	}
}
