package e2e_test

import (
	"strings"
	"testing"
)

// TestUnpinned rolls out two Deployments. Of one nothing is pinned, so nothing of it can be
// proven; but a run that made it stays until it is ready, and is red if it never is. So is the next
// run, which has nothing to change, and one that changes something else: what a run wrote is judged
// until it has been well.
func TestUnpinned(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		namespace  bool   // the manifests name the namespace, rather than -n alone
		annotation string // of the one that is not pinned
		code       string
		exit       int
		says       string
	}{
		{"healthy", false, "e2e.slipway.dev/fail: none", "ready", 0, "side  ready  2/2 pods"},
		{"healthy, with namespace", true, "e2e.slipway.dev/fail: none", "ready", 0, "side  ready  2/2 pods"},
		{"crashes", false, "e2e.slipway.dev/fail: crash-loop", "crash-loop", 7, "exit code 3"},
		{"crashes, with namespace", true, "e2e.slipway.dev/fail: crash-loop", "crash-loop", 7, "exit code 3"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := kwok(t)
			ns := c.namespace(t)
			image := "r.example/web@" + fakeDigest(1)
			tree := webTree(edit{"image-id: none", "image-id: " + image}.apply(t, healthyWeb))
			tree["web/side.yaml"] = edit{"e2e.slipway.dev/image-id: none", test.annotation}.
				apply(t, strings.NewReplacer("name: web}", "name: side}", "app: web", "app: side", "image: web", "image: r.example/side").Replace(healthyWeb))
			tree["web/kustomization.yaml"] = edit{"[web.yaml]", "[web.yaml, side.yaml]"}.apply(t, tree["web/kustomization.yaml"])
			if test.namespace {
				tree["web/kustomization.yaml"] += "namespace: " + ns + "\n"
			}
			dir := tree.write(t)
			for round := range 3 {
				if round == 2 {
					tree["web/web.yaml"] = edit{"replicas: 2", "replicas: 3"}.apply(t, tree["web/web.yaml"])
					dir = tree.write(t)
				}
				deploy := deployWeb(c, dir, ns, image)
				deploy.Args = append(deploy.Args, "--name", "web")
				got := deploy.run(t)
				if v := verdict(t, dir, "Deployment "+ns+"/side"); v.Code != test.code {
					t.Errorf("code is %q, want %q", v.Code, test.code)
				}
				got.want(t, test.exit).says(t, test.says)
			}
		})
	}
}
