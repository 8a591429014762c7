package e2e_test

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// shopNamespace is where the example's staging goes.
const shopNamespace = "shop-staging"

// shop is a copy of examples/shop with all that it runs on.
type shop struct {
	t        *testing.T
	as       *account
	dir      string
	registry string   // folder of the registry
	addr     string   // its address
	cluster  *cluster // seen through writes
	writes   func() []string
}

func newShop(t *testing.T) *shop {
	t.Helper()
	as := ourselves(t)
	dir := copyTree(t, "../examples/shop")
	files{"base/busybox": ""}.writeTo(t, dir)
	return &shop{t: t, as: as, dir: dir, registry: t.TempDir(), addr: closedPort(t)}
}

// serve starts the registry, which always has the same address, and returns when it answers.
func (s *shop) serve() *session {
	s.t.Helper()
	r := call{Args: []string{"registry", "serve", "--addr", s.addr, "--dir", s.registry}}.start(s.t, s.as)
	r.says("registry listens on " + s.addr)
	return r
}

// call runs slipway on the shop.
func (s *shop) call(args ...string) result {
	s.t.Helper()
	return call{Dir: s.dir, Cluster: s.cluster, Env: []string{"SHOP_REGISTRY=" + s.addr + "/shop"}, Args: append(args, "-e", "staging")}.
		start(s.t, s.as).end(4 * time.Minute)
}

// TestShop takes the example through its life: built, tested, pushed, rolled out and proven on a
// real node, then run again with nothing to do.
func TestShop(t *testing.T) {
	t.Parallel()
	c := kubelet(t)
	s := newShop(t)
	s.cluster, s.writes = c.spied(t)
	afterwards(t, func(ctx context.Context) error {
		return c.client.CoreV1().Namespaces().Delete(ctx, shopNamespace, metav1.DeleteOptions{})
	})
	registry := s.serve()

	first := s.call("run").want(t, 0)
	for _, name := range []string{"api", "web"} {
		s.proven(c, name, first)
	}
	if len(s.writes()) == 0 {
		t.Fatal("no write to the cluster was seen: this test would prove nothing")
	}

	t.Run("logs", func(t *testing.T) {
		about(c, shopNamespace, "logs", "--tail", "0").run(t).want(t, 0).says(t, "/api  ", "/web  ", "response:200")
	})
	state := filepath.Join(s.as.home, "cache", "slipway", "root") // where builds leave something
	t.Run("again", func(t *testing.T) {
		written, solver, objects := len(s.writes()), tree(t, state), c.objects(t, shopNamespace)
		again := s.call("run").want(t, 0)
		for _, name := range []string{"api", "web"} {
			s.proven(c, name, again)
		}
		again.says(t, "nothing had to change")
		if more := s.writes()[written:]; len(more) > 0 {
			t.Errorf("it wrote to the cluster:\n%s", strings.Join(more, "\n"))
		}
		if now := c.objects(t, shopNamespace); !maps.Equal(now, objects) {
			t.Errorf("objects were %v, are %v", objects, now)
		}
		if now := tree(t, state); !maps.Equal(now, solver) {
			t.Errorf("a solver was started: %q were changed", added(solver, now))
		}
	})
	t.Run("registry restarted", func(t *testing.T) {
		registry.send(syscall.SIGTERM)
		registry.end(10*time.Second).want(t, 143)
		s.serve()
		s.call("plan", "--detailed-exitcode").want(t, 0) // all is there: nothing to do
	})
	t.Run("edited", func(t *testing.T) {
		files{"web/www/index.html": "<title>changed</title>\n"}.writeTo(t, s.dir)
		s.call("plan", "--detailed-exitcode").want(t, 2)
		edited := s.call("run").want(t, 0)
		if s.proven(c, "api", edited) != s.proven(c, "api", first) {
			t.Error("api has changed, too")
		}
		if s.proven(c, "web", edited) == digestIn(t, "web", first) {
			t.Error("web has not changed")
		}
	})
}

// digestIn returns the digest that a result calls proven.
func digestIn(t *testing.T, name string, r result) string {
	t.Helper()
	m := regexp.MustCompile(`(?m)^` + name + `  proven  3/3 pods run (sha256:[0-9a-f]{64})$`).FindStringSubmatch(r.Stdout)
	if m == nil {
		t.Fatalf("%s is not proven\nstdout:\n%s\nstderr:\n%s", name, r.Stdout, r.Stderr)
	}
	return m[1]
}

// proven checks that the digest which r calls proven is what all pods run, by the cluster's own
// account, and returns it.
func (s *shop) proven(c *cluster, name string, r result) string {
	s.t.Helper()
	digest := digestIn(s.t, name, r)
	pods, err := c.client.CoreV1().Pods(shopNamespace).List(s.t.Context(), metav1.ListOptions{LabelSelector: "app=" + name})
	if err != nil {
		s.t.Fatal(err)
	}
	running := 0
	for _, pod := range pods.Items {
		if pod.DeletionTimestamp != nil {
			continue
		}
		running++
		// A node that pulled the same image elsewhere names that repository.
		if got := pod.Status.ContainerStatuses[0].ImageID; !strings.HasSuffix(got, "@"+digest) {
			s.t.Errorf("pod %s: imageID is %q, want %s", pod.Name, got, digest)
		}
	}
	if running != 3 {
		s.t.Errorf("%d pods of %s, want 3", running, name)
	}
	return digest
}

// objects are those which slipway applied, and by which it remembers: their versions and when it
// last wrote them. (Deployments' own controllers write to their status; that is not counted.)
func (c *cluster) objects(t *testing.T, ns string) map[string]string {
	t.Helper()
	seen := map[string]string{}
	note := func(kind string, o metav1.Object, version string) {
		for _, f := range o.GetManagedFields() {
			if f.Manager == "slipway" {
				seen[kind+" "+o.GetName()] = version + " " + f.Time.String()
			}
		}
	}
	core := c.client.CoreV1()
	space, err := core.Namespaces().Get(t.Context(), ns, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	seen["Namespace "+ns] = space.ResourceVersion
	configs, err := core.ConfigMaps(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range configs.Items {
		note("ConfigMap", &o, o.ResourceVersion)
	}
	services, err := core.Services(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range services.Items {
		note("Service", &o, o.ResourceVersion)
	}
	deployments, err := c.client.AppsV1().Deployments(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range deployments.Items {
		note("Deployment", &o, fmt.Sprint(o.Generation))
	}
	if got, want := len(seen), 7; got != want { // one namespace, settings, inventory, two services, two deployments
		t.Fatalf("%d objects of slipway, want %d: %v", got, want, slices.Sorted(maps.Keys(seen)))
	}
	return seen
}
