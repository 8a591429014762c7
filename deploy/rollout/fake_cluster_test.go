package rollout

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/slipway-ci/slipway/deploy"
)

// A fakeCluster is a cluster in memory whose objects tests change.
type fakeCluster struct {
	t     *testing.T
	fake  *dynamicfake.FakeDynamicClient
	logs  map[string]string // by pod/container, of the run before
	slow  time.Duration     // of logs
	mu    sync.Mutex
	calls map[string]int
}

func listKinds() map[schema.GroupVersionResource]string {
	kinds := map[schema.GroupVersionResource]string{}
	for resource, kind := range map[string]string{
		"deployments.apps": "Deployment", "replicasets.apps": "ReplicaSet", "statefulsets.apps": "StatefulSet", "daemonsets.apps": "DaemonSet",
		"controllerrevisions.apps": "ControllerRevision", "jobs.batch": "Job", "cronjobs.batch": "CronJob", "pods": "Pod", "events": "Event",
		"certificates.cert-manager.io": "Certificate",
	} {
		gr := schema.ParseGroupResource(resource)
		kinds[gr.WithVersion("v1")] = kind + "List"
	}
	return kinds
}

func newFakeCluster(t *testing.T, casts ...*cast) *fakeCluster {
	f := &fakeCluster{t: t, calls: map[string]int{}, logs: map[string]string{}}
	var objs []runtime.Object
	for _, c := range casts {
		for _, o := range c.objects() {
			objs = append(objs, f.raw(o))
		}
	}
	f.fake = dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), listKinds(), objs...)
	f.fake.PrependReactor("list", "*", f.count)
	f.fake.PrependWatchReactor("*", func(a clienttesting.Action) (bool, watch.Interface, error) {
		_, _, _ = f.count(a)
		return false, nil, nil
	})
	return f
}

func (f *fakeCluster) count(a clienttesting.Action) (bool, runtime.Object, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[a.GetVerb()+" "+a.GetResource().Resource]++
	return false, nil, nil
}

func (c *cast) objects() []metav1.Object {
	var all []metav1.Object
	for _, o := range c.snapshot().objects {
		all = append(all, o.(metav1.Object))
	}
	for _, e := range c.more {
		if _, ok := e.(*corev1.Event); ok {
			all = append(all, e)
		}
	}
	return all
}

// raw returns o as the API server would send it.
func (f *fakeCluster) raw(o metav1.Object) *unstructured.Unstructured {
	f.t.Helper()
	body, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		f.t.Fatal(err)
	}
	u := &unstructured.Unstructured{Object: body}
	kind := kindOf(o)
	if _, ok := o.(*corev1.Event); ok {
		kind = "Event"
	}
	group := "apps/v1"
	switch kind {
	case "Pod", "Event":
		group = "v1"
	case "Job", "CronJob":
		group = "batch/v1"
	case "Certificate":
		return u
	}
	u.SetAPIVersion(group)
	u.SetKind(kind)
	return u
}

// update writes o, as it is now, to the cluster.
func (f *fakeCluster) update(o metav1.Object) {
	f.t.Helper()
	u := f.raw(o)
	resource, _, err := f.Resource(f.t.Context(), u.GetAPIVersion(), u.GetKind())
	if err != nil {
		f.t.Fatal(err)
	}
	if _, err := f.fake.Resource(resource).Namespace(o.GetNamespace()).Update(f.t.Context(), u, metav1.UpdateOptions{}); err != nil {
		f.t.Fatal(err)
	}
}

// fails makes requests fail for as long as broken says so.
func (f *fakeCluster) fails(verb, resource string, broken func() error) {
	f.fake.PrependReactor(verb, resource, func(clienttesting.Action) (bool, runtime.Object, error) {
		err := broken()
		return err != nil, nil, err
	})
	f.fake.PrependWatchReactor(resource, func(clienttesting.Action) (bool, watch.Interface, error) {
		err := broken()
		return err != nil && verb == "*", nil, err
	})
}

func (f *fakeCluster) Dynamic(context.Context) (dynamic.Interface, error) { return f.fake, nil }

func (f *fakeCluster) Resource(_ context.Context, apiVersion, kind string) (schema.GroupVersionResource, bool, error) {
	gv, err := schema.ParseGroupVersion(apiVersion)
	return gv.WithResource(strings.ToLower(kind) + "s"), true, err
}

func (f *fakeCluster) Server(context.Context) (string, error) { return "https://fake:6443", nil }

func (f *fakeCluster) Logs(ctx context.Context, _, pod, container string, previous bool, _ int64) (io.ReadCloser, error) {
	wait(ctx, f.slow)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	text, ok := f.logs[pod+"/"+container]
	if !ok || !previous {
		return nil, errors.New("previous terminated container not found")
	}
	return io.NopCloser(strings.NewReader(text)), nil
}

func forbid(resource string) error {
	return apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "", errors.New(`User "ci" cannot list resource`))
}

// setOf returns the set and the changes of casts.
func setOf(casts ...*cast) (deploy.Set, []deploy.Change) {
	set := deploy.Set{Pipeline: "shop", Name: "rollout", Namespace: "shop"}
	var changes []deploy.Change
	for _, c := range casts {
		op := deploy.Unchanged
		if c.work.changed {
			op = deploy.Configure
		}
		set.Objects = append(set.Objects, c.work.object)
		set.Pins = append(set.Pins, c.work.pins...)
		changes = append(changes, deploy.Change{Object: c.work.object, Op: op})
	}
	return set, changes
}

// A waiting is a Wait that runs, in a bubble of synctest.
type waiting struct {
	verdicts []deploy.Verdict
	err      error
	lines    []string
	took     time.Duration
	done     chan struct{}
}

func begin(ctx context.Context, w *Watcher, timeout time.Duration, casts ...*cast) *waiting {
	set, changes := setOf(casts...)
	r := &waiting{done: make(chan struct{})}
	began := time.Now()
	go func() {
		defer close(r.done)
		r.verdicts, r.err = w.Wait(ctx, set, changes, timeout, func(s deploy.Status) { r.lines = append(r.lines, s.Object+": "+s.Message) })
		r.took = time.Since(began)
	}()
	synctest.Wait()
	return r
}

func (r *waiting) end() *waiting {
	<-r.done
	return r
}

func (r *waiting) codes() string {
	var codes []string
	for _, v := range r.verdicts {
		codes = append(codes, string(v.Code))
	}
	return strings.Join(codes, " ")
}

// rename gives a cast a name of its own name, so that two fit in one cluster.
func rename(c *cast, name string) *cast {
	old := c.work.object.String()
	body := map[string]any{"apiVersion": "apps/v1", "kind": c.work.object.Kind(), "metadata": map[string]any{"name": name, "namespace": "shop"}}
	c.work.object.Body = body
	for i := range c.work.pins {
		if c.work.pins[i].Object == old {
			c.work.pins[i].Object = c.work.object.String()
		}
	}
	for _, o := range c.objects() {
		o.SetUID(o.GetUID() + "-of-" + "x")
		o.SetName(strings.Replace(o.GetName(), "web", name, 1))
		for i, ref := range o.GetOwnerReferences() {
			refs := o.GetOwnerReferences()
			refs[i].UID = ref.UID + "-of-x"
			o.SetOwnerReferences(refs)
		}
	}
	return c
}
