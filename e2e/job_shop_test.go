package e2e_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

// TestJobShop runs examples/shop in the cluster: a pod without privileges builds it, another proves
// it under Pod Security restricted, and a release that differs and lacks an object needs no other
// roles. Only what is this machine's differs from the example: the registry and the namespace.
func TestJobShop(t *testing.T) {
	t.Parallel()
	c := kubelet(t)
	staging, builds := c.namespace(t), c.namespace(t)
	c.secure(t, staging, "restricted")
	pods := sharedRegistry().inside(t)
	registry := pods + "/" + staging
	image := pushBuilder(t, staging+"/slipway")
	dir := copyTree(t, "../examples/shop")
	files{"base/busybox": ""}.writeTo(t, dir)
	replaceIn(t, filepath.Join(dir, "slipway.yaml"), "name: shop\n", fmt.Sprintf("name: shop\nregistries: {%q: {http: true, pullAs: %q}}\n", pods, sharedRegistry().host))
	replaceIn(t, filepath.Join(dir, "slipway.yaml"), "staging: {namespace: shop-staging}", "staging: {namespace: "+staging+"}")
	replaceIn(t, filepath.Join(dir, "deploy/overlays/staging/kustomization.yaml"), "namespace: shop-staging", "namespace: "+staging)
	git(t, dir, "init", "-q")
	commitAll(t, dir)
	cleanRoles(t, c, staging, "shop-staging")
	as := ourselves(t)
	job := func() result {
		return call{
			Dir: dir, Cluster: c, Env: []string{"SHOP_REGISTRY=" + registry},
			Args: []string{"job", "-e", "staging", "--apply", "--context", currentContext(t, c), "--image", image, "--repository", registry + "/releases", "--build-namespace", builds, "--deadline", "5m"},
		}.start(t, as).end(5 * time.Minute)
	}
	job().want(t, 0).says(t, "pushed  "+registry+"/api", "pushed  "+registry+"/web", "api  proven  3/3 pods run sha256:", "web  proven  3/3 pods run sha256:")
	rules := c.rulesOf(t, staging)

	files{"web/www/index.html": "<title>changed</title>\n"}.writeTo(t, dir)
	replaceIn(t, filepath.Join(dir, "deploy/base/api.yaml"), "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: api\nspec:\n  selector: {app: api}\n  ports: [{port: 80, targetPort: http}]\n", "")
	commitAll(t, dir)
	job().want(t, 0).says(t, "Service "+staging+"/api  deleted", "api  proven  3/3 pods run sha256:", "web  proven  3/3 pods run sha256:")
	if again := c.rulesOf(t, staging); fmt.Sprint(again) != fmt.Sprint(rules) {
		t.Errorf("the rules were\n%v\nand are\n%v", rules, again)
	}
}
