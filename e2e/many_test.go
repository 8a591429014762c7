package e2e_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// TestManyUnchanged deploys 500 objects of five kinds, and again: nothing is written, and each kind
// is listed twice at most, however many objects there are.
func TestManyUnchanged(t *testing.T) {
	t.Parallel()
	c := kwok(t)
	ns := c.namespace(t)
	var text strings.Builder
	for n := range 100 {
		for _, o := range []string{
			"{apiVersion: v1, kind: ConfigMap, metadata: {name: o%d}, data: {a: b}}",
			"{apiVersion: v1, kind: Secret, metadata: {name: o%d}, stringData: {a: b}}",
			"{apiVersion: v1, kind: ServiceAccount, metadata: {name: o%d}}",
			"{apiVersion: v1, kind: Service, metadata: {name: o%d}, spec: {clusterIP: None, selector: {app: a}}}",
			"{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: o%d}, rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]}",
		} {
			fmt.Fprintf(&text, o+"\n---\n", n)
		}
	}
	dir := files{"k/kustomization.yaml": "resources: [all.yaml]\n", "k/all.yaml": text.String()}.write(t)
	deploy := func(c *cluster) call {
		return call{Dir: dir, Cluster: c, Args: []string{"deploy", "-k", "k", "-n", ns, "--name", "many"}}
	}
	deploy(c).run(t).want(t, 0)
	through, requests := c.asked(t)
	deploy(through).run(t).want(t, 0)
	lists := map[string]int{}
	for _, r := range requests() {
		method, path, _ := strings.Cut(r, " ")
		if method != "GET" {
			t.Errorf("written: %s", r)
		}
		path, query, _ := strings.Cut(path, "?")
		if m := listed.FindStringSubmatch(path); m != nil && strings.Contains(query, "slipway.dev%2Fhistory") {
			lists["revisions"]++ // Secrets, without what is in them
		} else if m != nil {
			lists[m[1]]++
		} else if strings.Contains(path, "/o") && strings.Contains(path, ns+"/") {
			t.Errorf("one object was read: %s", r)
		}
	}
	for _, kind := range []string{"configmaps", "secrets", "serviceaccounts", "services", "roles", "revisions"} {
		if n := lists[kind]; n < 1 || n > 2 {
			t.Errorf("%s were listed %d times, want once or twice: %v", kind, n, lists)
		}
	}
}

// listed matches the path of a list in a namespace.
var listed = regexp.MustCompile(`/namespaces/[^/]+/([a-z]+)$`)
