package kube_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/deploy/kube"
)

const (
	leasePath    = "/apis/coordination.k8s.io/v1/namespaces/shop/leases/slipway.shop.rollout"
	historyPath  = "/api/v1/namespaces/shop/secrets/slipway.shop.rollout.v"
	parentPath   = "/api/v1/namespaces/shop/configmaps/slipway.shop.rollout"
	secondsOfOne = 60
)

var jan = deploy.Run{ID: "run-1", By: "jan@laptop", PID: 7, URL: "https://ci/1", Commit: "abc"}

// release applies a set as a run does, and ends it with failure.
func release(t *testing.T, c *kube.Cluster, set deploy.Set, failure error) (said []string) {
	t.Helper()
	planned, err := c.Diff(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	if !deploy.Changing(planned) {
		return nil
	}
	err = c.Lock(t.Context(), set, planned, jan, func(s deploy.Status) { said = append(said, s.Message+" "+s.Object) }, func(ctx context.Context, turn *kube.Turn) error {
		if err := turn.Apply(ctx, set, planned, 0, nil); err != nil {
			return err
		}
		return turn.Conclude(ctx, nil, failure)
	})
	if err != nil {
		t.Fatal(err)
	}
	return said
}

func TestLeaseIsThereOnlyWhileSomethingChanges(t *testing.T) {
	f := newFake(t)
	c, set := f.cluster(t), littleSet(t, little)
	release(t, c, set, nil)
	writes := f.take()
	if len(writes) < 4 || !strings.HasPrefix(writes[0], "POST /apis/coordination.k8s.io/v1/namespaces/shop/leases") ||
		!strings.HasPrefix(writes[1], "POST /api/v1/namespaces/shop/secrets") || !strings.HasPrefix(writes[len(writes)-2], "PUT "+historyPath+"1") ||
		!strings.HasPrefix(writes[len(writes)-1], "DELETE "+leasePath) {
		t.Errorf("wrote %q", writes)
	}
	if f.objects[leasePath] != nil {
		t.Error("the Lease is still there")
	}
	release(t, c, set, nil)
	if writes := f.take(); len(writes) > 0 {
		t.Errorf("a second run wrote %q", writes)
	}
}

func TestLeaseOfAnother(t *testing.T) {
	f := newFake(t)
	c, set := f.cluster(t), littleSet(t, little)
	planned, err := c.Diff(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	f.take()
	err = c.Lock(t.Context(), set, planned, jan, nil, func(ctx context.Context, _ *kube.Turn) error {
		f.take()
		err := f.cluster(t).Lock(ctx, set, planned, deploy.Run{By: "ann@desk"}, nil, func(context.Context, *kube.Turn) error {
			t.Error("two have the Lease")
			return nil
		})
		var locked *deploy.LockedError
		if !errors.As(err, &locked) || locked.Lock.Run != jan || !strings.Contains(err.Error(), "shop/rollout is being changed by jan@laptop, process 7, run run-1, https://ci/1, since ") {
			t.Errorf("got %v", err)
		}
		if left := time.Until(locked.Lock.Until).Round(time.Second); left > secondsOfOne*time.Second || left < (secondsOfOne-10)*time.Second {
			t.Errorf("it is good for another %s", left)
		}
		for _, w := range f.take() {
			if !strings.HasPrefix(w, "POST "+strings.TrimSuffix(leasePath, "/slipway.shop.rollout")) { // was refused
				t.Errorf("wrote %s", w)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// age makes the Lease one that its holder let expire.
func (f *fake) age() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.objects[leasePath]["spec"].(map[string]any)["renewTime"] = time.Now().Add(-61 * time.Second).UTC().Format("2006-01-02T15:04:05.000000Z07:00")
}

func TestLeaseOfTheDeadIsTakenOver(t *testing.T) {
	f := newFake(t)
	c, set := f.cluster(t), littleSet(t, little)
	planned, err := c.Diff(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	lost := c.Lock(t.Context(), set, planned, jan, nil, func(ctx context.Context, turn *kube.Turn) error {
		f.age()
		return f.cluster(t).Lock(ctx, set, planned, deploy.Run{By: "ann@desk"}, func(s deploy.Status) { said = append(said, s.Message) }, func(context.Context, *kube.Turn) error { return nil })
	})
	if lost != nil || len(said) != 1 || said[0] != "took over the Lease that jan@laptop, process 7, run run-1, https://ci/1 let expire" {
		t.Errorf("got %q, %v", said, lost)
	}
}

func TestLostLeaseStopsTheRun(t *testing.T) {
	for name, take := range map[string]func(*fake) (want string){
		"unlocked": func(f *fake) string {
			delete(f.objects, leasePath)
			return "somebody unlocked the deployment"
		},
		"taken": func(f *fake) string {
			f.objects[leasePath]["metadata"].(map[string]any)["resourceVersion"] = "other"
			f.objects[leasePath]["metadata"].(map[string]any)["annotations"] = map[string]any{"slipway.dev/run": `{"by":"ann@desk"}`}
			return "it is held by ann@desk"
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			c, set := f.cluster(t), littleSet(t, little)
			c.Term = 40 * time.Millisecond
			planned, err := c.Diff(t.Context(), set)
			if err != nil {
				t.Fatal(err)
			}
			want := ""
			err = c.Lock(t.Context(), set, planned, jan, nil, func(ctx context.Context, turn *kube.Turn) error {
				f.mu.Lock()
				want = take(f)
				f.mu.Unlock()
				<-ctx.Done()
				if err := turn.Apply(ctx, set, planned, 0, nil); !errors.Is(err, context.Cause(ctx)) {
					t.Errorf("apply: got %v", err)
				}
				return context.Cause(ctx)
			})
			var lost *deploy.LostError
			if !errors.As(err, &lost) || lost.Why != want {
				t.Errorf("got %v, want %s", err, want)
			}
			for _, w := range f.take() {
				if strings.HasPrefix(w, http.MethodPatch) {
					t.Errorf("wrote %s", w)
				}
			}
		})
	}
}

// TestRenewalThatWasNotHeardOf keeps a Lease whose version moved on although it is ours: as when
// the answer to a renewal was lost.
func TestRenewalThatWasNotHeardOf(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	c, set := f.cluster(t), littleSet(t, little)
	c.Term = 6 * time.Second
	planned, err := c.Diff(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	version := func() any {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.objects[leasePath]["metadata"].(map[string]any)["resourceVersion"]
	}
	err = c.Lock(t.Context(), set, planned, jan, nil, func(ctx context.Context, _ *kube.Turn) error {
		f.mu.Lock()
		f.objects[leasePath]["metadata"].(map[string]any)["resourceVersion"] = "unheard"
		f.mu.Unlock()
		for version() == "unheard" {
			select {
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	if err != nil {
		t.Errorf("it was given up: %v", err)
	}
}

func TestCancelGivesTheLeaseBack(t *testing.T) {
	f := newFake(t)
	c, set := f.cluster(t), littleSet(t, little)
	planned, err := c.Diff(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	because := errors.New("asked to stop")
	err = c.Lock(ctx, set, planned, jan, nil, func(ctx context.Context, turn *kube.Turn) error {
		if err := turn.Apply(ctx, set, planned, 0, nil); err != nil {
			return err
		}
		cancel(because)
		return turn.Conclude(ctx, nil, because)
	})
	if !errors.Is(err, because) || f.objects[leasePath] != nil {
		t.Errorf("got %v, and the Lease %v", err, f.objects[leasePath])
	}
	revisions, err := c.Revisions(t.Context(), set)
	if err != nil || len(revisions) != 1 || revisions[0].State != deploy.StatePending {
		t.Fatalf("got %v, %v", revisions, err)
	}
	got := changed(mustDiff(t, c, set))
	if len(got) != 1 || got["conclude Deployment web"] != "its run did not end, and it is judged again" {
		t.Errorf("got %q", got)
	}
	release(t, c, set, nil)
	if again := mustDiff(t, c, set); deploy.Changing(again) {
		t.Errorf("got %v", changed(again))
	}
	if revisions, _ = c.Revisions(t.Context(), set); len(revisions) != 1 || revisions[0].State != deploy.StateProven {
		t.Errorf("got %v", revisions)
	}
}

func TestLeaseThatADeadRunLeftIsCleared(t *testing.T) {
	f := newFake(t)
	c, set := f.cluster(t), littleSet(t, little)
	release(t, c, set, nil)
	planned := mustDiff(t, c, set)
	_ = c.Lock(t.Context(), set, planned, jan, nil, func(context.Context, *kube.Turn) error {
		f.age()
		f.mu.Lock()
		defer f.mu.Unlock()
		f.objects["kept"] = f.objects[leasePath]
		return nil
	})
	f.objects[leasePath] = f.objects["kept"]
	delete(f.objects, "kept")
	if got := changed(mustDiff(t, c, set)); got["conclude Lease slipway.shop.rollout"] == "" {
		t.Errorf("got %q", got)
	}
	release(t, c, set, nil)
	if f.objects[leasePath] != nil {
		t.Error("the Lease is still there")
	}
}

func TestHold(t *testing.T) {
	f := newFake(t)
	c, set := f.cluster(t), littleSet(t, little)
	if err := c.Hold(t.Context(), set, &deploy.Hold{}); err == nil || !strings.Contains(err.Error(), "there is no such deployment in namespace shop") {
		t.Errorf("got %v", err)
	}
	release(t, c, set, nil)
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	if err := c.Hold(t.Context(), set, &deploy.Hold{By: "jan", Reason: "freeze", Until: until}); err != nil {
		t.Fatal(err)
	}
	more := littleSet(t, strings.Replace(little, `a: "1"`, `a: "2"`, 1))
	planned := mustDiff(t, c, more)
	f.take()
	err := c.Lock(t.Context(), more, planned, jan, nil, func(context.Context, *kube.Turn) error { t.Error("not held"); return nil })
	var held *deploy.HeldError
	if !errors.As(err, &held) || !strings.Contains(err.Error(), "shop/rollout is held by jan until "+until.Format("2006-01-02 15:04:05 UTC")+": freeze") {
		t.Errorf("got %v", err)
	}
	if writes := f.take(); len(writes) > 0 {
		t.Errorf("wrote %q", writes)
	}
	if found, err := c.Deployments(t.Context(), "shop"); err != nil || len(found) != 1 || found[0].Hold == nil || found[0].Set.String() != "shop/rollout" {
		t.Errorf("got %v, %v", found, err)
	}
	for name, hold := range map[string]*deploy.Hold{"over": {By: "jan", Until: time.Now().Add(-time.Second)}, "released": nil} {
		if err := c.Hold(t.Context(), set, hold); err != nil {
			t.Fatal(err)
		}
		if err := c.Held(t.Context(), set); err != nil {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestUnlock(t *testing.T) {
	f := newFake(t)
	c, set := f.cluster(t), littleSet(t, little)
	if lock, err := c.Unlock(t.Context(), set); lock != nil || err != nil {
		t.Errorf("got %v, %v", lock, err)
	}
	err := c.Lock(t.Context(), set, nil, jan, nil, func(ctx context.Context, _ *kube.Turn) error {
		lock, err := f.cluster(t).Unlock(ctx, set)
		if err != nil || lock == nil || lock.Run != jan {
			t.Errorf("got %v, %v", lock, err)
		}
		return err
	})
	if err != nil || f.objects[leasePath] != nil {
		t.Errorf("got %v, and the Lease %v", err, f.objects[leasePath])
	}
}

func mustDiff(t *testing.T, c *kube.Cluster, set deploy.Set) []deploy.Change {
	t.Helper()
	changes, err := c.Diff(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	return changes
}
