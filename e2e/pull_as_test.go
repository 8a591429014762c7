package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestPullAs rolls out an image that a real node pulls by another name than the one by which it
// was pushed, as with a registry that is forwarded into a cluster.
func TestPullAs(t *testing.T) {
	t.Parallel()
	c, r := kubelet(t), sharedRegistry()
	ns := c.namespace(t)
	digest := r.push(t, ns+"/first", "v1", "serve")
	inside := strings.Replace(r.host, "127.0.0.1", "localhost", 1)
	tree := webTree(edit{"path: /healthz", "path: /"}.apply(t, healthyWeb))
	tree["slipway.yaml"] = fmt.Sprintf(`slipway: v1
name: inside
registries: {%[1]q: {pullAs: %[2]q}}
stages:
  web: {copy: {image: "%[1]s/%[3]s/first@%[4]s", to: {repository: "%[1]s/%[3]s/web", tags: [v1]}}}
  rollout: {deploy: {kustomize: web, namespace: %[3]s, images: {web: "${{ stages.web.image }}"}}}
`, r.host, inside, ns, digest)
	dir := tree.write(t)
	call{Dir: dir, Cluster: c, Args: []string{"run"}}.run(t).want(t, 0).says(t, "web  proven  2/2 pods run "+digest)
	pods, err := c.client.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(pods.Items) == 0 {
		t.Fatal(len(pods.Items), err)
	}
	for _, p := range pods.Items {
		if got, want := p.Spec.Containers[0].Image, inside+"/"+ns+"/web:v1@"+digest; got != want {
			t.Errorf("pod %s runs %s, want %s", p.Name, got, want)
		}
	}
	call{Dir: dir, Cluster: c, Args: []string{"run"}}.run(t).want(t, 0).says(t, "web  proven  2/2")
}
