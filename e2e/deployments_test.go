package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// release is a folder of webTree whose Deployment runs the image of a digit, and with more objects,
// "name" of a ConfigMap or "Kind/name".
func release(t *testing.T, digit int, annotation string, more ...string) string {
	t.Helper()
	image := "r.example/web@" + fakeDigest(digit)
	tree := webTree(edit{"e2e.slipway.dev/image-id: none", "e2e.slipway.dev/image-id: " + image + annotation}.apply(t, healthyWeb))
	for _, name := range more {
		kind, name, named := strings.Cut(name, "/")
		if !named {
			kind, name = "ConfigMap", kind
		}
		tree["web/"+name+".yaml"] = "{apiVersion: v1, kind: " + kind + ", metadata: {name: " + name + "}}\n"
		tree["web/kustomization.yaml"] = edit{"[web.yaml", "[web.yaml, " + name + ".yaml"}.apply(t, tree["web/kustomization.yaml"])
	}
	return tree.write(t)
}

const crashes = ", e2e.slipway.dev/fail: crash-loop"

// deployRelease is "slipway deploy" of a release, as deployment deploy/web.
func deployRelease(c *cluster, dir, ns string, digit int, flags ...string) call {
	it := deployWeb(c, dir, ns, "r.example/web@"+fakeDigest(digit))
	it.Args = append(append(it.Args, "--name", "web"), flags...)
	return it
}

// about is a command about a deployment, in a folder where there is nothing.
func about(c *cluster, ns string, args ...string) call {
	return call{Cluster: c, Args: append(args, "-n", ns)}
}

// state is what is there of a deployment: objects and what they say, but no versions and times.
func (c *cluster) state(t *testing.T, ns string) map[string]string {
	t.Helper()
	seen := map[string]string{}
	ctx, all := t.Context(), metav1.ListOptions{}
	configs, err := c.client.CoreV1().ConfigMaps(ns).List(ctx, all)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range configs.Items {
		if o.Name != "kube-root-ca.crt" {
			seen["ConfigMap "+o.Name] = fmt.Sprint(o.Data, o.Annotations)
		}
	}
	secrets, err := c.client.CoreV1().Secrets(ns).List(ctx, all)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range secrets.Items {
		seen["Secret "+o.Name] = o.Labels["slipway.dev/revision"] + " " + o.Labels["slipway.dev/state"] + " " + o.Annotations["slipway.dev/content"]
	}
	leases, err := c.client.CoordinationV1().Leases(ns).List(ctx, all)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range leases.Items {
		seen["Lease "+o.Name] = "is there"
	}
	deployments, err := c.client.AppsV1().Deployments(ns).List(ctx, all)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range deployments.Items {
		seen["Deployment "+o.Name] = o.Spec.Template.Spec.Containers[0].Image + fmt.Sprint(o.Labels)
	}
	return seen
}

// expire makes a Lease one that its holder let expire, if it is there.
func (c *cluster) expire(t *testing.T, ns string) {
	t.Helper()
	leases := c.client.CoordinationV1().Leases(ns)
	l, err := leases.Get(t.Context(), "slipway.deploy.web", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	l.Spec.RenewTime = &metav1.MicroTime{Time: time.Now().Add(-2 * time.Minute)}
	if _, err := leases.Update(t.Context(), l, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// TestPrune takes a ConfigMap out of the manifests. It goes when what replaces it is proven, and
// not before.
func TestPrune(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, annotation string
		code             int
		stays            bool
	}{
		{"healthy", "", 0, false},
		{"crashes", crashes, 7, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := kwok(t)
			ns := c.namespace(t)
			deployRelease(c, release(t, 1, "", "extra"), ns, 1).run(t).want(t, 0).says(t, "web  proven  2/2")
			deployRelease(c, release(t, 2, test.annotation), ns, 2).run(t).want(t, test.code)
			_, err := c.client.CoreV1().ConfigMaps(ns).Get(t.Context(), "extra", metav1.GetOptions{})
			if err != nil && !apierrors.IsNotFound(err) {
				t.Fatal(err)
			}
			if stays := err == nil; stays != test.stays {
				t.Errorf("extra stays: %v, want %v", stays, test.stays)
			}
		})
	}
}

// TestKilledAtEveryWrite kills a second release, which changes, creates and deletes, right after
// each of its writes in turn. However far it came, the next run ends in the same state.
func TestKilledAtEveryWrite(t *testing.T) {
	t.Parallel()
	c := kwok(t)
	first, second := release(t, 1, "", "before", "LimitRange/limits"), release(t, 2, "", "after", "ServiceAccount/account")
	// releases makes the second release die after n writes, if it has as many, and run again.
	releases := func(t *testing.T, n int) (state map[string]string, writes []string) {
		ns := c.namespace(t)
		deployRelease(c, first, ns, 1).run(t).want(t, 0)
		var killed *session
		started := make(chan struct{})
		through, written := c.watched(t, func(i int) {
			if <-started; i == n {
				killed.send(syscall.SIGKILL)
				<-killed.ended
			}
		})
		killed = deployRelease(through, second, ns, 2).start(t, nil)
		close(started)
		got := killed.end(time.Minute)
		writes = written()
		if want := -1; n > 0 {
			got.want(t, want)
		} else {
			got.want(t, 0)
		}
		c.expire(t, ns)
		deployRelease(c, second, ns, 2).run(t).want(t, 0).says(t, "web  proven  2/2")
		state = map[string]string{}
		for name, is := range c.state(t, ns) {
			state[name] = strings.ReplaceAll(is, ns, "NS")
		}
		return state, writes
	}
	want, writes := releases(t, 0)
	if len(writes) < 9 || want["Secret slipway.deploy.web.v2"] == "" || want["ConfigMap before"] != "" || !strings.Contains(want["ConfigMap slipway.deploy.web"], "ConfigMap,Deployment.apps,ServiceAccount ") || want["ConfigMap after"] == "" {
		t.Fatalf("this test would prove nothing: %q\n%v", writes, want)
	}
	for n := 1; n <= len(writes); n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			got, done := releases(t, n)
			if withoutContent(got) != withoutContent(want) {
				t.Errorf("killed after %s\ngot  %s\nwant %s", done[len(done)-1], withoutContent(got), withoutContent(want))
			}
		})
	}
}

// withoutContent is a state as text. The hash of what a revision holds depends on the namespace,
// and only its first word and number are told.
func withoutContent(state map[string]string) string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(state)) {
		is := state[name]
		if strings.HasPrefix(name, "Secret ") {
			words := strings.Fields(is)
			is = strings.Join(words[:min(2, len(words))], " ")
		}
		if at := strings.Index(is, "applyset.kubernetes.io/part-of:"); at >= 0 {
			is = is[:at]
		}
		lines = append(lines, name+": "+is)
	}
	return strings.Join(lines, "\n")
}

// TestLocked runs two at a time. The second one is told who the first is; when that has died, the
// deployRelease is taken over once its Lease has expired, or was unlocked.
func TestLocked(t *testing.T) {
	t.Parallel()
	c := kwok(t)
	ns := c.namespace(t)
	slow := release(t, 1, ", e2e.slipway.dev/ready-after: 1h")
	first := deployRelease(c, slow, ns, 1).start(t, nil)
	first.says("created")
	eventually(t, 20*time.Second, func(ctx context.Context) error {
		_, err := c.client.AppsV1().Deployments(ns).Get(ctx, "web", metav1.GetOptions{})
		return err
	})
	healthy := release(t, 2, "")
	second := deployRelease(c, healthy, ns, 2)
	second.run(t).want(t, 11).says(t, "deploy/web is being changed by ", fmt.Sprintf("process %d", first.cmd.Process.Pid), "since ", "unlock")
	first.send(syscall.SIGKILL)
	<-first.ended
	second.run(t).want(t, 11)
	c.expire(t, ns)
	second.run(t).want(t, 0).says(t, "took over the Lease", "web  proven  2/2")
	if left := c.state(t, ns)["Lease slipway.deploy.web"]; left != "" {
		t.Error("the Lease is still there")
	}
}

// TestUnlocked takes the Lease from a run that goes on. It notices, and stops.
func TestUnlocked(t *testing.T) {
	t.Parallel()
	c := kwok(t)
	ns := c.namespace(t)
	first := deployRelease(c, release(t, 1, ", e2e.slipway.dev/ready-after: 1h"), ns, 1).start(t, nil)
	first.says("web  created")
	about(c, ns, "unlock").run(t).want(t, 0).says(t, "deploy/web was locked by ")
	first.end(40*time.Second).want(t, 11).says(t, "somebody unlocked the deployment")
}

// TestCancelled interrupts a run: it gives the Lease back, does not roll back, and what it left
// is brought to an end by the next one.
func TestCancelled(t *testing.T) {
	t.Parallel()
	c := kwok(t)
	ns := c.namespace(t)
	deployRelease(c, release(t, 1, ""), ns, 1).run(t).want(t, 0)
	slow := deployRelease(c, release(t, 2, ", e2e.slipway.dev/ready-after: 1h"), ns, 2, "--on-failure", "rollback").start(t, nil)
	slow.says("configured")
	slow.send(syscall.SIGINT)
	slow.end(20*time.Second).want(t, 130)
	state := c.state(t, ns)
	if state["Lease slipway.deploy.web"] != "" || !strings.HasPrefix(state["Secret slipway.deploy.web.v2"], "2 pending") || state["Secret slipway.deploy.web.v3"] != "" {
		t.Errorf("it left %v", state)
	}
}

// TestRollback lets a second release fail.
func TestRollback(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, first, second string
		flags               []string
		code                int
		runs                int
		says                string
	}{
		{"healthy", "", "", []string{"--on-failure", "rollback"}, 0, 2, "web  proven  2/2"},
		{"crashes", "", crashes, []string{"--on-failure", "rollback"}, 8, 1, "rolled back to revision 1, which is proven again"},
		{"crashes, and is left", "", crashes, nil, 7, 2, "exit code 3"},
		{"the first crashes, too", crashes, crashes, []string{"--on-failure", "rollback"}, 7, 2, "left as it is"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := kwok(t)
			ns := c.namespace(t)
			deployRelease(c, release(t, 1, test.first), ns, 1).run(t).want(t, map[bool]int{true: 0, false: 7}[test.first == ""])
			deployRelease(c, release(t, 2, test.second), ns, 2, test.flags...).run(t).want(t, test.code).says(t, test.says)
			d, err := c.client.AppsV1().Deployments(ns).Get(t.Context(), "web", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if image := d.Spec.Template.Spec.Containers[0].Image; !strings.HasSuffix(image, fakeDigest(test.runs)) {
				t.Errorf("it runs %s", image)
			}
		})
	}
}

// TestWithoutACheckout asks about a deployment, and takes it back, from an empty folder.
func TestWithoutACheckout(t *testing.T) {
	t.Parallel()
	c := kwok(t)
	ns := c.namespace(t)
	deployRelease(c, release(t, 1, ""), ns, 1).run(t).want(t, 0)
	deployRelease(c, release(t, 2, ""), ns, 2).run(t).want(t, 0)
	through, writes := c.spied(t)
	about(through, ns, "status", "--detailed-exitcode").run(t).want(t, 0).says(t, "deploy/web in "+ns+": revision 2, as it was shipped", "web  proven  2/2 pods run "+fakeDigest(2))
	about(through, ns, "history").run(t).want(t, 0).says(t, "2         proven", "1         proven")

	pods, err := c.client.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{LabelSelector: "app=web"})
	if err != nil || len(pods.Items) < 2 {
		t.Fatal(pods, err)
	}
	for _, pod := range pods.Items {
		want := []string{"ships     deploy/web", "revision  2, proven", "Deployment " + ns + "/web"}
		if pod.DeletionTimestamp == nil && strings.HasSuffix(pod.Spec.Containers[0].Image, fakeDigest(2)) {
			about(through, ns, "explain", "pod/"+pod.Name).run(t).want(t, 0).says(t, want...)
		}
	}

	patch := []byte(`{"spec":{"replicas":3}}`)
	if _, err := c.client.AppsV1().Deployments(ns).Patch(t.Context(), "web", types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "somebody"}); err != nil {
		t.Fatal(err)
	}
	about(through, ns, "status", "--detailed-exitcode").run(t).want(t, 2).says(t, "but not as it was shipped", "drift: Deployment "+ns+"/web", "spec.replicas: 3 → 2")
	patch = []byte(`{"spec":{"replicas":2}}`)
	if _, err := c.client.AppsV1().Deployments(ns).Patch(t.Context(), "web", types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "somebody"}); err != nil {
		t.Fatal(err)
	}
	about(through, ns, "rollback", "--preview").run(t).want(t, 0).says(t, "back to revision 1, which was proven", "configure Deployment "+ns+"/web", fakeDigest(2)+" → ")
	if w := writes(); len(w) > 0 {
		t.Errorf("it wrote to the cluster:\n%s", strings.Join(w, "\n"))
	}
	about(c, ns, "rollback").run(t).want(t, 0).says(t, "web  proven  2/2 pods run "+fakeDigest(1))
	about(c, ns, "rollback", "--to", "9").run(t).want(t, 3).says(t, "revision 9 is not remembered (there are 3, 2, 1)")

	var revisions []struct{ Revision, Restores int }
	if err := json.Unmarshal([]byte(about(c, ns, "history", "-o", "json").run(t).want(t, 0).Stdout), &revisions); err != nil || len(revisions) != 3 || revisions[0].Restores != 1 {
		t.Errorf("got %v, %v", revisions, err)
	}
}

// TestHold keeps a deployment as it is, for a while.
func TestHold(t *testing.T) {
	t.Parallel()
	c := kwok(t)
	ns := c.namespace(t)
	one, two := release(t, 1, ""), release(t, 2, "")
	deployRelease(c, one, ns, 1).run(t).want(t, 0)
	about(c, ns, "hold", "--until", "1h", "--reason", "load test").run(t).want(t, 0).says(t, "deploy/web is held by ")
	through, writes := c.spied(t)
	deployRelease(through, two, ns, 2).run(t).want(t, 10).says(t, "deploy/web is held by ", "load test", "hold --release deploy/web")
	deployRelease(through, one, ns, 1).run(t).want(t, 0).says(t, "web  proven  2/2") // nothing changes
	if w := writes(); len(w) > 0 {
		t.Errorf("it wrote to the cluster:\n%s", strings.Join(w, "\n"))
	}
	about(c, ns, "status").run(t).want(t, 0).says(t, "load test")
	about(c, ns, "hold", "--release").run(t).want(t, 0)
	deployRelease(c, two, ns, 2).run(t).want(t, 0)
}

// TestDependsOn makes the Deployment wait for a Job, which ends well or does not.
func TestDependsOn(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, fail string
		code       int
		says       string
	}{
		{"healthy", "none", 0, "web  proven  2/2"},
		{"fails", "exit", 7, "job-failed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := kwok(t)
			ns := c.namespace(t)
			image := "r.example/web@" + fakeDigest(1)
			web := edit{"metadata: {name: web}", "metadata: {name: web, annotations: {config.kubernetes.io/depends-on: batch/namespaces/" + ns + "/Job/migrate}}"}.apply(t, healthyWeb)
			tree := webTree(edit{"image-id: none", "image-id: " + image}.apply(t, web))
			tree["web/kustomization.yaml"] = edit{"[web.yaml]", "[web.yaml, migrate.yaml]"}.apply(t, tree["web/kustomization.yaml"])
			tree["web/migrate.yaml"] = `apiVersion: batch/v1
kind: Job
metadata: {name: migrate}
spec:
  backoffLimit: 0
  template:
    metadata: {annotations: {e2e.slipway.dev/fail: ` + test.fail + `}}
    spec: {restartPolicy: Never, containers: [{name: migrate, image: "r.example/migrate:1"}]}
`
			deployRelease(c, tree.write(t), ns, 1).run(t).want(t, test.code).says(t, test.says)
			_, err := c.client.AppsV1().Deployments(ns).Get(t.Context(), "web", metav1.GetOptions{})
			if err != nil && !apierrors.IsNotFound(err) {
				t.Fatal(err)
			}
			if made := err == nil; made != (test.code == 0) {
				t.Errorf("web was made: %v", made)
			}
		})
	}
}
