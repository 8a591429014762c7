package rollout

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	clienttesting "k8s.io/client-go/testing"

	"github.com/slipway-ci/slipway/deploy"
)

func TestWaitForbidden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := deployment()
		f := newFakeCluster(t, c)
		f.fails("list", "pods", func() error { return forbid("pods") })
		r := begin(t.Context(), &Watcher{Cluster: f}, time.Minute, c).end()
		var e *deploy.ClusterError
		if !errors.As(r.err, &e) || e.Doing != "list pods in shop" || e.Server != "https://fake:6443" || !apierrors.IsForbidden(e) || r.took > 0 {
			t.Errorf("got %v after %s, want a ClusterError that names pods at once", r.err, r.took)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		c := deployment()
		f := newFakeCluster(t, c)
		f.fails("list", "events", func() error { return forbid("events") })
		r := begin(t.Context(), &Watcher{Cluster: f}, time.Minute, c).end()
		if r.err != nil || r.codes() != "proven" {
			t.Errorf("got %q, %v, want proven without events", r.codes(), r.err)
		}
	})
}

func TestWaitSurvivesAServerThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := deployment()
		f := newFakeCluster(t, c)
		back := time.Now().Add(20 * time.Second)
		f.fails("*", "*", func() error {
			if time.Now().Before(back) {
				return errors.New("connection refused")
			}
			return nil
		})
		r := begin(t.Context(), &Watcher{Cluster: f}, time.Minute, c).end()
		if r.err != nil || r.codes() != "proven" || r.took < 20*time.Second || r.took > 25*time.Second {
			t.Errorf("got %q, %v after %s, want proven soon after 20s", r.codes(), r.err, r.took)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		c := deployment()
		f := newFakeCluster(t, c)
		f.fails("*", "*", func() error { return errors.New("connection refused") })
		r := begin(t.Context(), &Watcher{Cluster: f}, time.Hour, c).end()
		var e *deploy.ClusterError
		if !errors.As(r.err, &e) || r.took != patience {
			t.Errorf("got %v after %s, want a ClusterError after %s", r.err, r.took, patience)
		}
	})
}

func TestWaitReconnectsAWatchThatIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := deployment()
		c.unready()
		f := newFakeCluster(t, c)
		first := watch.NewFake()
		cut := false
		f.fake.PrependWatchReactor("pods", func(clienttesting.Action) (bool, watch.Interface, error) {
			if cut {
				return false, nil, nil
			}
			cut = true
			return true, first, nil
		})
		r := begin(t.Context(), &Watcher{Cluster: f}, time.Minute, c)
		first.Error(&metav1.Status{Code: 410, Reason: metav1.StatusReasonExpired, Message: "too old resource version"})
		c.first().Ready = true
		c.pods[0].Status.Conditions[1].Status = corev1.ConditionTrue
		f.update(c.pods[0])
		r.end()
		if r.err != nil || r.codes() != "proven" || r.took > 2*time.Second || f.calls["list pods"] != 2 {
			t.Errorf("got %q, %v after %s and %d lists, want proven soon, by a second list", r.codes(), r.err, r.took, f.calls["list pods"])
		}
	})
}

func TestWaitStopsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := errors.New("interrupted")
		ctx, cancel := context.WithCancelCause(t.Context())
		c := deployment()
		c.unready()
		r := begin(ctx, &Watcher{Cluster: newFakeCluster(t, c)}, time.Hour, c)
		cancel(stop)
		r.end()
		if !errors.Is(r.err, stop) || r.took != 0 {
			t.Errorf("got %v after %s, want the cause at once", r.err, r.took)
		}
	})
}

func TestWaitSeesAnObjectGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := deployment()
		c.unready()
		f := newFakeCluster(t, c)
		r := begin(t.Context(), &Watcher{Cluster: f}, time.Minute, c)
		resource := schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
		if err := f.fake.Resource(resource).Namespace("shop").Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		r.end()
		if r.codes() != "overwritten" || r.took > time.Second {
			t.Errorf("got %q, %v after %s, want overwritten at once", r.codes(), r.err, r.took)
		}
	})
}

func TestWaitForAServerThatIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := deployment()
		f := newFakeCluster(t, c)
		f.fails("*", "pods", func() error { return errors.New("connection refused") })
		r := begin(t.Context(), &Watcher{Cluster: f}, time.Second, c).end()
		var e *deploy.ClusterError
		if !errors.As(r.err, &e) || e.Doing != "list pods in shop" || r.took != time.Second {
			t.Errorf("got %v after %s, want a ClusterError when time is up", r.err, r.took)
		}
	})
}

func TestWaitKeepsAProvenJobThatIsCleanedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		done, slow := rename(job(), "migrate"), deployment()
		slow.unready()
		f := newFakeCluster(t, done, slow)
		r := begin(t.Context(), &Watcher{Cluster: f}, time.Minute, done, slow)
		resource := schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "jobs"}
		if err := f.fake.Resource(resource).Namespace("shop").Delete(t.Context(), "migrate", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		slow.first().Ready = true
		slow.pods[0].Status.Conditions[1].Status = corev1.ConditionTrue
		f.update(slow.pods[0])
		r.end()
		if r.err != nil || r.codes() != "proven proven" {
			t.Errorf("got %q, %v, want both proven", r.codes(), r.err)
		}
	})
}
